// What a loss emission is given and what it returns.
import { type Tensor, type TensorType, tensor } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { Matrix, Progress } from "../strategies/index.ts";

export interface TapPair {
  readonly name: string;
  /** [N, C], [N, T, C] or [N, C, H, W]. */
  readonly student: Value;
  readonly teacher: Value;
}

/** State of the loss's own, by a name that is unique in the step: checkpointed, never part of the exported student. */
export interface LossState {
  /** Trained with the student by the same optimizer. `initial` is float32 and must not differ between calls. */
  parameter(name: string, initial: Tensor): Value;
  /** Carried from step to step; no gradient reaches an earlier step. */
  variable(name: string, initial: Tensor): LossVariable;
}

export interface LossVariable {
  /** As the last step left it. */
  readonly value: Value;
  /** Sets the value that the next step finds, of the same shape; without it the variable stays as it is. */
  assign(next: Value): void;
}

/**
 * A variable of a loss that is measured outside the step, from activations, and set by the training loop: once before the
 * first step from the teacher's over all training samples, or every so many steps from both sides' over some of them.
 */
export interface MeasuredVariable {
  /** Its name, as `LossState.variable` is given it. */
  readonly name: string;
  readonly tap: string;
  /** Steps from one time to the next, the first being before the first step; undefined: that one only, of the teacher alone. */
  readonly every?: number;
  begin(): Measurement;
}

export interface Measurement {
  /** Adds a batch; `student` where both sides are measured, `classes` `[samples, K]` where samples have any. */
  add(batch: { readonly teacher: Matrix; readonly student?: Matrix; readonly classes?: Matrix }): void;
  /** The variable's value. */
  result(): Float32Array;
}

export interface LossContext {
  readonly b: Builder;
  readonly state: LossState;
  /** [R, C]: one row per prediction, which is a sample, or a position of a sample. */
  readonly studentLogits: Value;
  /** [R, C]; undefined without a teacher. */
  readonly teacherLogits: Value | undefined;
  /** [R, C]: what the rows should say (distributions over classes, or targets); undefined where no labels are used. */
  readonly labels: Value | undefined;
  /** [R] int32, where labels are class indices; `labels` is then their one-hot form, made only if it is read. */
  readonly labelIndices?: Value | undefined;
  /**
   * [R]: 0 for a row that does not count (padding, an ignored label); undefined: every row counts. `rowMean` heeds it;
   * a loss that relates rows to each other must do so itself.
   */
  readonly rowWeights?: Value | undefined;
  /** [R]: how much each label counts in the loss on labels (weights of classes, 0 where the row does not count); default: as `rowWeights`. */
  readonly labelWeights?: Value | undefined;
  /**
   * Scalars: what the rows, and what the labels, count in the mean over batches whose gradients are added up; means of such
   * batches are then those of all their rows. Default: what they count in this batch.
   */
  readonly rowTotal?: Value | undefined;
  readonly labelTotal?: Value | undefined;
  /** How much each class counts in the loss on labels that are distributions; default: 1. */
  readonly classWeights?: readonly number[] | undefined;
  readonly taps: readonly TapPair[];
}

/** One summand of the loss, weight included: the terms add up to the loss. */
export interface LossTerm {
  /** `hard`, `soft`, `selectivity/<tap>`: logged as `loss/<name>`. */
  readonly name: string;
  /** Scalar. */
  readonly value: Value;
  /** Factor to the value over a run: a scalar input of the step. Default: always 1. */
  readonly factor?: ((progress: Progress) => number) | undefined;
}

/** Keeps 0/0 from being asked where no row counts; below any sum of weights that is meant. */
const LEAST_WEIGHT = 1e-12;

/** What a mean over rows weighs them with, and divides by. */
export interface RowCounts {
  readonly weights?: Value | undefined;
  readonly total?: Value | undefined;
}

/**
 * The mean of a value per row [R] over the rows: the one place that says what a loss's mean over predictions is. With
 * row weights w: Σ w·x / Σ w over the rows with w > 0, and 0 where there is none. What a row that does not count would lose
 * is no matter, also where it is infinite (its class 0, which stands in for the label, may be ruled out).
 */
export function rowMean(
  c: LossContext,
  perRow: Value,
  { weights: w, total }: RowCounts = { weights: c.rowWeights, total: c.rowTotal },
): Value {
  const { b } = c;
  if (!w && !total) return b.scale(b.reduceSum(perRow), 1 / (b.dims(c.studentLogits)[0] as number));
  const counted = w ? b.where(b.greater(w, b.like(w, 0)), b.mul(perRow, w), b.like(w, 0)) : perRow;
  const by = total ?? b.reduceSum(w as Value);
  return b.div(b.reduceSum(counted), b.max(by, b.like(by, LEAST_WEIGHT)));
}

/** [R] class indices -> [R, C] of the given type, 1 at the index and 0 elsewhere. */
export function oneHotRows(b: Builder, indices: Value, { dtype, dims }: TensorType): Value {
  const [rows, classes] = dims as readonly [number, number];
  const positions = Array.from({ length: classes }, (_, c) => c);
  const all = b.constant(tensor("int32", positions, [1, classes]), "classes");
  return b.cast(b.equal(b.reshape(indices, [rows, 1]), all), dtype);
}
