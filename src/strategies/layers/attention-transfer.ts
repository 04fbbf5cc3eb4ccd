// Attention transfer: where in a map a layer responds at all, whatever its neurons.
import { DistillError } from "../../base/errors.ts";
import { formatShape } from "../../base/tensor.ts";
import type { Matrix } from "../matrix.ts";
import {
  checkSamePositions,
  type LayerComparison,
  type LayerPair,
  LayerStrategyBase,
  type LayerStrategyOptions,
} from "./layer-strategy.ts";
import { sumOfSquares } from "./products.ts";

/** Attention maps no longer than this count as none: they are 0, and get no gradient. */
export const DEAD_ATTENTION = 1e-12;

/**
 * The attention of a layer at position p of a sample is q_p = 1/C Σ_c a²_cp; with q̂ = q/‖q‖ over the P positions,
 *
 *   loss = 1/(B·P) Σ (q̂_student − q̂_teacher)².
 *
 * For maps `[N, C, H, W]` and sequences `[N, T, C]` with the same positions; numbers of neurons may differ. A
 * sample whose attention is no longer than 1e-12 has q̂ = 0 and gets no gradient. Weight: default 100, for use
 * beside a distillation loss on outputs; without one the authors took 1000.
 *
 * Source: S. Zagoruyko and N. Komodakis, "Paying More Attention to Attention", 2017, arXiv:1612.03928; the mean over
 * positions is that of their code.
 *
 * @example
 * ```ts
 * import { AttentionTransferStrategy, IntermediateActivations } from "onnx-distill";
 *
 * const map = (...values: number[]) =>
 *   new IntermediateActivations().add("l", { data: Float64Array.from(values), dims: [1, values.length / 2, 1, 2] });
 * const strategy = new AttentionTransferStrategy({ weight: 1 });
 * strategy.computeIntermediateLoss(map(3, 0), map(1, 0, -2, 0)); // => 0
 * strategy.computeIntermediateLoss(map(3, 0), map(0, 1)); // => 1
 * ```
 */
export class AttentionTransferStrategy extends LayerStrategyBase {
  constructor(options: LayerStrategyOptions = {}) {
    super(options, [], 100);
  }

  compareLayer(pair: LayerPair): LayerComparison {
    checkSamePositions(pair);
    const { student, teacher, whatStudent } = pair;
    if (student.positions < 2)
      throw new DistillError(
        "E_SHAPE",
        `${whatStudent} is ${formatShape(student.dims)} with one position a sample; attention needs at least 2: give maps [N, C, H, W] or sequences [N, T, C]`,
      );
    const own = attention(student);
    const other = attention(teacher);
    const difference = own.unit.map((v, i) => v - other.unit[i]!);
    const count = difference.length;
    return {
      loss: sumOfSquares(difference) / count,
      gradient: () => own.backward(difference.map((v) => (2 * v) / count)),
    };
  }
}

function attention({ data, rows, columns, positions }: Matrix) {
  const q = new Float64Array(rows);
  for (let i = 0; i < data.length; i++) q[Math.floor(i / columns)]! += (data[i]! * data[i]!) / columns;
  const inverse = new Float64Array(rows / positions);
  for (let n = 0; n < inverse.length; n++) {
    const norm = Math.sqrt(sumOfSquares(q.subarray(n * positions, (n + 1) * positions)));
    inverse[n] = norm > DEAD_ATTENTION ? 1 / norm : 0;
  }
  const unit = q.map((v, r) => v * inverse[Math.floor(r / positions)]!);
  return {
    unit,
    /** dq = (dq̂ − q̂·(q̂·dq̂)) / ‖q‖ sample by sample, and da = dq·2a/C. */
    backward(cotangent: Float64Array): Float64Array {
      const along = new Float64Array(inverse.length);
      cotangent.forEach((d, r) => {
        along[Math.floor(r / positions)]! += d * unit[r]!;
      });
      const dq = cotangent.map((d, r) => {
        const n = Math.floor(r / positions);
        return (d - unit[r]! * along[n]!) * inverse[n]!;
      });
      return Float64Array.from(data, (a, i) => (2 * a * dq[Math.floor(i / columns)]!) / columns);
    },
  };
}
