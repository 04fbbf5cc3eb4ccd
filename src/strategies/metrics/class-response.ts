// What a neuron answers to each class: its mean response, compared with another neuron's up to a factor.
import { classMeans, classMeansGradient, measureClasses } from "./class-means.ts";
import { type Metric, mixMeans } from "./metric.ts";

/** Scores μ_k, the mean of a over the samples of class k, `[classes × neurons]`; 0 for a class without samples. */
export const classResponse: Metric = {
  of: "neuron",
  needsClasses: true,
  isProfile: true,
  measure: measureClasses(false),
  mix: mixMeans,
  score: classMeans,
  scoreGradient: (at, _scores, upstream) => [undefined, classMeansGradient(at, upstream)],
};
