// Centered kernel alignment of two layers: do the same samples look alike to both? No neuron is matched with another.
import { checkOneOf } from "../checks.ts";
import { type SelectivityOver, selectivityOvers } from "../selectivity-words.ts";
import { centredColumns, DEAD_NORM, groupsOf } from "./groups.ts";
import {
  checkSamePositions,
  type LayerComparison,
  type LayerPair,
  LayerStrategyBase,
  type LayerStrategyOptions,
} from "./layer-strategy.ts";
import { product, productTN, sumOfSquares } from "./products.ts";

export interface KernelAlignmentOptions extends LayerStrategyOptions {
  /** What is a sample of the representation; default "samples-and-positions". */
  readonly over?: SelectivityOver;
  /** The unbiased estimate of the three terms, for few samples and many neurons; needs 4 of them. Default false. */
  readonly debiased?: boolean;
}

/**
 * 1 − CKA, with the linear kernel. For the responses X `[n, C]` of the student and Y `[n, D]` of the teacher, each
 * neuron's less their mean,
 *
 *   CKA = s(X, Y) / √(s(X, X)·s(Y, Y)),   s(X, Y) = ‖XᵀY‖²_F,
 *
 * which lies in [0, 1], whatever the rotation and the scale of either layer. Debiased, with a, b the squared lengths of the
 * rows of X and Y,
 *
 *   s(X, Y) = ‖XᵀY‖²_F − n/(n−2)·Σ a_i b_i + Σa·Σb / ((n−1)(n−2)),
 *
 * n(n−3) times the unbiased estimate of the Hilbert–Schmidt independence criterion; CKA may then be negative, and
 * two unrelated layers score 0 on average instead of more the more neurons they have.
 *
 * A layer whose responses do not vary (√s(X, X) ≤ n·1e-12) has CKA 0 and gets no gradient. C and D may differ; over
 * "samples" positions may, too. Weight: default 1.
 *
 * Source: S. Kornblith, M. Norouzi, H. Lee, G. Hinton, "Similarity of Neural Network Representations Revisited", 2019,
 * arXiv:1905.00414; the unbiased estimate: L. Song et al., "Feature Selection via Dependence Maximization", 2012.
 *
 * @example
 * ```ts
 * import { CenteredKernelAlignmentStrategy, IntermediateActivations, Matrix } from "onnx-distill";
 *
 * const layer = (rows: number[][]) => new IntermediateActivations().add("l", Matrix.fromRows(rows));
 * const strategy = new CenteredKernelAlignmentStrategy({ weight: 1 });
 * strategy.computeIntermediateLoss(layer([[0], [1], [2]]), layer([[5, 0], [5, -3], [5, -6]])); // => 0
 * strategy.computeIntermediateLoss(layer([[0], [1], [0]]), layer([[0], [1], [2]])); // => 1
 * ```
 */
export class CenteredKernelAlignmentStrategy extends LayerStrategyBase {
  readonly over: SelectivityOver;
  readonly debiased: boolean;

  constructor(options: KernelAlignmentOptions = {}) {
    super(options, ["over", "debiased"]);
    const { over = "samples-and-positions", debiased = false } = options;
    this.over = checkOneOf(new.target.name, "over", over, selectivityOvers);
    this.debiased = debiased;
  }

  compareLayer(pair: LayerPair): LayerComparison {
    if (this.over !== "samples") checkSamePositions(pair);
    const least = this.debiased ? 4 : 2;
    const student = groupsOf(pair.whatStudent, pair.student, this.over, least);
    const teacher = groupsOf(pair.whatTeacher, pair.teacher, this.over, least);
    const each = student.groups.map((x, i) =>
      alignment(
        centredColumns(x, student.neurons),
        student.neurons,
        centredColumns(teacher.groups[i]!, teacher.neurons),
        teacher.neurons,
        this.debiased,
      ),
    );
    const count = each.length;
    return {
      loss: each.reduce((sum, a) => sum + 1 - a.value, 0) / count,
      gradient: () =>
        student.backward(
          each.map((a) => centredColumns(a.gradient(), student.neurons).map((v) => -v / count)),
        ),
    };
  }
}

/** CKA of centred X [n, c] and Y [n, d], and its derivative by X. */
function alignment(x: Float64Array, c: number, y: Float64Array, d: number, debiased: boolean) {
  const rows = x.length / c;
  const floor = rows * DEAD_NORM ** 2;
  const xx = similarity(x, c, x, c, debiased);
  const xy = similarity(x, c, y, d, debiased);
  const [own, other] = [root(xx.value), root(similarity(y, d, y, d, debiased).value)];
  const alive = own > floor && other > floor;
  const value = alive ? xy.value / own / other : 0;
  return {
    value,
    gradient: (): Float64Array => {
      if (!alive) return new Float64Array(x.length);
      const [ofXY, ofXX] = [xy.byFirst(), xx.byFirst()];
      // s(X, X) depends on X twice, and its root halves that again.
      return ofXY.map((v, i) => v / own / other - (value * ofXX[i]!) / own / own);
    },
  };
}

const root = (s: number): number => Math.sqrt(Math.max(0, s));

/** s(X, Y), and its derivative by its first argument. */
function similarity(x: Float64Array, c: number, y: Float64Array, d: number, debiased: boolean) {
  const n = x.length / c;
  const cross = productTN(y, x, d, n, c);
  let value = sumOfSquares(cross);
  const [a, b] = debiased ? [rowSquares(x, c), rowSquares(y, d)] : [];
  const ofRow = (b ?? new Float64Array(n)).slice();
  if (a && b) {
    const [sumA, sumB] = [a, b].map((v) => v.reduce((s, t) => s + t, 0)) as [number, number];
    const products = a.reduce((s, v, i) => s + v * b[i]!, 0);
    value += (sumA * sumB) / ((n - 1) * (n - 2)) - (n / (n - 2)) * products;
    ofRow.forEach((v, i) => {
      ofRow[i] = sumB / ((n - 1) * (n - 2)) - (n / (n - 2)) * v;
    });
  }
  return {
    value,
    byFirst: (): Float64Array => {
      const out = product(y, cross, n, d, c);
      return out.map((v, i) => 2 * (v + ofRow[Math.floor(i / c)]! * x[i]!));
    },
  };
}

function rowSquares(x: Float64Array, columns: number): Float64Array {
  const out = new Float64Array(x.length / columns);
  for (let i = 0; i < x.length; i++) out[Math.floor(i / columns)]! += x[i]! * x[i]!;
  return out;
}
