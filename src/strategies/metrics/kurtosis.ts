// How heavy the tails of a neuron's responses are: a neuron that answers seldom but strongly has a large kurtosis.
import { throwOverflow } from "../checks.ts";
import { sumShifted } from "../columns/passes.ts";
import type { FloatArray, Matrix } from "../matrix.ts";
import { mixCentralMoments } from "./central-moments.ts";
import { FLOOR_SQUARED, type Metric, type Moments, perNeuron } from "./metric.ts";

/**
 * score = m₄ / (m₂ + ε²)², with central moments mₖ = (1/B) Σ (a − μ)ᵏ; Pearson's, 3 for a normal distribution.
 * d score / d m₄ = 1 / (m₂ + ε²)² and d score / d m₂ = −2 score / (m₂ + ε²).
 */
export const kurtosis: Metric = {
  ...perNeuron,
  measure: measureFourMoments,
  mix: mixCentralMoments,
  score: ([, m2, , m4]) => m4!.map((x, c) => x / (m2![c]! + FLOOR_SQUARED) ** 2),
  scoreGradient: ([, m2], scores, upstream) => [
    undefined,
    upstream.map((u, c) => (-2 * u * scores[c]!) / (m2![c]! + FLOOR_SQUARED)),
    undefined,
    upstream.map((u, c) => u / (m2![c]! + FLOOR_SQUARED) ** 2),
  ],
};

/**
 * Parts μ, m₂, m₃, m₄, in a second pass about the mean of the first. d mₖ / d a = (k/B) ((a − μ)ᵏ⁻¹ − mₖ₋₁), where
 * m₁ = 0; m₃ is there for mixing alone.
 */
function measureFourMoments(what: string, activations: Matrix): Moments {
  const { rows, columns, data } = activations;
  const { first, shift } = sumShifted(activations);
  for (let c = 0; c < columns; c++) shift[c]! /= rows;
  const [m2, m3, m4] = [new Float64Array(columns), new Float64Array(columns), new Float64Array(columns)];
  for (let r = 0, i = 0; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) {
      const d = data[i]! - first[c]! - shift[c]!;
      const square = d * d;
      m2[c]! += square;
      m3[c]! += square * d;
      m4[c]! += square * square;
    }
  for (let c = 0; c < columns; c++) {
    m2[c]! /= rows;
    m3[c]! /= rows;
    m4[c]! /= rows;
    if (!Number.isFinite(m4[c]!)) throwOverflow(what, activations);
  }
  const mean = shift.map((d, c) => first[c]! + d);
  return {
    parts: [mean, m2, m3, m4],
    backward([, ofM2, , ofM4], [meanThere, , m3There], out) {
      const offset = shift.map((d, c) => d + (meanThere![c]! - mean[c]!));
      fill(activations, first, offset, ofM2!, ofM4!, m3There!, out);
    },
  };
}

function fill(
  { rows, columns, data }: Matrix,
  first: Float64Array,
  offset: Float64Array,
  ofM2: Float64Array,
  ofM4: Float64Array,
  m3: Float64Array,
  out: FloatArray,
): void {
  for (let r = 0, i = 0; r < rows; r++)
    for (let c = 0; c < columns; c++, i++) {
      const d = data[i]! - first[c]! - offset[c]!;
      out[i] = (2 * ofM2[c]! * d + 4 * ofM4[c]! * (d * d * d - m3[c]!)) / rows + 0;
    }
}
