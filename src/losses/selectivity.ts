// Neuron selectivity as graph values: the emitted twin of NeuronSelectivityDistillationStrategy's intermediate loss.
// Works on maps where they lie: reductions run over the sample axes, nothing is transposed to [samples, neurons].
import { DistillError } from "../base/errors.ts";
import { formatShape, sizeOf } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import {
  ACTIVITY_THRESHOLD,
  DEAD_NEURON_MEAN,
  type SelectivityMetric,
  SURROGATE_STEEPNESS,
} from "../strategies/index.ts";

/** The axis that counts neurons: the last of [N, C] and [N, T, C], the second of [N, C, H, W] and [N, C, D, H, W]. */
export function neuronAxis(rank: number): number {
  return rank >= 4 ? 1 : rank - 1;
}

/** Everything but the neurons is a sample. Two stages where space follows the neurons: contiguous axes first. */
function overSamples(b: Builder, x: Value, reduce: (x: Value, axes: number[]) => Value): Value {
  const rank = b.dims(x).length;
  const axis = neuronAxis(rank);
  const after = Array.from({ length: rank - axis - 1 }, (_, i) => axis + 1 + i);
  const before = Array.from({ length: axis }, (_, i) => i);
  const inner = after.length > 0 ? reduce(x, after) : x;
  return before.length > 0 ? reduce(inner, before) : inner;
}

const sums = (b: Builder, x: Value): Value => overSamples(b, x, (v, axes) => b.reduceSum(v, axes, true));
const maxima = (b: Builder, x: Value): Value => overSamples(b, x, (v, axes) => b.reduceMax(v, axes, true));

/** Scores [1, …, neurons, …, 1], one per neuron. */
type Score = (b: Builder, x: Value, samples: number) => Value;

const scores: Record<SelectivityMetric, Score> = {
  /** v = (1/S) Σ (a − μ)²;  dv/da = 2 (a − μ) / S: the path through μ sums to zero. */
  variance: (b, x, samples) => {
    const centred = b.sub(x, b.scale(sums(b, x), 1 / samples));
    const score = b.scale(sums(b, b.square(centred)), 1 / samples);
    b.region({
      inputs: [x],
      outputs: [score],
      grad: (dy) => [() => b.mul(centred, b.scale(dy(0), 2 / samples))],
    });
    return score;
  },
  /** Share of |a| > τ; its gradient is that of the mean of σ(k(|a| − τ)). */
  sparsity: (b, x, samples) => {
    const size = b.abs(x);
    const active = b.cast(b.greater(size, b.like(x, ACTIVITY_THRESHOLD)), typeOf(x).dtype);
    const score = b.scale(sums(b, active), 1 / samples);
    b.region({
      inputs: [x],
      outputs: [score],
      grad: (dy) => [
        () => {
          const s = b.sigmoid(b.scale(b.shift(size, -ACTIVITY_THRESHOLD), SURROGATE_STEEPNESS));
          const slope = b.scale(b.mul(s, b.sub(b.like(x, 1), s)), SURROGATE_STEEPNESS / samples);
          return b.mul(dy(0), b.mul(slope, b.sign(x)));
        },
      ],
    });
    return score;
  },
  /** p = max|a| / mean|a|, 0 for a dead neuron; both the peak's and the mean's term flow back. */
  "peak-to-average": (b, x, samples) => {
    const size = b.abs(x);
    const peak = maxima(b, size);
    const mean = b.scale(sums(b, size), 1 / samples);
    const alive = b.greater(mean, b.like(x, DEAD_NEURON_MEAN));
    const score = b.where(alive, b.div(peak, b.where(alive, mean, b.like(x, 1))), b.like(x, 0));
    b.region({
      inputs: [x],
      outputs: [score],
      grad: (dy) => [
        () => {
          const isPeak = b.cast(b.equal(size, b.expand(peak, b.dims(x))), typeOf(x).dtype);
          const inverse = b.where(alive, b.reciprocal(b.where(alive, mean, b.like(x, 1))), b.like(x, 0));
          const ofPeak = b.mul(isPeak, b.div(inverse, sums(b, isPeak)));
          const ofMean = b.scale(b.mul(score, inverse), 1 / samples);
          return b.mul(b.mul(dy(0), b.sign(x)), b.sub(ofPeak, ofMean));
        },
      ],
    });
    return score;
  },
};

/** weight · (1/N) Σ (score_s − score_t)² over the N neurons of one tap. */
export function selectivityLoss(
  b: Builder,
  student: Value,
  teacher: Value,
  metric: SelectivityMetric,
  weight: number,
): Value {
  const score = (x: Value): Value => {
    const dims = b.dims(x);
    const neurons = dims[neuronAxis(dims.length)] as number;
    const samples = sizeOf(dims) / neurons;
    if (samples < 2)
      throw new DistillError(
        "E_SHAPE",
        `selectivity of ${formatShape(dims)}: one sample does not show how a neuron varies; train with a batch of two or more`,
      );
    return b.reshape(scores[metric](b, x, samples), [neurons]);
  };
  const difference = b.sub(score(student), score(teacher));
  return b.scale(b.reduceSum(b.square(difference)), weight / (b.dims(difference)[0] as number));
}
