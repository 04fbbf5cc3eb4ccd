// max|a| / mean|a|, 0 for a dead neuron; both the peak's and the mean's term flow back, and ties share the peak's.
import { typeOf } from "../../graph/graph.ts";
import { DEAD_NEURON_MEAN } from "../../strategies/index.ts";
import { averagedScores } from "./metric.ts";

export const peakToAverage = averagedScores((s) => {
  const { b, x, count } = s;
  const size = b.abs(x);
  const peak = s.max(size);
  const mean = s.mean(size);
  const dead = b.lessOrEqual(mean, b.like(x, DEAD_NEURON_MEAN)); // NaN is not, and stays NaN
  const score = b.where(dead, b.like(x, 0), b.div(peak, b.where(dead, b.like(x, 1), mean)));
  b.region({
    inputs: [x],
    outputs: [score],
    grad: (dy) => [
      () => {
        const isPeak = b.cast(b.equal(size, b.expand(peak, b.dims(x))), typeOf(x).dtype);
        const inverse = b.where(dead, b.like(x, 0), b.reciprocal(b.where(dead, b.like(x, 1), mean)));
        const ofPeak = b.mul(isPeak, b.div(inverse, s.sum(isPeak)));
        const ofMean = b.scale(b.mul(score, inverse), 1 / count);
        return b.mul(b.mul(dy(0), b.sign(x)), b.sub(ofPeak, ofMean));
      },
    ],
  });
  return score;
});
