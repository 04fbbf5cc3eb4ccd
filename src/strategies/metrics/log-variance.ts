// How much a neuron's response varies, by orders of magnitude: differences of this score are ratios of variances.
import { measureVariance, mixCentralMoments } from "./central-moments.ts";
import { FLOOR_SQUARED, type Metric, perNeuron } from "./metric.ts";

/** score = ln(v + ε²), v the variance;  d score / d v = 1 / (v + ε²). */
export const logVariance: Metric = {
  ...perNeuron,
  measure: measureVariance,
  mix: mixCentralMoments,
  score: ([, v]) => v!.map((x) => Math.log(x + FLOOR_SQUARED)),
  scoreGradient: ([, v], _scores, upstream) => [
    undefined,
    upstream.map((u, c) => u / (v![c]! + FLOOR_SQUARED)),
  ],
};
