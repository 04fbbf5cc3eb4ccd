// Similarity preserving distillation: samples that are alike to the teacher shall be alike to the student.
import { DistillError } from "../../base/errors.ts";
import { formatShape } from "../../base/tensor.ts";
import type { Matrix } from "../matrix.ts";
import {
  type LayerComparison,
  type LayerPair,
  LayerStrategyBase,
  type LayerStrategyOptions,
} from "./layer-strategy.ts";
import { product, productNT, sumOfSquares } from "./products.ts";

/** Rows of similarities no longer than this count as none: they are 0, and get no gradient. */
export const DEAD_SIMILARITY = 1e-12;

/**
 * With A `[B, everything]` the activations of a layer, a sample to a row, G = A·Aᵀ and Ĝ = G with every row divided by
 * its length,
 *
 *   loss = 1/B² ‖Ĝ_student − Ĝ_teacher‖²_F.
 *
 * Needs a batch of two; neurons and positions may differ. A sample whose row of G is no longer than 1e-12 has a row of
 * zeros and gets no gradient by it. Weight: default 300, for use
 * beside a distillation loss on outputs; without one the authors took 3000.
 *
 * Source: F. Tung and G. Mori, "Similarity-Preserving Knowledge Distillation", 2019, arXiv:1907.09682.
 *
 * @example
 * ```ts
 * import { IntermediateActivations, Matrix, SimilarityPreservingStrategy } from "onnx-distill";
 *
 * const layer = (rows: number[][]) => new IntermediateActivations().add("l", Matrix.fromRows(rows));
 * const strategy = new SimilarityPreservingStrategy({ weight: 1 });
 * strategy.computeIntermediateLoss(layer([[0, 2], [2, 0]]), layer([[3], [0]])); // => 0.25
 * ```
 */
export class SimilarityPreservingStrategy extends LayerStrategyBase {
  constructor(options: LayerStrategyOptions = {}) {
    super(options, [], 300);
  }

  compareLayer({ student, teacher, whatStudent }: LayerPair): LayerComparison {
    const samples = student.rows / student.positions;
    if (samples < 2)
      throw new DistillError(
        "E_SHAPE",
        `${whatStudent} is ${formatShape(student.dims)}, one sample; similarities of samples need at least 2, so use a larger batch`,
      );
    const own = similarities(student, samples);
    const other = similarities(teacher, samples);
    const difference = own.unit.map((v, i) => v - other.unit[i]!);
    return {
      loss: sumOfSquares(difference) / samples ** 2,
      gradient: () => own.backward(difference.map((v) => (2 * v) / samples ** 2)),
    };
  }
}

function similarities(m: Matrix, samples: number) {
  // The positions of a sample follow each other, so the same numbers are a row for each sample.
  const a = Float64Array.from(m.data);
  const width = a.length / samples;
  const g = productNT(a, a, samples, width, samples);
  const inverse = new Float64Array(samples);
  for (let r = 0; r < samples; r++) {
    const norm = Math.sqrt(sumOfSquares(g.subarray(r * samples, (r + 1) * samples)));
    inverse[r] = norm > DEAD_SIMILARITY ? 1 / norm : 0;
  }
  const unit = g.map((v, i) => v * inverse[Math.floor(i / samples)]!);
  return {
    unit,
    /** dG = (dĜ − Ĝ·(Ĝ·dĜ)) / ‖G‖ row by row, and dA = (dG + dGᵀ)·A. */
    backward(cotangent: Float64Array): Float64Array {
      const along = new Float64Array(samples);
      cotangent.forEach((d, i) => {
        along[Math.floor(i / samples)]! += d * unit[i]!;
      });
      const dG = cotangent.map((d, i) => {
        const r = Math.floor(i / samples);
        return (d - unit[i]! * along[r]!) * inverse[r]!;
      });
      const both = dG.map((v, i) => v + dG[(i % samples) * samples + Math.floor(i / samples)]!);
      return product(both, a, samples, samples, width);
    },
  };
}
