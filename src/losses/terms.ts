// What a loss emission is given and what it returns.
import type { Tensor } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";

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

export interface LossContext {
  readonly b: Builder;
  readonly state: LossState;
  /** [R, C]: one row per prediction, which is a sample, or a position of a sample. */
  readonly studentLogits: Value;
  /** [R, C]; undefined without a teacher. */
  readonly teacherLogits: Value | undefined;
  /** [R, C] distributions; undefined where no labels are used. */
  readonly labels: Value | undefined;
  readonly taps: readonly TapPair[];
}

/** One summand of the loss, weight included: the terms add up to the loss. */
export interface LossTerm {
  /** `hard`, `soft`, `selectivity/<tap>`: logged as `loss/<name>`. */
  readonly name: string;
  /** Scalar. */
  readonly value: Value;
}

/** The mean of a value per row [R] over the rows: the one place that says what a loss's mean over predictions is. */
export function rowMean({ b, studentLogits }: LossContext, perRow: Value): Value {
  return b.scale(b.reduceSum(perRow), 1 / (b.dims(studentLogits)[0] as number));
}
