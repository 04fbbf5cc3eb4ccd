// What the emitted form of a selectivity metric has to answer: the twin of strategies/metrics/metric.ts, whose formulas
// and reasons hold here too. One file beside this for each metric, one table in ../selectivity.ts.
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import type { SelectivityOver } from "../../strategies/index.ts";
import { positionAxes, type Samples } from "./samples.ts";

export interface EmittedMetric {
  /** Means over the samples, from which the scores follow; differentiable by `s.x`. */
  moments(s: Samples): Value[];
  /** The moments of two sets of samples together, of which `c` has the share `share` (a scalar in [0, 1]). */
  mix(b: Builder, a: readonly Value[], c: readonly Value[], share: Value): Value[];
  /** Scores, in the layout of the moments. */
  score(s: Samples, moments: readonly Value[]): Value;
}

/** A metric whose only moments are its scores. */
export function averagedScores(score: (s: Samples) => Value): EmittedMetric {
  return { moments: (s) => [score(s)], mix: mixMeans, score: (_, [scores]) => scores as Value };
}

/**
 * The metric with scores taken over positions (where `over` says so) averaged: of neurons over the samples, of samples over
 * their positions. A metric over samples is taken as it is; `samplesOf` gives it those samples.
 */
export function takenOver(
  metric: EmittedMetric,
  over: SelectivityOver,
  of: "neuron" | "sample",
): EmittedMetric {
  if (over !== "positions") return metric;
  return averagedScores((s) => {
    const scores = metric.score(s, metric.moments(s));
    const { b } = s;
    return b.reduceMean(scores, of === "neuron" ? [0] : positionAxes(b.dims(scores).length), true);
  });
}

/** `mix` for moments that are plain means: a + share·(c − a). */
export function mixMeans(b: Builder, a: readonly Value[], c: readonly Value[], share: Value): Value[] {
  return a.map((v, i) => b.add(v, b.mul(share, b.sub(c[i] as Value, v))));
}
