// The training loop: teacher + student + data + strategy -> events, and a better student. Supervised training is the same
// loop without a teacher. Its phases have files of their own: prepare-run, teacher-answers, train-step, evaluate-run.
import { DistillError } from "../base/errors.ts";
import { roleRows } from "../compile/role-table.ts";
import { continueRun } from "./continued-run.ts";
import { Divergence } from "./divergence.ts";
import { BestStudent, evaluateTeacher, evaluationEvent } from "./evaluate-run.ts";
import type { DistillEvent } from "./events.ts";
import { loadStep } from "./load-step.ts";
import { modelSize } from "./model-figures.ts";
import type { DistillOptions } from "./options.ts";
import { projectionOf } from "./output-projection.ts";
import { type Held, type PreparedRun, prepareRun } from "./prepare-run.ts";
import type { Checkpoint, RunFolder } from "./run-folder.ts";
import { BatchAhead, readStepBatch, readStepBatches } from "./step-batch.ts";
import { TeacherAnswers } from "./teacher-answers.ts";
import { trainStep } from "./train-step.ts";

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
  const began = performance.now();
  const held: Held = [];
  let ahead: BatchAhead | undefined;
  try {
    const prepared = await prepareRun(options, held);
    const { o, compiled, student, schedule, identity } = prepared;
    const { stepsPerEpoch, steps } = schedule;
    const { folder, checkpoint, notes } = await openFolder(prepared);
    if (folder && !checkpoint)
      folder.writeJson("run.json", { ...identity, started: new Date().toISOString() });

    const loaded = await loadStep(prepared);
    held.push(loaded);
    const { runner } = loaded;
    const exported = () => student.export(runner.weights());
    if (checkpoint) runner.restore(checkpoint.state);
    else if (o.init !== "keep") folder?.write("initial.onnx", exported().bytes);
    let step = checkpoint?.step ?? 0;
    const best = new BestStudent(prepared, folder, checkpoint);
    const divergence = new Divergence(prepared, runner);
    const answers = new TeacherAnswers(prepared);
    held.push(answers);
    yield {
      type: "start",
      steps,
      stepsPerEpoch,
      epochs: o.epochs,
      resumedAt: step,
      parameters: modelSize(student.own).parameters,
      trained: compiled.weights.reduce((n, p) => n + p.size, 0),
      roles: roleRows([...compiled.constants, ...student.ties]),
      taps: prepared.taps,
      notes: [...notes, ...prepared.notes, ...answers.notes, ...loaded.notes],
    };

    const taught = await evaluateTeacher(prepared);
    if (taught) {
      const epoch = Math.floor(step / stepsPerEpoch);
      yield evaluationEvent(taught, { who: "teacher", step, epoch, best: false });
      if (step === 0) folder?.log({ type: "evaluation", who: "teacher", step, epoch, ...taught.metrics });
    }
    if (step < steps && !best.stop.isDue(step)) yield* answers.prepare(runner, step);
    ahead = new BatchAhead((at, group) => readStepBatches(prepared, answers, at, group));

    const save = (): DistillEvent | undefined => {
      if (!folder) return undefined;
      const path = folder.saveCheckpoint({
        step,
        epoch: Math.floor(step / stepsPerEpoch),
        stepInEpoch: step % stepsPerEpoch,
        best: best.value,
        bestStep: best.step,
        gain: best.stop.gain,
        state: runner.state,
      });
      return { type: "checkpoint", step, path };
    };
    let interrupted = options.signal?.aborted === true;
    while (step < steps && !interrupted && !best.stop.isDue(step)) {
      const epoch = Math.floor(step / stepsPerEpoch);
      const groups = schedule.groups(epoch).slice(step % stepsPerEpoch);
      for (const [i, group] of groups.entries()) {
        const batches = await ahead.take(step, group);
        await answers.measureBoth(runner, step);
        yield* prepared.steps.news();
        const next = groups[i + 1];
        const trained = await trainStep(prepared, runner, step, batches, () => {
          if (next && !options.signal?.aborted) ahead?.begin(step + 1, next);
        }).catch((error: unknown) => {
          if (error instanceof DistillError && error.code === "E_NOT_FINITE") return error;
          throw error;
        });
        if (trained instanceof DistillError || !Number.isFinite(trained.losses.loss)) {
          await ahead.release();
          const at = trained instanceof DistillError ? 0 : trained.worst;
          const again = await readStepBatch(prepared, answers, step, group[at] as Uint32Array);
          throw await divergence.error(trained, step, again, () => (save() ? folder?.path : undefined));
        }
        const { losses, learningRate, accept } = trained;
        divergence.watch(losses.loss as number);
        accept();
        step++;
        const event = { type: "step", step, epoch, learningRate, losses } as const;
        if (folder && (step % o.logEvery === 0 || step === steps)) folder.log({ ...event });
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
      divergence.checkState(step);
      if (step % stepsPerEpoch === 0 && options.evaluation)
        yield await best.evaluate(exported(), step, taught?.predictions, projectionOf(runner));
      const saved = save();
      if (saved) yield saved;
    }

    const bytes = await best.bytes(() => exported().bytes, !interrupted);
    const seconds = (performance.now() - began) / 1000;
    if (folder && !interrupted)
      folder.writeJson("run.json", {
        ...folder.readJson<object>("run.json"),
        finished: new Date().toISOString(),
        seconds,
        steps: step,
        bestStep: best.step,
        metrics: best.metrics,
        teacher: taught?.metrics,
      });
    yield {
      type: "done",
      step,
      interrupted,
      student: bytes,
      metrics: best.metrics,
      seconds,
      notes: [
        ...answers.told(),
        prepared.steps.tell(),
        interrupted ? undefined : best.stop.tell(step),
      ].filter((n) => n !== undefined),
    };
  } finally {
    await ahead?.release();
    await Promise.all(held.map((h) => h.release()));
  }
}

/** The run's folder, where it has one, the checkpoint to go on from, and what the user should know about that. */
async function openFolder(run: PreparedRun): Promise<{
  folder: RunFolder | undefined;
  checkpoint: Checkpoint | undefined;
  notes: readonly string[];
}> {
  const { out, resume } = run.options;
  if (out === undefined) return { folder: undefined, checkpoint: undefined, notes: [] };
  const { RunFolder } = await import("./run-folder.ts");
  if (!resume) return { folder: RunFolder.create(out), checkpoint: undefined, notes: [] };
  const folder = RunFolder.open(out);
  return { folder, ...continueRun(run, folder) };
}
