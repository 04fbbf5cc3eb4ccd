// How far a neuron prefers one class to the others: the class selectivity index of Morcos, Barrett, Rabinowitz and
// Botvinick, "On the importance of single directions for generalization", 2018, arXiv:1803.06959.
import { classMeans, classMeansGradient, measureClasses } from "./class-means.ts";
import { type Metric, mixMeans, type Parts, RESPONSE_FLOOR } from "./metric.ts";

/**
 * With μ_k the mean of |a| over the samples of class k, t the largest and o the mean of the others (classes without
 * samples left out): score = (t − o) / (t + o + ε), 0 where fewer than two classes have samples. With D the
 * denominator, d score / d t = (2o + ε) / D² and d score / d o = −(2t + ε) / D²; classes that share the largest mean
 * share its derivative.
 */
export const classSelectivity: Metric = {
  of: "neuron",
  needsClasses: true,
  isProfile: false,
  measure: measureClasses(true),
  mix: mixMeans,
  score: (at) => {
    const { top, others, columns } = preference(at);
    const scores = new Float64Array(columns);
    for (let c = 0; c < columns; c++)
      scores[c] = (top[c]! - others[c]!) / (top[c]! + others[c]! + RESPONSE_FLOOR);
    return scores;
  },
  scoreGradient: (at, _scores, upstream) => {
    const { means, present, top, ties, others, columns } = preference(at);
    const gradient = new Float64Array(means.length);
    const count = present.reduce<number>((n, p) => n + p, 0);
    if (count >= 2)
      for (let k = 0, i = 0; k < present.length; k++)
        for (let c = 0; c < columns; c++, i++) {
          if (present[k] === 0) continue;
          const denominator = top[c]! + others[c]! + RESPONSE_FLOOR;
          const ofTop = (2 * others[c]! + RESPONSE_FLOOR) / denominator ** 2;
          const ofOthers = -(2 * top[c]! + RESPONSE_FLOOR) / denominator ** 2;
          const isTop = means[i] === top[c] ? 1 / ties[c]! : 0;
          gradient[i] = upstream[c]! * (ofTop * isTop + (ofOthers * (1 - isTop)) / (count - 1));
        }
    return [undefined, classMeansGradient(at, gradient)];
  },
};

/** The largest class mean of each neuron, how many classes share it, and the mean of the others. */
function preference(at: Parts) {
  const present = Array.from(at[0]!, (w) => (w > 0 ? 1 : 0));
  const count = present.reduce<number>((n, p) => n + p, 0);
  const means = classMeans(at);
  const columns = means.length / present.length;
  const top = new Float64Array(columns);
  const ties = new Float64Array(columns);
  const others = new Float64Array(columns);
  for (let k = 0, i = 0; k < present.length; k++)
    for (let c = 0; c < columns; c++, i++) {
      if (present[k] === 0) continue;
      const m = means[i]!;
      others[c]! += m;
      if (ties[c] === 0 || m > top[c]!) {
        top[c] = m;
        ties[c] = 1;
      } else if (m === top[c]) ties[c]! += 1;
    }
  for (let c = 0; c < columns; c++) others[c] = count < 2 ? top[c]! : (others[c]! - top[c]!) / (count - 1);
  return { present, means, top, ties, others, columns };
}
