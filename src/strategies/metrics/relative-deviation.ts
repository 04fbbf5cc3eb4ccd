// How much a neuron's response varies compared with the other neurons of its layer.
import { measureVariance, mixCentralMoments } from "./central-moments.ts";
import { FLOOR_SQUARED, type Metric, perNeuron } from "./metric.ts";

/**
 * With σ = √(v + ε²) of each neuron and m their mean over the layer: score = σ / m. By the quotient rule, with
 * `upstream` u, d loss / d σ = u/m − Σ u·score / (N m), and d σ / d v = 1 / (2σ).
 */
export const relativeDeviation: Metric = {
  ...perNeuron,
  measure: measureVariance,
  mix: mixCentralMoments,
  score: ([, v]) => {
    const deviations = v!.map(deviation);
    const mean = meanOf(deviations);
    return deviations.map((d) => d / mean);
  },
  scoreGradient: ([, v], scores, upstream) => {
    const deviations = v!.map(deviation);
    const mean = meanOf(deviations);
    const common = meanOf(upstream.map((u, c) => u * scores[c]!));
    return [undefined, upstream.map((u, c) => (u - common) / (mean * 2 * deviations[c]!))];
  },
};

const deviation = (v: number): number => Math.sqrt(v + FLOOR_SQUARED);
const meanOf = (x: Float64Array): number => x.reduce((a, b) => a + b, 0) / x.length;
