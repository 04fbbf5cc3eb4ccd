// How few of the neurons the response to a sample comes from (Treves and Rolls 1991): a score for each sample, not for
// each neuron.

import { DistillError } from "../../base/errors.ts";
import { formatShape } from "../../base/tensor.ts";
import { throwOverflow } from "../checks.ts";
import type { Matrix } from "../matrix.ts";
import { ratio } from "./lifetime-sparseness.ts";
import { averagedScores, FLOOR_SQUARED, type Measured, signOf } from "./metric.ts";

/**
 * With M = (1/N) Σ|a| and Q = (1/N) Σa² over the N neurons of a row: score = 1 − (M² + ε²) / (Q + ε²), for each row;
 * d score / d a = (2/N) (R a − M sign(a)) / (Q + ε²), where R is the ratio.
 */
export const populationSparseness = averagedScores("sample", measureRows);

function measureRows(what: string, activations: Matrix): Measured {
  const { rows, columns, data, dims } = activations;
  if (columns < 2)
    throw new DistillError(
      "E_SHAPE",
      `${what} is ${formatShape(dims)}; population sparseness compares neurons and needs at least 2`,
    );
  const mean = new Float64Array(rows);
  const square = new Float64Array(rows);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, i++) {
      const a = data[i]!;
      mean[r]! += Math.abs(a);
      square[r]! += a * a;
    }
    mean[r]! /= columns;
    square[r]! /= columns;
    if (!Number.isFinite(square[r]!)) throwOverflow(what, activations);
  }
  return {
    scores: mean.map((m, r) => 1 - ratio(m, square[r]!)),
    backward(upstream, out) {
      for (let r = 0, i = 0; r < rows; r++) {
        const slope = (2 * upstream[r]!) / (columns * (square[r]! + FLOOR_SQUARED));
        const share = ratio(mean[r]!, square[r]!);
        for (let c = 0; c < columns; c++, i++) {
          const a = data[i]!;
          out[i] = slope * (share * a - mean[r]! * signOf(a)) + 0;
        }
      }
    },
  };
}
