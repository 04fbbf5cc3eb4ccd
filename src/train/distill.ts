// The training loop: teacher + student + data + strategy -> events, and a better student. Supervised training is the same
// loop without a teacher.
import { createHash } from "node:crypto";
import { DistillError } from "../base/errors.ts";
import { formatBytes } from "../base/format.ts";
import { formatShape, type Shape, sameShape, type Tensor, type TensorType } from "../base/tensor.ts";
import { fileSize, fileView } from "../base/value-info.ts";
import { compileStep, names } from "../compile/compile-step.ts";
import { describeUnmoved } from "../compile/gradient-ends.ts";
import { augment } from "../data/augment.ts";
import { batchOrder, evaluationBatches } from "../data/batches.ts";
import type { Dataset, SampleBatch } from "../data/dataset.ts";
import { emissionOf, splitStrategy } from "../losses/index.ts";
import { modelBytes } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read-model.ts";
import { makeOptimizer } from "../optim/index.ts";
import { learningRateSchedule } from "../optim/schedules.ts";
import { prepareStudent } from "../prepare/prepare-student.ts";
import { prepareTeacher } from "../prepare/prepare-teacher.ts";
import type { Runtime } from "../runtime/session.ts";
import type { AnyStrategy } from "../strategies/index.ts";
import { usesLabels } from "../strategies/strategy.ts";
import { metricSpecs, rowsShape } from "../tasks/index.ts";
import { allLosses, arrayLoss, seeded, withSeeds } from "./array-strategy.ts";
import { chooseTaps } from "./automatic-taps.ts";
import { checkArrays, checkLayers } from "./check-layers.ts";
import { describeStrategy } from "./describe-strategy.ts";
import { type Evaluation, evaluate, type Metrics } from "./evaluate.ts";
import { evaluateModel } from "./evaluate-model.ts";
import type { DistillEvent } from "./events.ts";
import { feederFor } from "./feeds.ts";
import { FormRunner, formedTeacher } from "./form-runner.ts";
import { checkLabels, labelFeeds } from "./labels.ts";
import { type BothSides, measureBoth, neededTaps, TeacherMeasure } from "./measured-state.ts";
import { modelSize } from "./model-figures.ts";
import { checkMonitor } from "./monitor.ts";
import { type DistillOptions, type Resolved, resolveOptions } from "./options.ts";
import type { RunFolder } from "./run-folder.ts";
import { StepRunner } from "./step-runner.ts";
import { formTaps } from "./taps.ts";
import { checkOutputs, defaultStrategy } from "./task-strategy.ts";
import { functionTeacher, modelTeacher, type Teacher, type TeacherOutputs } from "./teacher.ts";
import { fillCache, planCache, type TeacherCache } from "./teacher-cache.ts";

/**
 * Trains `student` to match `teacher` on `data`, as an async iterable of events. The last event carries the best student:
 * the user's own graph with new weights.
 *
 * Two runs with the same options on the same machine give the same bits, also when one of them was interrupted and
 * resumed. Everything that can be refused is refused before the first step.
 *
 * @example
 * ```ts
 * for await (const event of distill({ teacher: "teacher.onnx", student: "student.onnx", data, taps: [{ teacher: "features" }] })) {
 *   if (event.type === "evaluation") console.log(event.epoch, event.metrics.top1);
 *   if (event.type === "done") await writeFile("small.onnx", event.student);
 * }
 * ```
 */
export async function* distill(options: DistillOptions): AsyncGenerator<DistillEvent, void> {
  const given = resolveOptions(options);
  const began = performance.now();
  const runtime = options.runtime ?? (await import("../runtime/ort-node.ts")).nodeRuntime;
  const opened = await openModel(options.student, "student");
  const { data } = options;
  const strategy = options.teacher
    ? (options.strategy ?? defaultStrategy(given.task, given.automaticTaps || given.taps.length > 0))
    : undefined;
  if (strategy) checkOutputs(strategy, given.task);
  const file =
    options.teacher && typeof options.teacher !== "function"
      ? await openModel(options.teacher, "teacher")
      : undefined;
  const chosen =
    given.automaticTaps && file && strategy
      ? await chooseTaps({ ...options, teacher: file, student: opened, runtime, strategy })
      : { taps: given.taps, notes: [] };
  const o: Resolved = { ...given, taps: chosen.taps };
  if (strategy) {
    checkLayers(
      strategy,
      o.taps.map((t) => t.name),
    );
  }
  if (options.evaluation) checkMonitor(o, options.evaluation, strategy !== undefined);
  const orders = (epoch: number): Uint32Array[] => batchOrder(data.length, o.batch, o.seed, epoch);
  const stepsPerEpoch = orders(0).length;
  const total = stepsPerEpoch * o.epochs;
  const rate = learningRateSchedule(o.learningRate, total, o.schedule);
  const optimizer = makeOptimizer(o.optimizer);
  const feedStudent = feederFor(opened, data);
  if (options.evaluation) feederFor(opened, options.evaluation);

  const sample = await data.read(orders(0)[0] as Uint32Array);
  const taught = await openTeacher(options, file, o, runtime, sample);
  const held: { release(): Promise<void> }[] = taught.teacher ? [taught.teacher] : [];
  try {
    const said = await taught.teacher?.run(sample.inputs);
    const prepared = await prepareStudent(opened, {
      runtime,
      batch: o.batch,
      feeds: feedStudent(sample.inputs),
      logits: options.studentLogits,
      activation: o.task.outputs,
      taps: o.taps,
      init: o.init,
      seed: o.seed,
      freeze: o.freeze,
      insertBatchNorm: o.insertBatchNorm,
    });
    const student = prepared.own;
    const { taps, notes: tapNotes } = formTaps(o.taps, {
      student: prepared.model,
      types: prepared.observation.types,
      taught: said?.taps ?? {},
      teacherAxis: (value, rank) => taught.teacher?.neuronAxis(value, rank),
    });
    const forms = new FormRunner(
      new Map(taps.map((t) => [t.name, t.forms?.teacher ?? {}])),
      runtime,
      o.target,
    );
    held.push(forms);
    const teacher = taught.teacher && formedTeacher(taught.teacher, forms);
    const probe = said && { logits: said.logits, taps: await forms.run(said.taps) };
    const useLabels = data.hasLabels && o.task.learnsFromLabels && (!strategy || usesLabels(strategy));
    const use = { task: o.task, inLoss: useLabels };
    // What exists on arrays alone trains too, by the slower way round.
    const { emission, onArrays } = strategy
      ? splitStrategy(strategy)
      : { emission: emissionOf(o.task.strategy({})), onArrays: [] };
    checkArrays(onArrays);
    const loss = onArrays.length === 0 && emission ? emission : emission ? withSeeds(emission) : seeded;
    const measured = loss.measured?.(taps.map((t) => t.name)) ?? [];
    const compiled = compileStep({
      student: prepared.model,
      values: prepared.values,
      known: prepared.observation.known,
      logits: prepared.logits.value,
      teacherLogits: probe !== undefined,
      labels: (logits) => typesOf(labelFeeds(use, sample.labels, logits, orders(0)[0] as Uint32Array)),
      task: o.task,
      batch: o.batch,
      taps: taps.map((t) => ({
        name: t.name,
        student: t.student,
        teacher: typeOfTensor(probe?.taps[t.name] as Tensor),
        project: t.project,
        form: t.forms?.student,
      })),
      loss,
      optimizer,
      clipNorm: o.clipNorm,
      freeze: o.freeze,
      trainStatistics: o.batchNorm === "train",
      target: o.target,
      convolutionBlock: await runtime.convolutionBlock?.(),
    });
    checkSameLogits(student, compiled.logitsShape, probe);
    await checkLabels(o.task, data, "the data", student.source, compiled.logitsShape);
    if (options.evaluation)
      await checkLabels(
        o.task,
        options.evaluation,
        "the evaluation data",
        student.source,
        compiled.logitsShape,
      );

    const folder = options.out === undefined ? undefined : (await import("./run-folder.ts")).RunFolder;
    const identity = identityOf(options, { ...o, taps }, student, strategy, {
      student: prepared.record,
      teacher: taught.record,
    });
    const run =
      folder && (options.resume ? folder.open(options.out as string) : folder.create(options.out as string));
    const checkpoint = options.resume ? resumePoint(run as RunFolder, identity) : undefined;
    if (run && !checkpoint) run.writeJson("run.json", { ...identity, started: new Date().toISOString() });

    const comparesBoth = measured.some((v) => v.every !== undefined);
    const runner = await StepRunner.load(compiled, runtime, o.seed, onArrays.length > 0 || comparesBoth);
    held.push(runner);
    if (checkpoint) runner.restore(checkpoint.state);
    else if (o.init !== "keep") run?.write("initial.onnx", prepared.export(runner.weights()).bytes);
    let step = checkpoint?.step ?? 0;
    let best = checkpoint?.best;
    let bestStep = checkpoint?.bestStep;
    let bestMetrics: Metrics = checkpoint ? metricsAt(run as RunFolder, bestStep) : {};
    let bestStudent: Uint8Array | undefined;

    const notes = [...taught.notes, ...prepared.notes, ...chosen.notes, ...tapNotes];
    const still = new Map([...compiled.unmoved].filter(([, end]) => end));
    if (still.size > 0) notes.push(`not trained: ${describeUnmoved(still)}`);
    const left = data.length - stepsPerEpoch * o.batch;
    if (left > 0)
      notes.push(
        `${left} of ${data.length} samples do not fill a batch of ${o.batch}; each epoch leaves out others`,
      );
    const ofAll = measured.filter((v) => v.every === undefined).map((v) => v.tap);
    if (ofAll.length > 0)
      notes.push(
        `the teacher's scores (${[...new Set(ofAll)].join(", ")}) are measured once, over all ${data.length} samples`,
      );
    const projected = o.taps.filter((t) => t.project).map((t) => t.name);
    if (projected.length > 0) {
      const learned = compiled.auxiliary.parameters
        .filter((p) => p.key.startsWith("auxiliary/projection/"))
        .reduce((n, p) => n + p.size, 0);
      notes.push(
        `${learned} weights of projections (${projected.join(", ")}) are trained too, and left out of the student`,
      );
    }
    const augments = o.augment.flip === true || (o.augment.crop ?? 0) > 0;
    const variants = augments ? o.augment.variants : 1;
    const tapNames = taps.map((t) => t.name);
    const kept = onArrays.length > 0 ? tapNames : neededTaps(tapNames, compiled.step.inputs, measured);
    const keptOf = ({ logits, taps: all }: TeacherOutputs): TeacherOutputs => ({
      logits,
      taps: Object.fromEntries(kept.map((tap) => [tap, all[tap] as Tensor])),
    });
    const plan =
      probe && variants !== undefined && o.epochs > variants
        ? planCache(
            {
              place: o.teacherCache,
              type: o.teacherCacheType,
              memoryBytes: o.teacherCacheBytes,
              folder: options.out,
            },
            [probe.logits, ...Object.values(keptOf(probe).taps)].map(typeOfTensor),
            data.length * variants,
          )
        : undefined;
    if (plan)
      notes.push(
        `teacher outputs are computed once and kept ${plan.place === "disk" ? "in a file" : "in memory"} (${formatBytes(plan.bytes)})`,
      );
    yield {
      type: "start",
      steps: total,
      stepsPerEpoch,
      epochs: o.epochs,
      resumedAt: step,
      parameters: modelSize(student).parameters,
      trained: compiled.weights.reduce((n, p) => n + p.size, 0),
      taps,
      notes,
    };

    const teacherEval = yield* evaluateTeacher(teacher, options.evaluation, o, step, stepsPerEpoch);
    if (step === 0 && teacherEval)
      run?.log({ type: "evaluation", who: "teacher", step: 0, epoch: 0, ...teacherEval.metrics });
    let cache: TeacherCache | undefined;
    const feedsOf = (batch: SampleBatch, samples: Uint32Array) =>
      labelFeeds(use, batch.labels, [samples.length, ...compiled.logitsShape.slice(1)], samples);
    // A run that goes on has it in its state already.
    const teacherMeasure = new TeacherMeasure(step === 0 && step < total ? measured : []);
    const measuresWhileFilling = teacherMeasure.wanted && plan !== undefined && !augments;
    if (plan && variants && teacher && step < total) {
      const filling = fillCache({
        plan,
        samples: data.length,
        variants,
        batch: o.batch,
        ask: async (samples, variant) => {
          const batch = await data.read(samples);
          const { inputs } = batch;
          const said = await teacher.run(augments ? augmented(inputs, data, o, variant, samples) : inputs);
          if (measuresWhileFilling) teacherMeasure.add(said, feedsOf(batch, samples));
          return keptOf(said);
        },
      });
      held.push({
        release: async () => {
          await filling.return(undefined as never);
          cache?.close();
        },
      });
      for (let next = await filling.next(); !options.signal?.aborted; next = await filling.next()) {
        if (next.done) {
          cache = next.value;
          break;
        }
        yield { type: "teacher", done: next.value, total: data.length * variants };
      }
    }

    if (teacher && teacherMeasure.wanted && !options.signal?.aborted) {
      if (!measuresWhileFilling)
        for (const samples of evaluationBatches(data.length, o.batch)) {
          const batch = await data.read(samples);
          teacherMeasure.add(await teacher.run(batch.inputs), feedsOf(batch, samples));
          yield { type: "teacher", done: (samples.at(-1) as number) + 1, total: data.length };
          if (options.signal?.aborted) break;
        }
      if (!options.signal?.aborted)
        for (const [name, value] of teacherMeasure.results()) runner.setVariable(name, value);
    }
    const bothSides = async (samples: Uint32Array): Promise<BothSides> => {
      const { inputs } = await data.read(samples);
      const said = cache && !augments ? cache.gather(samples) : await (teacher as Teacher).run(inputs);
      return { student: await runner.forward(feedStudent(inputs), step), teacher: said };
    };

    const save = (): DistillEvent | undefined => {
      if (!run) return undefined;
      const path = run.saveCheckpoint({
        step,
        epoch: Math.floor(step / stepsPerEpoch),
        stepInEpoch: step % stepsPerEpoch,
        best,
        bestStep,
        state: runner.state,
      });
      return { type: "checkpoint", step, path };
    };
    const exported = () => prepared.export(runner.weights());

    let interrupted = options.signal?.aborted === true;
    while (step < total && !interrupted) {
      const epoch = Math.floor(step / stepsPerEpoch);
      for (const samples of orders(epoch).slice(step % stepsPerEpoch)) {
        for (const [name, value] of await measureBoth(measured, step, orders(0), bothSides))
          runner.setVariable(name, value);
        const batch = await data.read(samples);
        const inputs = augments ? augmented(batch.inputs, data, o, epoch, samples) : batch.inputs;
        const feeds: Record<string, Tensor> = { ...feedStudent(inputs) };
        const raw = cache ? cache.gather(samples, variants && epoch % variants) : await teacher?.run(inputs);
        // An axis of one more or less than the student's makes no difference.
        const said = raw && { ...raw, logits: { ...raw.logits, dims: compiled.logitsShape } };
        if (said) {
          feeds[names.teacherLogits] = said.logits;
          for (const tap of kept) feeds[names.teacherTap(tap)] = said.taps[tap] as Tensor;
        }
        Object.assign(feeds, labelFeeds(use, batch.labels, compiled.logitsShape, samples));
        const learningRate = rate(step);
        const progress = { step, steps: total, stepsPerEpoch };
        const arrays =
          onArrays.length > 0
            ? arrayLoss(onArrays, {
                student: await runner.forward(feeds, step),
                teacher: said as TeacherOutputs,
                feeds,
                progress,
              })
            : undefined;
        const ran = await runner.run(
          usedBy(compiled.step.inputs, { ...feeds, ...arrays?.seeds }),
          progress,
          learningRate,
        );
        const losses = allLosses(ran.losses, arrays);
        if (!Number.isFinite(losses.loss)) {
          save();
          throw diverged(step, losses, learningRate, run?.path);
        }
        ran.accept();
        step++;
        const event = { type: "step", step, epoch, learningRate, losses } as const;
        if (run && (step % o.logEvery === 0 || step === total)) run.log({ ...event });
        yield event;
        // A run that blocks the event loop step after step would never see a signal.
        await new Promise((resolve) => setImmediate(resolve));
        if (options.signal?.aborted) {
          interrupted = true;
          break;
        }
        if (o.checkpointEvery && step % o.checkpointEvery === 0 && step % stepsPerEpoch !== 0) {
          const saved = save();
          if (saved) yield saved;
        }
      }
      if (step % stepsPerEpoch === 0 && options.evaluation) {
        const epochsDone = step / stepsPerEpoch;
        const { bytes, externalFiles } = exported();
        const asWritten = readModel(bytes, {
          source: student.source,
          external: (path) => externalFiles.find((f) => f.path === path)?.data as Uint8Array,
        });
        const found = await evaluateModel(asWritten, options.evaluation, {
          runtime,
          batch: o.batch,
          task: o.task,
          logits: options.studentLogits,
          batchAxis: compiled.batchAxis,
          teacher: teacherEval?.predictions,
        });
        const monitor = o.monitor ?? o.task.monitors.find((m) => found.metrics[m] !== undefined) ?? "loss";
        const value = found.metrics[monitor];
        if (value === undefined)
          throw new DistillError(
            "E_OPTION",
            `the monitored metric ${monitor} cannot be measured on this data; choose one of ${Object.keys(found.metrics).join(", ")}`,
          );
        const better =
          best === undefined || (metricSpecs[monitor].better === "lower" ? value < best : value > best);
        if (better) {
          [best, bestStep, bestMetrics, bestStudent] = [value, step, found.metrics, bytes];
          run?.write("student.onnx", bytes);
        }
        run?.log({
          type: "evaluation",
          who: "student",
          step,
          epoch: epochsDone,
          ...found.metrics,
          best: better,
        });
        yield {
          type: "evaluation",
          who: "student",
          step,
          epoch: epochsDone,
          metrics: found.metrics,
          msPerSample: found.msPerSample,
          ...(found.confusion ? { confusion: found.confusion } : {}),
          best: better,
        };
      }
      const saved = save();
      if (saved) yield saved;
    }
    if (!bestStudent) {
      const path = run?.file("student.onnx");
      const { readFileSync, existsSync } = await import("node:fs");
      if (bestStep !== undefined && path && existsSync(path)) bestStudent = readFileSync(path);
      else {
        bestStudent = exported().bytes;
        if (!interrupted) run?.write("student.onnx", bestStudent);
      }
    }
    const seconds = (performance.now() - began) / 1000;
    if (run && !interrupted)
      run.writeJson("run.json", {
        ...run.readJson<object>("run.json"),
        finished: new Date().toISOString(),
        seconds,
        steps: step,
        bestStep,
        metrics: bestMetrics,
        teacher: teacherEval?.metrics,
      });
    yield {
      type: "done",
      step,
      interrupted,
      student: bestStudent,
      metrics: bestMetrics,
      seconds,
      notes: [cache?.saved()].filter((n) => n !== undefined),
    };
  } finally {
    await Promise.all(held.map((h) => h.release()));
  }
}

/** A teacher's weights are never looked at, so those of a large one stay in its file. */
export async function openModel(
  source: string | Uint8Array | Model,
  what: "teacher" | "student",
): Promise<Model> {
  if (typeof source === "string") {
    const { readModelFile, largeModel } = await import("../onnx/read-model-file.ts");
    return readModelFile(source, what === "teacher" ? { leaveFrom: largeModel } : {});
  }
  if (source instanceof Uint8Array) return readModel(source, { source: what });
  return source;
}

interface OpenedTeacher {
  readonly teacher: Teacher | undefined;
  readonly notes: readonly string[];
  /** What run.json records of how it is asked. */
  readonly record: { readonly logits: string } | null;
}

async function openTeacher(
  options: DistillOptions,
  file: Model | undefined,
  o: Resolved,
  runtime: Runtime,
  sample: SampleBatch,
): Promise<OpenedTeacher> {
  const { teacher, data } = options;
  if (typeof teacher === "function")
    return { teacher: functionTeacher(teacher, o.taps, o.task), notes: [], record: null };
  if (!file) return { teacher: undefined, notes: [], record: null };
  const { model, logits, notes } = await prepareTeacher(file, {
    runtime,
    batch: o.batch,
    feeds: feederFor(file, data)(sample.inputs),
    logits: options.teacherLogits,
    activation: o.task.outputs,
    taps: o.taps.map((t) => t.teacher),
  });
  return {
    teacher: await modelTeacher(model, runtime, data, o.taps, logits.value, o.task),
    notes,
    record: { logits: logits.value },
  };
}

const typeOfTensor = (t: Tensor): TensorType => ({ dtype: t.dtype, dims: t.dims });
const typesOf = (feeds: Record<string, Tensor>): Record<string, TensorType> =>
  Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, typeOfTensor(t)]));

function checkSameLogits(student: Model, logits: Shape, probe: TeacherOutputs | undefined): void {
  const withoutOnes = (dims: Shape): Shape => dims.filter((d, i) => i === 0 || d !== 1);
  if (!probe || sameShape(withoutOnes(probe.logits.dims), withoutOnes(logits))) return;
  const [said, own] = [rowsShape(probe.logits.dims), rowsShape(logits)];
  if (said[1] !== own[1])
    throw new DistillError(
      "E_SHAPE",
      `the teacher gives ${said[1]} logits, the student ${student.source} gives ${own[1]}; both need the same`,
    );
  throw new DistillError(
    "E_SHAPE",
    `the teacher's logits are ${formatShape(probe.logits.dims)}, those of the student ${student.source} are ${formatShape(logits)}; both need the same positions`,
  );
}

/** Only what the step's graph takes: a loss at weight 0 asks for no labels. */
function usedBy(
  inputs: readonly { readonly name: string }[],
  feeds: Record<string, Tensor>,
): Record<string, Tensor> {
  return Object.fromEntries(
    inputs.filter((i) => i.name in feeds).map((i) => [i.name, feeds[i.name] as Tensor]),
  );
}

function augmented(
  inputs: readonly Tensor[],
  data: Dataset,
  o: Resolved,
  epoch: number,
  samples: Uint32Array,
): Tensor[] {
  return inputs.map((x, i) => {
    const zero = data.inputs[i]?.zero;
    return x.dims.length === 4
      ? augment(x, o.augment, { seed: o.seed, epoch, samples, ...(zero === undefined ? {} : { zero }) })
      : x;
  });
}

async function* evaluateTeacher(
  teacher: Teacher | undefined,
  dataset: Dataset | undefined,
  o: Resolved,
  step: number,
  stepsPerEpoch: number,
): AsyncGenerator<DistillEvent, Evaluation | undefined> {
  if (!teacher || !dataset) return undefined;
  const found = await evaluate((inputs) => teacher.logits(inputs), dataset, {
    batch: o.batch,
    task: o.task,
    batchAxis: 0,
  });
  yield {
    type: "evaluation",
    who: "teacher",
    step,
    epoch: Math.floor(step / stepsPerEpoch),
    metrics: found.metrics,
    msPerSample: found.msPerSample,
    ...(found.confusion ? { confusion: found.confusion } : {}),
    best: false,
  };
  return found;
}

/** What must be the same for a run to be continued, and what run.json records. */
function identityOf(
  options: DistillOptions,
  o: Resolved,
  student: Model,
  strategy: AnyStrategy | undefined,
  prepared: object,
) {
  const { target, task, taskOptions, ...rest } = o;
  return {
    format: 1,
    config: {
      ...rest,
      task: task.name,
      ...taskOptions,
      target: target.name,
      strategy: strategy ? describeStrategy(strategy) : { name: "supervised" },
      student: student.source,
      studentSha256: sha256(student),
      teacher:
        typeof options.teacher === "string" ? options.teacher : options.teacher ? "(given in memory)" : null,
      samples: options.data.length,
      evaluationSamples: options.evaluation?.length ?? 0,
      prepared,
    },
  };
}

/** Of the file and its external data, in the order of their locations. */
function sha256(model: Model): string {
  const hash = createHash("sha256").update(modelBytes(model));
  for (const file of model.externalFiles.toSorted((a, b) => (a.path < b.path ? -1 : 1)))
    for (let at = 0; at < fileSize(file); at += 2 ** 26)
      hash.update(fileView(file, at, Math.min(2 ** 26, fileSize(file) - at)));
  return hash.digest("hex");
}

function resumePoint(run: RunFolder, identity: { config: Record<string, unknown> }) {
  const before = run.readJson<{ config?: Record<string, unknown> }>("run.json").config ?? {};
  const now = JSON.parse(JSON.stringify(identity.config)) as Record<string, unknown>;
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [was, is] = [JSON.stringify(before[key]), JSON.stringify(now[key])];
    if (was !== is)
      throw new DistillError(
        "E_RUN",
        `${run.path} was begun with ${key} ${was ?? "(none)"}, now it is ${is ?? "(none)"}; resume with the same options, or start a new run`,
      );
  }
  return run.loadCheckpoint();
}

/** What an earlier part of the run measured of the student of that step. */
function metricsAt(run: RunFolder, step: number | undefined): Metrics {
  const entry = run
    .entries()
    .findLast((e) => e.type === "evaluation" && e.who === "student" && e.step === step);
  if (!entry) return {};
  const { type, who, step: _, epoch, best, ...metrics } = entry;
  return metrics;
}

function diverged(
  step: number,
  losses: Record<string, number>,
  learningRate: number,
  path: string | undefined,
): DistillError {
  const culprit = Object.entries(losses).find(([name, v]) => name !== "loss" && !Number.isFinite(v));
  const where = culprit ? ` (${culprit[0]})` : "";
  const kept = path ? ` The state before it is saved in ${path}.` : "";
  return new DistillError(
    "E_DIVERGED",
    `the loss is ${losses.loss}${where} at step ${step + 1}, learning rate ${learningRate.toPrecision(3)}: lower the learning rate, clip gradients (--clip-norm), or look for NaN in the data.${kept}`,
  );
}
