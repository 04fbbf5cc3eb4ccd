// `onnx-distill eval`: one model on one part of a data set, as tables or as JSON.
import { DistillError } from "../base/errors.ts";
import { formatBytes, formatCount, formatMilliseconds, formatPercent } from "../base/format.ts";
import { largeModel, readModelFile } from "../onnx/read-model-file.ts";
import { fixedBatchOf } from "../prepare/fixed-batch.ts";
import { checkFixedNames } from "../prepare/fixed-inputs.ts";
import { formatMetric, metricSpecs } from "../tasks/index.ts";
import { resolveClassMap } from "../train/class-map.ts";
import { type Evaluation, recalls } from "../train/evaluate.ts";
import { evaluateModel } from "../train/evaluate-model.ts";
import { modelSize } from "../train/model-figures.ts";
import { askedOf, resolveOutputs } from "../train/output-options.ts";
import { readClassMap } from "./class-map-option.ts";
import { type FixFlags, parseFix } from "./fix-option.ts";
import { type CliIo, exitCodes } from "./io.ts";
import { openPart } from "./open-data.ts";
import type { OutputFlags } from "./output-flags.ts";
import { createProgress } from "./progress.ts";
import { runtimeFor } from "./runtime-for.ts";
import { table } from "./table.ts";
import { type TaskFlags, taskOf } from "./task-flags.ts";
import { flagOf } from "./train-options.ts";

export interface EvalFlags
  extends TaskFlags,
    Omit<OutputFlags, "studentGives">,
    Pick<FixFlags, "fix" | "teacherFix"> {
  data?: string;
  mean?: number | number[];
  std?: number | number[];
  split?: "train" | "test";
  teacher?: string;
  batch?: number;
  logits?: string;
  teacherLogits?: string;
  classMap?: string;
  gives?: OutputFlags["studentGives"];
  threads?: number;
  json?: boolean;
}

export async function evalCommand(path: string, flags: EvalFlags, io: CliIo): Promise<number> {
  if (flags.data === undefined) throw new DistillError("E_OPTION", "eval needs --data");
  for (const key of ["teacherLogits", "teacherGives", "teacherFix", "classMap"] as const)
    if (flags[key] !== undefined && flags.teacher === undefined)
      throw new DistillError("E_OPTION", `${flagOf(key)} needs a --teacher`);
  const task = taskOf(flags);
  const classMap =
    flags.classMap === undefined ? undefined : resolveClassMap(readClassMap(flags.classMap), task, true);
  const model = await readModelFile(path, { leaveFrom: largeModel });
  const fixed = fixedBatchOf(model);
  if (fixed !== undefined && flags.batch !== undefined && flags.batch !== fixed)
    throw new DistillError(
      "E_ARGUMENT",
      `${path}: made for a fixed batch of ${fixed}, not ${flags.batch}; leave the batch size out`,
    );
  const teacher =
    flags.teacher === undefined ? undefined : await readModelFile(flags.teacher, { leaveFrom: largeModel });
  const dataset = await openPart(flags.data, flags.split, flags);
  if (!dataset.hasLabels && !teacher)
    throw new DistillError(
      "E_DATA",
      `${flags.data}: no labels, so nothing can be measured; give a --teacher to compare with, or data with labels${dataset.unlabelled === undefined ? "" : ` (${dataset.unlabelled})`}`,
    );
  const runtime = runtimeFor(flags.threads);
  const fix = parseFix(flags.fix);
  const teacherFix = { ...fix, ...parseFix(flags.teacherFix, "--teacher-fix") };
  checkFixedNames(fix ?? {}, teacher ? [model, teacher] : [model], "--fix");
  const outputs = resolveOutputs({ ...flags, studentGives: flags.gives }, task);
  const notes: string[] = [];
  const measure = async (
    m: typeof model,
    label: "model" | "teacher",
    logits?: string,
    teacherSays?: Evaluation,
  ) => {
    const progress = createProgress({ stream: io.stderr, total: dataset.length, label, unit: "sample" });
    try {
      const measured = await evaluateModel(m, dataset, {
        runtime,
        batch: flags.batch,
        logits,
        fix: m === model ? fix : teacherFix,
        task,
        asked: askedOf(outputs, label === "model" ? "student" : "teacher"),
        role: label,
        teacher: teacherSays?.predictions,
        teacherWidth: teacherSays?.width,
        classMap: label === "teacher" ? classMap : undefined,
        onProgress: (done) => progress.update(done),
      });
      for (const note of [measured.choice, measured.note]) if (note !== undefined) notes.push(note);
      return measured;
    } finally {
      progress.finish("");
    }
  };
  const taught = teacher && (await measure(teacher, "teacher", flags.teacherLogits));
  const found = await measure(model, "model", flags.logits, taught);
  if (taught && taught.width !== found.width)
    throw new DistillError(
      "E_SHAPE",
      `the teacher gives ${taught.width} numbers for each row, ${path} gives ${found.width}, so they cannot be compared; say which of the teacher's classes each of the model's is with --class-map, or leave the teacher out`,
    );
  const { confusion } = found;
  const names = confusion?.map((_, i) => dataset.classNames?.[i] ?? String(i)) ?? [];
  const recall = confusion && recalls(confusion);
  const size = modelSize(model);
  if (flags.json) {
    const { metrics, msPerSample, samples, batch } = found;
    const result = {
      model: path,
      data: flags.data,
      samples,
      batch,
      ...metrics,
      msPerSample,
      parameters: size.parameters,
      bytes: size.bytes,
      ...(notes.length > 0 && { notes }),
      ...(recall && {
        classes: recall.map((r, i) => ({ name: names[i], samples: sum(confusion?.[i]), recall: r })),
        confusion,
      }),
      ...(taught && {
        teacher: { model: flags.teacher, ...taught.metrics, msPerSample: taught.msPerSample },
      }),
    };
    io.stdout.write(`${JSON.stringify(result)}\n`);
    return exitCodes.ok;
  }
  const measured = task.metrics.filter((key) => found.metrics[key] !== undefined);
  const [main] = measured;
  const rows: [string, string][] = [
    ...measured.map((key): [string, string] => [
      metricSpecs[key].title,
      formatMetric(key, found.metrics[key], 2),
    ]),
    ...(main && taught?.metrics[main] !== undefined
      ? [
          [`teacher's ${metricSpecs[main].title}`, formatMetric(main, taught.metrics[main], 2)] as [
            string,
            string,
          ],
        ]
      : []),
    [
      "time per sample",
      `${formatMilliseconds(found.msPerSample)} at batch ${Math.min(found.batch, found.samples)}`,
    ],
    ["parameters", formatCount(size.parameters)],
    ["size", formatBytes(size.bytes)],
  ];
  for (const note of notes) io.stdout.write(`${note}\n`);
  io.stdout.write(`${path} on ${formatCount(found.samples)} samples of ${flags.data}\n`);
  io.stdout.write(table(rows));
  if (recall) {
    io.stdout.write("\nrecall of each class\n");
    io.stdout.write(
      table(
        recall.map((r, i) => [
          names[i] as string,
          formatPercent(r),
          `of ${formatCount(sum(confusion?.[i]))}`,
        ]),
        [1, 2],
      ),
    );
  }
  return exitCodes.ok;
}

const sum = (row: readonly number[] | undefined): number => (row ?? []).reduce((a, b) => a + b, 0);
