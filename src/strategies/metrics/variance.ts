// How much a neuron's response varies over the samples.
import { measureVariance, mixCentralMoments } from "./central-moments.ts";
import { type Metric, perNeuron } from "./metric.ts";

/** score = (1/B) Σ (a − μ)²;  d score / d a = (2/B) (a − μ). */
export const variance: Metric = {
  ...perNeuron,
  measure: measureVariance,
  mix: mixCentralMoments,
  score: ([, v]) => v!,
  scoreGradient: (_at, _scores, upstream) => [undefined, upstream],
};
