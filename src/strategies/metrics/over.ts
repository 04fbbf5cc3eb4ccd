// Over what a metric is taken: each way is the metric itself with other samples put before it.
import { DistillError } from "../../base/errors.ts";
import { formatShape } from "../../base/tensor.ts";
import { checkNotEmpty, checkTwoSamples, throwOverflow } from "../checks.ts";
import { type FloatArray, Matrix } from "../matrix.ts";
import type { SelectivityOver } from "../selectivity-words.ts";
import { averagedScores, type Metric } from "./metric.ts";

const ways: Readonly<Record<SelectivityOver, (metric: Metric) => Metric>> = {
  "samples-and-positions": (metric) => metric,
  samples: pooledFirst,
  positions: perSample,
};

export function metricOver(metric: Metric, over: SelectivityOver): Metric {
  return ways[over](metric);
}

/** Refuses activations that show no selectivity: fewer than two samples, or positions where those are compared. */
export function checkComparable(what: string, activations: Matrix, over: SelectivityOver): void {
  const { rows, positions } = activations;
  if (over === "samples-and-positions") {
    checkTwoSamples(what, activations);
    return;
  }
  checkNotEmpty(what, activations);
  if (over === "samples" && rows / positions < 2)
    throw new DistillError(
      "E_SHAPE",
      `${what} holds ${rows / positions} sample; selectivity compares samples and needs at least 2, so use a larger batch`,
    );
  if (over === "positions" && positions < 2)
    throw new DistillError(
      "E_SHAPE",
      `${what} is ${formatShape(activations.dims)} with 1 position for each sample; selectivity over positions compares positions and needs at least 2: ` +
        "give a map [N, C, H, W] or a sequence [N, T, C]",
    );
}

/** The mean over a sample's positions stands for the sample. */
function pooledFirst(metric: Metric): Metric {
  return {
    ...metric,
    measure(what, activations, classes) {
      const { rows, columns, positions } = activations;
      if (positions === 1) return metric.measure(what, activations, classes);
      const inner = metric.measure(what, meanOfPositions(what, activations), classes);
      return {
        parts: inner.parts,
        backward(upstream, at, out) {
          const pooled = new Float64Array((rows / positions) * columns);
          inner.backward(upstream, at, pooled);
          for (let r = 0, i = 0; r < rows; r++) {
            const from = Math.floor(r / positions) * columns;
            for (let c = 0; c < columns; c++, i++) out[i] = pooled[from + c]! / positions + 0;
          }
        },
      };
    },
  };
}

/** One row for each sample: the mean over its positions. */
export function meanOfPositions(what: string, activations: Matrix): Matrix {
  const { rows, columns, data, positions } = activations;
  if (positions === 1) return activations;
  const samples = rows / positions;
  const out = new Float64Array(samples * columns);
  for (let r = 0, i = 0; r < rows; r++) {
    const to = Math.floor(r / positions) * columns;
    for (let c = 0; c < columns; c++, i++) out[to + c]! += data[i]!;
  }
  for (let i = 0; i < out.length; i++) {
    out[i]! /= positions;
    // Here, because the pooled matrix no longer knows the row of the value to blame.
    if (!Number.isFinite(out[i]!)) throwOverflow(what, activations);
  }
  return new Matrix(samples, columns, out);
}

/**
 * Each sample's scores over its own positions, averaged over the samples; where there is a score for each position, its
 * mean over the positions for each sample.
 */
function perSample(metric: Metric): Metric {
  return averagedScores(metric.of, (what, activations) => {
    const { rows, columns, positions } = activations;
    const samples = rows / positions;
    const sums = new Float64Array(metric.of === "neuron" ? columns : samples);
    const each = Array.from({ length: samples }, (_, n) => {
      const moments = metric.measure(`${what}, sample ${n},`, ofSample(activations, activations.data, n));
      const scores = metric.score(moments.parts);
      scores.forEach((s, i) => {
        sums[metric.of === "neuron" ? i : n]! += s / (metric.of === "neuron" ? samples : positions);
      });
      return { moments, scores };
    });
    return {
      scores: sums,
      backward(upstream, out) {
        each.forEach(({ moments, scores }, n) => {
          const share =
            metric.of === "neuron"
              ? upstream.map((u) => u / samples)
              : new Float64Array(positions).fill(upstream[n]! / positions);
          const ofParts = metric.scoreGradient(moments.parts, scores, share);
          moments.backward(ofParts, moments.parts, ofSample(activations, out, n).data);
        });
      },
    };
  });
}

/** The rows of one sample, as a view. */
function ofSample({ columns, positions }: Matrix, data: FloatArray, n: number): Matrix {
  const size = positions * columns;
  return new Matrix(positions, columns, data.subarray(n * size, (n + 1) * size));
}
