// What the options of `train` name, opened: models, data and loss, as distill() wants them. `compare` opens each of its rows
// the same way.
import type { Dataset } from "../data/dataset.ts";
import type { Model } from "../onnx/model.ts";
import { largeModel, readModelFile } from "../onnx/read-model-file.ts";
import type { Runtime } from "../runtime/session.ts";
import type { DistillOptions } from "../train/options.ts";
import { readClassMap } from "./class-map-option.ts";
import { readClassWeights } from "./class-weights-option.ts";
import { parseFix } from "./fix-option.ts";
import { loadStrategy } from "./load-strategy.ts";
import { loadStudent } from "./load-student.ts";
import { openEvaluation, openTraining } from "./open-data.ts";
import { paddingRowsOf } from "./padding-row-option.ts";
import { noDecayOf, parameterGroupsOf } from "./parameter-group-option.ts";
import { runtimeFor } from "./runtime-for.ts";
import { strategyOf } from "./strategy-options.ts";
import { parseTaps } from "./tap-option.ts";
import { taskOf } from "./task-flags.ts";
import { optimizerOf, type TrainFlags } from "./train-options.ts";

export interface OpenedRun {
  readonly student: Model;
  readonly teacher: Model | undefined;
  readonly data: Dataset;
  readonly evaluation: Dataset | undefined;
  readonly runtime: Runtime;
  /** Everything but where the run is written and what stops it. */
  readonly options: DistillOptions;
}

export type RunFlags = TrainFlags & { readonly student: string; readonly data: string };

export interface RunData {
  readonly data: Dataset;
  readonly evaluation: Dataset | undefined;
}

/** Options of distill() that are not a flag's to say: where the run goes, and what its caller shares or stops. */
type OfCaller = "out" | "resume" | "signal" | "teacherOutputs";
/** Options of distill() that the command line has no flag for. */
type WithoutFlag = "teacherCacheBytes" | "worker" | "target";
/** Every other one, said or undefined: an option that is added does not compile until flags lead to it. */
type FromFlags = {
  readonly [K in Exclude<keyof Required<DistillOptions>, OfCaller | WithoutFlag>]: DistillOptions[K];
};

/**
 * `openData`: where the data comes from; default: what the flags name. E_OPTION for options that contradict each other, before
 * anything is opened.
 */
export async function openRun(
  flags: RunFlags,
  openData: (flags: RunFlags) => Promise<RunData> = openNamed,
): Promise<OpenedRun> {
  const task = taskOf(flags);
  const own = flags.strategy === undefined ? undefined : await loadStrategy(flags.strategy);
  const strategy = strategyOf(flags, task, own);
  const optimizer = optimizerOf(flags);
  const runtime = runtimeFor(flags.threads);
  const student = await loadStudent(flags.student, flags.seed ?? 0);
  const teacher =
    flags.teacher === undefined ? undefined : await readModelFile(flags.teacher, { leaveFrom: largeModel });
  const taps = teacher && parseTaps(flags, teacher.graph, student.graph);
  const { data, evaluation } = await openData(flags);
  const options: FromFlags = {
    student,
    teacher: flags.teacher,
    data,
    evaluation,
    strategy,
    taps,
    optimizer,
    learningRate: flags.lr,
    schedule: {
      ...(flags.schedule !== undefined && { schedule: flags.schedule }),
      ...(flags.warmup !== undefined && { warmup: flags.warmup }),
    },
    clipNorm: flags.clipNorm,
    averageWeights: flags.averageWeights,
    patience: flags.patience,
    minDelta: flags.minDelta,
    projectOutputs: flags.projectOutputs,
    classMap: flags.classMap === undefined ? undefined : readClassMap(flags.classMap),
    classWeights: flags.classWeights === undefined ? undefined : readClassWeights(flags.classWeights),
    noDecay: noDecayOf(flags),
    parameterGroups: parameterGroupsOf(flags),
    freeze: flags.freeze,
    train: flags.train,
    untie: flags.untie,
    paddingRows: paddingRowsOf(flags.paddingRow),
    init: flags.init,
    insertBatchNorm: flags.insertBatchnorm,
    batchNorm: flags.batchNorm,
    epochs: flags.epochs,
    batch: flags.batch,
    accumulate: flags.accumulate,
    seed: flags.seed,
    augment: {
      ...(flags.flip && { flip: true }),
      ...(flags.crop !== undefined && { crop: flags.crop }),
      ...(flags.variants !== undefined && { variants: flags.variants }),
    },
    task: flags.task,
    ignoreIndex: flags.ignoreIndex,
    huberDelta: flags.huberDelta,
    blankIndex: flags.blankIndex,
    studentLogits: flags.studentLogits,
    teacherLogits: flags.teacherLogits,
    studentGives: flags.studentGives,
    teacherGives: flags.teacherGives,
    classAxis: flags.classAxis,
    batchAxis: flags.batchAxis,
    fix: parseFix(flags.fix),
    studentFix: parseFix(flags.studentFix, "--student-fix"),
    teacherFix: parseFix(flags.teacherFix, "--teacher-fix"),
    teacherCache: flags.teacherCache,
    teacherCacheType: flags.teacherCacheType,
    checkpointEvery: flags.checkpointEvery,
    logEvery: flags.logEvery,
    monitor: flags.monitor,
    keep: flags.keep,
    runtime,
  };
  return { student, teacher, data, evaluation, runtime, options };
}

const openNamed = async (flags: RunFlags): Promise<RunData> => ({
  data: await openTraining(flags.data, flags),
  evaluation: await openEvaluation(flags.data, flags.evalData, flags),
});
