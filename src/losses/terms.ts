// What a loss emission is given and what it returns.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";

export interface TapPair {
  readonly name: string;
  /** [N, C], [N, T, C] or [N, C, H, W]. */
  readonly student: Value;
  readonly teacher: Value;
}

export interface LossContext {
  readonly b: Builder;
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
