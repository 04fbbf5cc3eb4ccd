// Activations as a metric sees them: which axes are samples. Metrics work on maps where they lie: they reduce over those axes,
// and nothing is transposed to [samples, neurons].
import { DistillError } from "../../base/errors.ts";
import { neuronAxis } from "../../base/layout.ts";
import { formatShape } from "../../base/tensor.ts";
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import type { SelectivityOver } from "../../strategies/index.ts";

export interface Samples {
  readonly b: Builder;
  /** [N, C], [N, T, C] or [N, C, …space]. */
  readonly x: Value;
  /** The axes that a score is taken over, and how many elements they hold. */
  readonly axes: readonly number[];
  readonly count: number;
  /** Over `axes`, which stay with length 1. */
  mean(v: Value): Value;
  sum(v: Value): Value;
  max(v: Value): Value;
  /** [N, K] distributions over classes, for metrics that tell them apart. */
  readonly classes: Value | undefined;
}

/** `x` with samples as `over` has them; for a metric of samples instead of neurons, reduced over the neurons. */
export function samplesOf(
  b: Builder,
  activations: Value,
  over: SelectivityOver,
  of: "neuron" | "sample",
  classes: Value | undefined,
): Samples {
  const given = b.dims(activations);
  const positions = positionAxes(given.length);
  const pooled = over === "samples" && positions.length > 0;
  const x = pooled ? b.reduceMean(activations, positions) : activations;
  const dims = b.dims(x);
  const neurons = neuronAxis(dims.length);
  const axes =
    of === "sample"
      ? [neurons]
      : over === "positions"
        ? positions
        : dims.map((_, i) => i).filter((i) => i !== neurons);
  if (over === "positions" && sizeAlong(dims, positions) < 2)
    throw new DistillError(
      "E_SHAPE",
      `selectivity of ${formatShape(given)} over positions: one position does not show how a neuron varies; tap a map [N, C, H, W] or a sequence [N, T, C]`,
    );
  if (sizeAlong(dims, axes) < 2)
    throw new DistillError(
      "E_SHAPE",
      of === "neuron"
        ? `selectivity of ${formatShape(given)}: one sample does not show how a neuron varies; train with a batch of two or more`
        : `selectivity of ${formatShape(given)}: population sparseness compares neurons and needs at least 2`,
    );
  return reducing(b, x, axes, classes);
}

/** The axes behind the samples that are not the neurons'. */
export function positionAxes(rank: number): number[] {
  return Array.from({ length: rank }, (_, i) => i).filter((i) => i !== 0 && i !== neuronAxis(rank));
}

function reducing(b: Builder, x: Value, axes: readonly number[], classes: Value | undefined): Samples {
  const dims = b.dims(x);
  const count = sizeAlong(dims, axes);
  // Two stages where other axes lie between: what is contiguous in memory first.
  const inner = axes.filter((a) => dims.every((_, i) => i <= a || axes.includes(i)));
  const outer = axes.filter((a) => !inner.includes(a));
  const staged = (reduce: (v: Value, over: readonly number[]) => Value) => (v: Value) => {
    const once = inner.length > 0 ? reduce(v, inner) : v;
    return outer.length > 0 ? reduce(once, outer) : once;
  };
  const sum = staged((v, over) => b.reduceSum(v, over, true));
  return {
    b,
    x,
    axes,
    count,
    sum,
    mean: (v) => b.scale(sum(v), 1 / count),
    max: staged((v, over) => b.reduceMax(v, over, true)),
    classes,
  };
}

const sizeAlong = (dims: readonly number[], axes: readonly number[]): number =>
  axes.reduce((n, a) => n * (dims[a] as number), 1);
