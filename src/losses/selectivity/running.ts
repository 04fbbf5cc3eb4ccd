// The student's moments as a running mean over batches: the emitted twin of strategies/running-moments.ts. The mean and
// its weight are state of the step.
import { sizeOf, tensor } from "../../base/tensor.ts";
import { typeOf, type Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import type { LossState } from "../terms.ts";
import type { EmittedMetric } from "./metric.ts";

export interface Running {
  /** The batch's moments mixed with those before: share·batch + (1 − share)·before. */
  readonly moments: Value[];
  /** (1 − m) / (1 − mᵏ) at the k-th step: a scalar. */
  readonly share: Value;
}

export function runningMoments(
  b: Builder,
  state: LossState,
  name: string,
  metric: EmittedMetric,
  batch: readonly Value[],
  momentum: number,
): Running {
  const { dtype } = typeOf(batch[0] as Value);
  const sizes = batch.map((v) => sizeOf(b.dims(v)));
  const length = 1 + sizes.reduce((a, c) => a + c, 0);
  const variable = state.variable(name, tensor("float32", new Float32Array(length)));
  const [before, ...parts] = b.split(b.cast(variable.value, dtype), [1, ...sizes], 0) as [Value, ...Value[]];
  const weight = b.shift(b.scale(before, momentum), 1 - momentum);
  const share = b.reshape(b.div(b.like(weight, 1 - momentum), weight), []);
  const shaped = parts.map((p, i) => b.reshape(p, b.dims(batch[i] as Value)));
  const moments = metric.mix(b, shaped, batch, share);
  const next = b.concat([weight, ...moments.map((v, i) => b.reshape(v, [sizes[i] as number]))], 0);
  variable.assign(b.cast(next, "float32"));
  return { moments, share };
}

/** `value` with its gradient multiplied by 1/share: a batch with that share moves the mixture as if it were all of it. */
export function gradientForAll(b: Builder, value: Value, share: Value): Value {
  const same = b.node("Identity", [value]);
  b.region({ inputs: [value], outputs: [same], grad: (dy) => [() => b.div(dy(0), share)] });
  return same;
}
