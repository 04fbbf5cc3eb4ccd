// The options of distill(), checked and resolved once.
import { checkKeys, DistillError, didYouMean } from "../base/errors.ts";
import type { AugmentOptions } from "../data/augment.ts";
import type { Dataset } from "../data/dataset.ts";
import { type ProjectionOptions, resolveProjection } from "../losses/projection-options.ts";
import type { Model } from "../onnx/model.ts";
import { type TargetName, targets } from "../ops/target.ts";
import { type OptimizerConfig, optimizerDefaults } from "../optim/index.ts";
import type { ScheduleOptions } from "../optim/schedules.ts";
import { type Fix, recordOf } from "../prepare/fixed-inputs.ts";
import { type WeightInit, weightInits } from "../prepare/weight-init.ts";
import type { Runtime } from "../runtime/session.ts";
import type { AnyStrategy } from "../strategies/index.ts";
import { type MetricKey, type TaskName, taskNamed } from "../tasks/index.ts";
import { type CachePlace, type CacheType, cachePlaces, cacheTypes } from "./cache-places.ts";
import { type ClassMap, resolveClassMap } from "./class-map.ts";
import { resolveClassWeights } from "./class-weights.ts";
import { earlyStop } from "./early-stop.ts";
import { keptStudents } from "./kept-students.ts";
import { type OutputOptions, resolveOutputs } from "./output-options.ts";
import { resolveOutputProjection } from "./output-projection.ts";
import {
  type ParameterGroupOptions,
  resolveGroups,
  resolveNoDecay,
  resolvePaddingRows,
} from "./parameter-groups.ts";
import type { SharedTeacherOutputs } from "./shared-teacher-outputs.ts";
import { partsOnTaps } from "./task-strategy.ts";
import type { TeacherFunction } from "./teacher.ts";

export interface Tap {
  /** The logical name, as strategies and logs know it; default: the student's value. */
  readonly name?: string;
  /** A value of the teacher's graph (for a teacher function: unused). */
  readonly teacher: string;
  /** A value of the student's graph; default: the same name as the teacher's. */
  readonly student?: string;
  /**
   * A learned linear projection (1×1 convolution) of the student's neurons to as many as the teacher's, which strategies see
   * in their place; trained with the student, kept in checkpoints, left out of the exported student. Default: none.
   */
  readonly project?: boolean | ProjectionOptions;
}

/** A tap whose names are all said. */
export type NamedTap = Tap & Required<Pick<Tap, "name" | "teacher" | "student">>;

export interface DistillOptions extends OutputOptions {
  /** Path or bytes of an ONNX model, or a function from inputs to logits and taps. Without one: training from labels. */
  readonly teacher?: string | Uint8Array | TeacherFunction | undefined;
  /** Path or bytes of an ONNX model, or one that was read or built already. */
  readonly student: string | Uint8Array | Model;
  readonly data: Dataset;
  /** What is evaluated after each epoch; default: nothing. */
  readonly evaluation?: Dataset | undefined;
  /**
   * Default: the task's loss on outputs; with taps also CKA between them, over samples and positions, whose weight falls from
   * 6 to 0 by a cosine (docs/quality.md says why).
   */
  readonly strategy?: AnyStrategy | undefined;
  /**
   * What is compared inside the models; "auto": pairs are chosen by depth and resolution, one for CKA alone, and told before
   * training.
   * Default: "auto" where a strategy is given that compares taps and the teacher is a model, otherwise none.
   */
  readonly taps?: readonly Tap[] | "auto" | undefined;
  /** What the logits mean and how labels are read; default "classification". */
  readonly task?: TaskName | undefined;
  /** Of tasks with class indices: a label whose row does not count. Default: -100, and none for "classification". */
  readonly ignoreIndex?: number | undefined;
  /** Of "regression": δ of Huber's loss; default: none, squared differences. */
  readonly huberDelta?: number | undefined;
  /** Of "ctc": the class that stands for no symbol; default 0. */
  readonly blankIndex?: number | undefined;
  /**
   * How much each class counts in the loss on labels, of tasks whose rows choose one class; as `weight` of torch's
   * cross_entropy: Σ w[y]·CE / Σ w[y] of class indices, −Σ w[c]·y[c]·log q[c] / rows of distributions. One number ≥ 0 for each
   * class; "balanced": n / (classes · n of the class) by the labels of `data` (scikit-learn's). What is measured of students
   * counts all classes alike, and so does what is compared with the teacher. Default: alike.
   */
  readonly classWeights?: readonly number[] | "balanced" | undefined;
  /** Default: SGD with Nesterov momentum 0.9 and weight decay 5e-4. */
  readonly optimizer?: OptimizerConfig | undefined;
  /** Default 0.1 for sgd, 0.001 for adamw. */
  readonly learningRate?: number | undefined;
  /** Default: cosine to 0, no warm-up. */
  readonly schedule?: ScheduleOptions | undefined;
  /** Global L2 norm that gradients are clipped to; default: none. */
  readonly clipNorm?: number | undefined;
  /**
   * Decay d, above 0 and below 1, of a moving average of weights and running statistics: after each step
   * average ← d·average + (1−d)·weights, beginning with those after the first step (AveragedModel of torch.optim.swa_utils
   * with `get_ema_multi_avg_fn(d)` and `use_buffers`). The averages are what is evaluated and delivered; training goes on with
   * the weights themselves. Default: none.
   */
  readonly averageWeights?: number | undefined;
  /**
   * What weight decay leaves alone. "auto": biases, scales and offsets of normalisations, and other vectors; "none": nothing;
   * or patterns of weights (`*` any characters), among which "auto" may stand. Default: "auto" for adamw, as the training
   * loops of transformers have it, "none" for sgd, as torch.optim.SGD. E_NAME for a pattern that no trained weight fits.
   */
  readonly noDecay?: "auto" | "none" | readonly string[] | undefined;
  /**
   * Weights by name that have another learning rate or weight decay, or stay as they are:
   * `[{ match: "backbone.*", learningRateFactor: 0.1 }, { match: "head.*", weightDecay: 0 }]`. Of several that say something
   * of a weight, the more specific pattern counts: an exact name, otherwise the one with more characters beside `*`. Default:
   * none; what `freeze` holds is held in any case. E_NAME for a pattern that no trained weight fits.
   */
  readonly parameterGroups?: readonly ParameterGroupOptions[] | undefined;
  /**
   * Patterns (`*` any characters) of constants that stay as they are: `conv1.*`. The running statistics of a
   * BatchNormalization that one of them names stay too, and the layer uses them. E_NAME for one that fits nothing.
   */
  readonly freeze?: readonly string[] | undefined;
  /**
   * Patterns of constants that are trained although the file or their place says that they are not learned (a buffer, a
   * factor of the input; the event `start` lists what is trained and why). Where `freeze` names one of them too, the more
   * specific pattern counts: an exact name first, then the one with more characters that are not `*`; E_OPTION if both are
   * equally so, or for running statistics. Default: none.
   */
  readonly train?: readonly string[] | undefined;
  /**
   * Patterns of constants that train apart: of two that hold the same numbers or each other's transpose and would be tied (an
   * embedding and the head, which an exporter wrote twice), and of one that several nodes share, where each node then has its
   * own, in `student.onnx` too. Default: none. E_OPTION for one that names nothing tied or shared.
   */
  readonly untie?: readonly string[] | undefined;
  /**
   * Rows of embeddings' tables that are not learned by being looked up, as `padding_idx` of torch's nn.Embedding has it, by
   * patterns of names: `{ "embed.weight": 0 }`, or several rows, `[0, -1]`; negative ones count from the end. Weight decay and
   * the table's other uses (a tied head) move them, as in PyTorch; `init` leaves them as they are. Default: none. E_OPTION for
   * a pattern that fits no table that is trained, or a row outside.
   */
  readonly paddingRows?: Readonly<Record<string, number | readonly number[]>> | undefined;
  /**
   * "keep" (default): the student's weights as they are; "kaiming", "xavier", "trunc-normal": fresh ones from the seed, except
   * for what is frozen (see `freshWeights` in src/prepare).
   */
  readonly init?: WeightInit | undefined;
  /**
   * A BatchNormalization after each convolution while training, folded into the convolution's weights in the exported
   * student; default false.
   */
  readonly insertBatchNorm?: boolean | undefined;
  /** "train" (default): batch statistics, running ones updated; "frozen": the running ones, unchanged. */
  readonly batchNorm?: "train" | "frozen" | undefined;
  /**
   * Passes over the data; default 10. The one option that may be another when a run is resumed: what follows from it
   * (learning rate, weights of losses that move) is computed for the new number from there on.
   */
  readonly epochs?: number | undefined;
  /** Samples a step, or a batch of those that a step takes (`accumulate`); default 128. */
  readonly batch?: number | undefined;
  /**
   * Batches whose gradients are added up for one step of the optimizer: k batches of n samples train as one of k·n where the
   * loss is a mean over samples or rows, however many rows of each count; the last step of an epoch takes those that are left.
   * A step is the optimizer's everywhere (schedules, events, checkpoints). Statistics of BatchNormalization, and losses that
   * relate samples to each other, are those of each batch. Default 1.
   */
  readonly accumulate?: number | undefined;
  /** Of the order of samples, augmentation, dropout and fresh weights; default 0. */
  readonly seed?: number | undefined;
  /** Random flips and crops of the inputs; default: none. */
  readonly augment?: AugmentOptions | undefined;
  /** The student's value that holds the logits; default: its first output. */
  readonly studentLogits?: string | undefined;
  readonly teacherLogits?: string | undefined;
  /**
   * For each of the student's classes the teacher's class, counted from 0, where they are not the same: `[2, 0]` for a student
   * of two of the teacher's classes; `[[0, 4], 1]`: several taken together, by the sum of their probabilities. What the teacher
   * says of others is left out: its probabilities are those given that it is one of these. Taps are as they are. Default: class by
   * class.
   */
  readonly classMap?: ClassMap | undefined;
  /**
   * Inputs of either model that are one value for all samples, by name: a number (for all elements), its elements in order,
   * "zeros", "ones", "empty" (nothing along axes that are left open), or a tensor (of a batch of one): `{ sr: 16000, scales: [0.667, 1, 0.8], state: "zeros" }`. The delivered
   * student keeps them as inputs. Default: none, but for an input that has no batch and is the same for every sample of the
   * data set, and for one that is only a recurrent layer's first state and is not in the data set (zeros, which is what the
   * layer takes without it: ONNX, LSTM, GRU, RNN).
   */
  readonly fix?: Fix | undefined;
  /** What the student's inputs are where the teacher's of that name are something else. Default: `fix`. */
  readonly studentFix?: Fix | undefined;
  readonly teacherFix?: Fix | undefined;
  /**
   * Of outputs that are numbers (task "regression": embeddings): a learned linear projection of the student's to as many as the
   * teacher's, y = W·s + c, which the loss compares in their place; trained with the student, kept in checkpoints, left out of
   * the exported student, which keeps its own width. Metrics against the teacher are taken through it. As the regressor of Romero
   * et al., "FitNets", 2015. Default: none, widths must be equal.
   */
  readonly projectOutputs?: boolean | ProjectionOptions | undefined;
  /** Run folder; default: nothing is written. */
  readonly out?: string | undefined;
  /** Continue the run in `out`, to the bits of one that was not interrupted; with other `epochs`, also one that was finished. */
  readonly resume?: boolean | undefined;
  /** Steps between checkpoints, besides the one after each epoch; default: none. */
  readonly checkpointEvery?: number | undefined;
  /** Steps between logged steps; default 10. Every step is an event all the same. */
  readonly logEvery?: number | undefined;
  /** What makes a student the best; default: the task's first metric that can be measured (top1, or agreement without labels). */
  readonly monitor?: Monitor | undefined;
  /**
   * Evaluations in a row in which the monitored metric gains no more than `minDelta` on the best until then, after which the
   * run ends before its last epoch (the learning rate falls as if it did not). Needs `evaluation`. Default: never.
   */
  readonly patience?: number | undefined;
  /** In the unit of the monitored metric; default 0. Of `patience` alone: any better student is still the best. */
  readonly minDelta?: number | undefined;
  /**
   * Which student the run ends with: the "best" evaluated one by `monitor` (default), or the "last". Where the evaluation
   * data are few, the best of many epochs is often one that was lucky before the learning rate had fallen.
   */
  readonly keep?: (typeof keptStudents)[number] | undefined;
  /**
   * Where the teacher's outputs are kept, if they repeat (no augmentation, or `augment.variants`): "memory", "disk" (a file
   * that is gone after the run), "off": the teacher runs at every step. Default "auto": memory up to `teacherCacheBytes`,
   * then disk, up to half of what is free.
   */
  readonly teacherCache?: CachePlace | undefined;
  /** "float16" halves what is kept, and rounds it to 11 bits. Default "float32". */
  readonly teacherCacheType?: CacheType | undefined;
  /** Bytes that "auto" keeps in memory; default 2 GiB. */
  readonly teacherCacheBytes?: number | undefined;
  /** Kept from run to run; default: each run asks for itself. */
  readonly teacherOutputs?: SharedTeacherOutputs | undefined;
  /** Default: onnxruntime-node. */
  readonly runtime?: Runtime | undefined;
  /**
   * Whether steps are computed in a worker thread, which leaves the event loop free: timers, signals, a server's requests.
   * The bits are the same. Only with Node's own runtime; others stay in the caller's thread. Default: where a step takes a
   * tenth of a second or more, roughly. true pays also where the teacher is asked at every step and the runtime has fewer
   * threads than there are cores: both then compute at once.
   */
  readonly worker?: boolean | undefined;
  /** What the runtime is known to have; default "cpu". */
  readonly target?: TargetName | undefined;
  /** Aborting saves a checkpoint (with `out`) and ends the run. */
  readonly signal?: AbortSignal | undefined;
}

export type Monitor = MetricKey;

const keys: { [K in keyof Required<DistillOptions>]: true } = {
  teacher: true,
  student: true,
  data: true,
  evaluation: true,
  strategy: true,
  taps: true,
  task: true,
  ignoreIndex: true,
  huberDelta: true,
  blankIndex: true,
  classWeights: true,
  optimizer: true,
  learningRate: true,
  schedule: true,
  clipNorm: true,
  averageWeights: true,
  noDecay: true,
  parameterGroups: true,
  freeze: true,
  train: true,
  untie: true,
  paddingRows: true,
  init: true,
  insertBatchNorm: true,
  batchNorm: true,
  epochs: true,
  batch: true,
  accumulate: true,
  seed: true,
  augment: true,
  studentLogits: true,
  teacherLogits: true,
  classMap: true,
  projectOutputs: true,
  studentGives: true,
  teacherGives: true,
  classAxis: true,
  batchAxis: true,
  fix: true,
  studentFix: true,
  teacherFix: true,
  out: true,
  resume: true,
  checkpointEvery: true,
  logEvery: true,
  monitor: true,
  keep: true,
  patience: true,
  minDelta: true,
  teacherCache: true,
  teacherCacheType: true,
  teacherCacheBytes: true,
  teacherOutputs: true,
  runtime: true,
  worker: true,
  target: true,
  signal: true,
};

/** Fills in defaults; E_OPTION and E_ARGUMENT for what is unknown, contradictory or out of range. */
export function resolveOptions(o: DistillOptions) {
  checkKeys("distill", o, Object.keys(keys));
  const whole = (name: string, value: number, least: number): number => {
    if (!Number.isInteger(value) || value < least)
      throw new DistillError(
        "E_ARGUMENT",
        `distill: ${name} must be a whole number >= ${least}, got ${value}`,
      );
    return value;
  };
  const among = <T extends string>(name: string, value: T, known: readonly T[]): T => {
    if (!known.includes(value))
      throw new DistillError(
        "E_ARGUMENT",
        `distill: ${name} "${value}" is not known.${didYouMean(value, known)} Known: ${known.join(", ")}.`,
      );
    return value;
  };
  if (!o.student) throw new DistillError("E_OPTION", "distill: a student is needed");
  if (!o.data) throw new DistillError("E_OPTION", "distill: data is needed");
  if (o.resume && o.out === undefined)
    throw new DistillError("E_OPTION", "distill: resume needs `out`, the run folder");
  if (!o.teacher && (o.taps?.length ?? 0) > 0)
    throw new DistillError("E_OPTION", "distill: taps need a teacher");
  if (!o.teacher && o.strategy) throw new DistillError("E_OPTION", "distill: a strategy needs a teacher");
  if (!o.teacher && !o.data.hasLabels)
    throw new DistillError(
      "E_DATA",
      `distill: without a teacher the data needs labels${o.data.unlabelled === undefined ? "" : `; ${o.data.unlabelled}`}`,
    );
  if (o.insertBatchNorm && o.batchNorm === "frozen")
    throw new DistillError(
      "E_OPTION",
      'distill: insertBatchNorm needs batchNorm "train": with frozen statistics it changes nothing',
    );
  if (o.clipNorm !== undefined && !(o.clipNorm > 0))
    throw new DistillError("E_ARGUMENT", `distill: clipNorm must be above 0, got ${o.clipNorm}`);
  if (o.averageWeights !== undefined && !(o.averageWeights > 0 && o.averageWeights < 1))
    throw new DistillError(
      "E_ARGUMENT",
      `distill: averageWeights must be a decay above 0 and below 1, got ${o.averageWeights}`,
    );
  const optimizer: OptimizerConfig = o.optimizer ?? { name: "sgd", momentum: 0.9, weightDecay: 5e-4 };
  // An optimizer that is not known is refused by makeOptimizer.
  const defaults = Object.hasOwn(optimizerDefaults, optimizer.name)
    ? optimizerDefaults[optimizer.name]
    : undefined;
  const parameterGroups = resolveGroups(o.parameterGroups);
  const seed = o.seed ?? 0;
  const automaticTaps = isAutomatic(o);
  const taps = (o.taps === "auto" ? [] : (o.taps ?? [])).map((t) => {
    const name = t.name ?? t.student ?? t.teacher;
    checkKeys(`distill: tap "${name}"`, t, ["name", "teacher", "student", "project"]);
    const { project = false } = t;
    const where = `distill: project of tap "${name}"`;
    if (typeof project === "object") checkKeys(where, project, ["init", "bias", "seed"]);
    return {
      name,
      teacher: t.teacher,
      student: t.student ?? t.teacher,
      ...(project && { project: resolveProjection(where, project === true ? {} : project, seed) }),
    };
  });
  const twice = taps.find((t, i) => taps.findIndex((u) => u.name === t.name) !== i);
  if (twice)
    throw new DistillError(
      "E_OPTION",
      `distill: two taps are named "${twice.name}"; give each a name of its own`,
    );
  const taskOptions = { ignoreIndex: o.ignoreIndex, huberDelta: o.huberDelta, blankIndex: o.blankIndex };
  const task = taskNamed(o.task, taskOptions);
  if (!o.teacher && !task.learnsFromLabels)
    throw new DistillError("E_OPTION", `distill: task ${task.name} learns from a teacher alone; give one`);
  const { monitor } = o;
  if (monitor !== undefined && !task.metrics.includes(monitor))
    throw new DistillError(
      "E_ARGUMENT",
      `distill: monitor "${monitor}" is no metric of task ${task.name}.${didYouMean(monitor, task.metrics)} It has ${task.metrics.join(", ")}.`,
    );
  return {
    optimizer,
    automaticTaps,
    taps,
    task,
    taskOptions,
    classWeights: resolveClassWeights(o.classWeights, task, o.data.hasLabels),
    ...resolveOutputs(o, task),
    projectOutputs: resolveOutputProjection(o, task, seed),
    classMap: resolveClassMap(o.classMap, task, o.teacher !== undefined),
    learningRate: o.learningRate ?? defaults?.learningRate ?? 0,
    schedule: o.schedule ?? {},
    clipNorm: o.clipNorm,
    averageWeights: o.averageWeights,
    ...earlyStop(o),
    noDecay: resolveNoDecay(o.noDecay ?? defaults?.noDecay ?? "none"),
    parameterGroups: parameterGroups.length > 0 ? parameterGroups : undefined,
    freeze: [...(o.freeze ?? []), ...parameterGroups.filter((g) => g.freeze).map((g) => g.match)],
    train: o.train ?? [],
    untie: o.untie ?? [],
    paddingRows: resolvePaddingRows(o.paddingRows),
    init: among("init", o.init ?? "keep", weightInits),
    insertBatchNorm: o.insertBatchNorm ?? false,
    batchNorm: among("batchNorm", o.batchNorm ?? "train", ["train", "frozen"]),
    epochs: whole("epochs", o.epochs ?? 10, 1),
    batch: whole("batch", o.batch ?? 128, 1),
    accumulate: whole("accumulate", o.accumulate ?? 1, 1),
    seed,
    augment: o.augment ?? {},
    checkpointEvery:
      o.checkpointEvery === undefined ? undefined : whole("checkpointEvery", o.checkpointEvery, 1),
    logEvery: whole("logEvery", o.logEvery ?? 10, 1),
    monitor,
    ...(o.fix && { fix: recordOf(o.fix) }),
    ...(o.studentFix && { studentFix: recordOf(o.studentFix) }),
    ...(o.teacherFix && { teacherFix: recordOf(o.teacherFix) }),
    keep: among("keep", o.keep ?? "best", keptStudents),
    teacherCache: among("teacherCache", o.teacherCache ?? "auto", cachePlaces),
    teacherCacheType: among("teacherCacheType", o.teacherCacheType ?? "float32", cacheTypes),
    teacherCacheBytes: o.teacherCacheBytes ?? 2 ** 31,
    target: targets[among("target", o.target ?? "cpu", Object.keys(targets) as TargetName[])],
  };
}

function isAutomatic({ taps, teacher, strategy }: DistillOptions): boolean {
  if (taps === undefined)
    return (
      strategy !== undefined &&
      partsOnTaps(strategy).length > 0 &&
      teacher !== undefined &&
      typeof teacher !== "function"
    );
  if (taps !== "auto") return false;
  if (typeof teacher === "function")
    throw new DistillError(
      "E_OPTION",
      'distill: taps "auto" need a teacher that is a model; name what the teacher function gives: taps: [{ teacher: "…", student: "…" }]',
    );
  return true;
}

export type Resolved = ReturnType<typeof resolveOptions>;

/** A tap with its names and, if asked for, its projection filled in. */
export type ResolvedTap = Resolved["taps"][number];
