// Neuron selectivity transfer: the neurons of a layer as a set of patterns, one pattern of responses for each neuron, and the
// distance of two such sets. Sets need no match, so the layers may have any numbers of neurons.
import { DistillError } from "../../base/errors.ts";
import { checkOneOf } from "../checks.ts";
import { type SelectivityOver, selectivityOvers } from "../selectivity-words.ts";
import { type Groups, groupsOf, unitColumns } from "./groups.ts";
import {
  checkSamePositions,
  type LayerComparison,
  type LayerPair,
  LayerStrategyBase,
  type LayerStrategyOptions,
} from "./layer-strategy.ts";
import { product, productTN } from "./products.ts";

/** k(x, y): "linear" xᵀy, "polynomial" (xᵀy)², "gaussian" exp(−‖x − y‖²/2σ²). */
export type TransferKernel = "linear" | "polynomial" | "gaussian";

export const transferKernels = ["linear", "polynomial", "gaussian"] as const;

/** The least σ² that "mean" takes, where all patterns are the same. */
export const LEAST_BANDWIDTH_SQUARED = 1e-6;

export interface NeuronSelectivityTransferOptions extends LayerStrategyOptions {
  /** Default "polynomial". */
  readonly kernel?: TransferKernel;
  /** What a pattern holds; default "positions", as in the paper: a neuron's responses over one sample. */
  readonly over?: SelectivityOver;
  /**
   * σ of the Gaussian kernel: a number above 0, or "mean" (default): σ² is the mean of ‖x − y‖² over all pairs of a
   * student's and a teacher's pattern of a set, taken anew for each and a constant for the gradient.
   */
  readonly bandwidth?: number | "mean";
}

/**
 * Squared maximum mean discrepancy of the neurons' response patterns. With x̂_c the pattern of the student's neuron c
 * divided by its length (an inactive neuron's, of length 1e-6 or less, is 0 and gets no gradient) and ŷ_d that of the
 * teacher's neuron d,
 *
 *   loss = 1/C² Σ k(x̂_c, x̂_c′) − 2/(C·D) Σ k(x̂_c, ŷ_d) + 1/D² Σ k(ŷ_d, ŷ_d′),
 *
 * the biased estimate (V-statistic), which is never negative. Over "positions" a pattern is a channel's map over H·W, the
 * loss is taken image by image and averaged, and layers are maps `[N, C, H, W]` or sequences `[N, T, C]` with the
 * same positions; over "samples" a pattern is a neuron's profile over the batch, and there is one set.
 *
 * C and D may differ. Weight: default 5, for use beside a distillation loss on outputs; without one the authors took 50.
 *
 * Source: Z. Huang and N. Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", 2017,
 * arXiv:1707.01219; over samples is ours.
 *
 * @example
 * ```ts
 * import { IntermediateActivations, NeuronSelectivityTransferStrategy } from "onnx-distill";
 *
 * const map = (...values: number[]) =>
 *   new IntermediateActivations().add("l", { data: Float64Array.from(values), dims: [1, values.length / 2, 1, 2] });
 * const strategy = new NeuronSelectivityTransferStrategy({ weight: 1 });
 * strategy.computeIntermediateLoss(map(5, 0), map(1, 0, 2, 0)); // => 0
 * strategy.computeIntermediateLoss(map(5, 0), map(0, 1)); // => 2
 * ```
 */
export class NeuronSelectivityTransferStrategy extends LayerStrategyBase {
  readonly kernel: TransferKernel;
  readonly over: SelectivityOver;
  readonly bandwidth: number | "mean";

  constructor(options: NeuronSelectivityTransferOptions = {}) {
    super(options, ["kernel", "over", "bandwidth"], 5);
    const { kernel = "polynomial", over = "positions", bandwidth = "mean" } = options;
    const owner = new.target.name;
    this.kernel = checkOneOf(owner, "kernel", kernel, transferKernels);
    this.over = checkOneOf(owner, "over", over, selectivityOvers);
    if (bandwidth !== "mean" && !(Number.isFinite(bandwidth) && bandwidth > 0))
      throw new DistillError(
        "E_ARGUMENT",
        `${owner}: bandwidth must be "mean" or a finite number above 0, got ${bandwidth}`,
      );
    if (bandwidth !== "mean" && kernel !== "gaussian")
      throw new DistillError(
        "E_OPTION",
        `${owner}: bandwidth belongs to kernel "gaussian", not to "${kernel}"`,
      );
    this.bandwidth = bandwidth;
  }

  compareLayer(pair: LayerPair): LayerComparison {
    if (this.over !== "samples") checkSamePositions(pair);
    const student = groupsOf(pair.whatStudent, pair.student, this.over);
    const teacher = groupsOf(pair.whatTeacher, pair.teacher, this.over);
    const count = student.groups.length;
    const each = student.groups.map((x, i) => this.#discrepancy(x, student, teacher.groups[i]!, teacher));
    return {
      loss: each.reduce((sum, d) => sum + d.loss, 0) / count,
      gradient: () =>
        student.backward(
          each.map((d) => {
            const g = d.gradient();
            for (let i = 0; i < g.length; i++) g[i]! /= count;
            return g;
          }),
        ),
    };
  }

  #discrepancy(x: Float64Array, { rows, neurons: c }: Groups, y: Float64Array, { neurons: d }: Groups) {
    const own = unitColumns(x, c);
    const other = unitColumns(y, d).data;
    const xx = productTN(own.data, own.data, c, rows, c);
    const yx = productTN(other, own.data, d, rows, c);
    const yy = productTN(other, other, d, rows, d);
    const ofX = Float64Array.from({ length: c }, (_, i) => xx[i * c + i]!);
    const ofY = Float64Array.from({ length: d }, (_, i) => yy[i * d + i]!);
    const k = this.#kernelFor(yx, ofY, ofX);
    const loss =
      meanOf(xx, ofX, ofX, k.value) - 2 * meanOf(yx, ofY, ofX, k.value) + meanOf(yy, ofY, ofY, k.value);
    return {
      loss: Math.max(0, loss), // rounding alone can make it negative
      gradient: (): Float64Array => {
        // By the products alone: the lengths are 1, or of neurons that get no gradient.
        const byXX = xx.map((dot, i) => (2 * k.slope(dot, ofX[Math.floor(i / c)]!, ofX[i % c]!)) / (c * c));
        const byYX = yx.map((dot, i) => (-2 * k.slope(dot, ofY[Math.floor(i / c)]!, ofX[i % c]!)) / (c * d));
        const ofOwn = product(own.data, byXX, rows, c, c);
        const ofOther = product(other, byYX, rows, d, c);
        return own.backward(ofOwn.map((v, i) => v + ofOther[i]!));
      },
    };
  }

  /** The kernel as a function of xᵀy, ‖x‖² and ‖y‖², and its derivative by xᵀy. */
  #kernelFor(yx: Float64Array, ofY: Float64Array, ofX: Float64Array): Kernel {
    if (this.kernel === "linear") return { value: (dot) => dot, slope: () => 1 };
    if (this.kernel === "polynomial") return { value: (dot) => dot * dot, slope: (dot) => 2 * dot };
    const squared =
      this.bandwidth === "mean"
        ? Math.max(
            LEAST_BANDWIDTH_SQUARED,
            meanOf(yx, ofY, ofX, (dot, a, b) => a + b - 2 * dot),
          )
        : this.bandwidth ** 2;
    const value = (dot: number, a: number, b: number) => Math.exp((2 * dot - a - b) / (2 * squared));
    return { value, slope: (dot, a, b) => value(dot, a, b) / squared };
  }
}

interface Kernel {
  readonly value: (dot: number, squareX: number, squareY: number) => number;
  readonly slope: (dot: number, squareX: number, squareY: number) => number;
}

function meanOf(
  dots: Float64Array,
  ofRows: Float64Array,
  ofColumns: Float64Array,
  k: Kernel["value"],
): number {
  const columns = ofColumns.length;
  let sum = 0;
  for (let i = 0; i < dots.length; i++)
    sum += k(dots[i]!, ofRows[Math.floor(i / columns)]!, ofColumns[i % columns]!);
  return sum / dots.length;
}
