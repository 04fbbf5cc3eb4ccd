// What an optimizer is to the compiler: named state per weight, named scalars per step, and an update written with
// graph values. Each optimizer is a literal in a file of its own; the table is in index.ts.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";

export interface UpdateContext {
  readonly b: Builder;
  readonly weight: Value;
  readonly gradient: Value;
  /** This weight's state, in the order of `slots`. */
  readonly slots: readonly Value[];
  /** The step's scalars, each of shape []. */
  readonly scalars: Readonly<Record<string, Value>>;
  /** λ for this weight, or for each of its elements, in place of the optimizer's own; undefined: that. */
  readonly weightDecay?: number | Value | undefined;
}

export interface Updated {
  readonly weight: Value;
  readonly slots: readonly Value[];
}

export interface Optimizer {
  readonly name: string;
  /** λ ≥ 0, as the optimizer was given it. */
  readonly weightDecay: number;
  /** Names of the tensors kept per weight, all of the weight's shape and starting at zero. */
  readonly slots: readonly string[];
  /** The scalars that change from step to step (float32 when fed): the learning rate first. */
  readonly scalarNames: readonly string[];
  /** Their values at a 0-based step. */
  scalars(step: number, learningRate: number): Readonly<Record<string, number>>;
  update(c: UpdateContext): Updated;
}
