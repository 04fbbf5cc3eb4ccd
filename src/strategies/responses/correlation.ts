// DIST: the student's probabilities need not equal the teacher's, only go with them, within each sample and within each class.
import { checkWeight } from "../checks.ts";
import type { CheckedLogits, DistillationStrategyOptions } from "../strategy-base.ts";
import { ResponseStrategyBase } from "./response-base.ts";
import { TemperedRow } from "./tempered-row.ts";

/** Added to the denominator of a correlation, as its authors do. */
export const CORRELATION_EPSILON = 1e-8;
/** Probabilities that deviate from their mean by no more than this (an L2 norm) have no direction to correlate. */
export const FLAT_NORM = 1e-6;

export interface CorrelationOptions extends DistillationStrategyOptions {
  /** The weight of the correlation over the classes of each sample (the paper's β); finite, 0 or more; default 1. */
  readonly interClassWeight?: number;
  /** The weight of the correlation over the samples of each class (the paper's γ); finite, 0 or more; default 1. */
  readonly intraClassWeight?: number;
}

/**
 * Distillation by correlation (DIST). With P = softmax(t/T), Q = softmax(s/T), `[B, C]`, and ρ Pearson's correlation:
 *
 *   L = T²·[interClassWeight·(1/B) Σ over rows (1 − ρ(Q_b, P_b)) + intraClassWeight·(1/C) Σ over columns (1 − ρ(Q_c, P_c))]
 *
 * and with labels α·CE(y, softmax(s)) + (1−α)·L. (The paper adds CE + L: alpha 0.5 and a loss half as large.)
 *
 * ρ(x, y) = x̄·ȳ / (|x̄||ȳ| + 1e-8), x̄ = x − mean(x). Where |x̄| or |ȳ| is at most 1e-6 (all logits of a row equal; a
 * class that no sample of the batch is given) ρ is 0 and has no gradient. A batch of one has no second term, a single
 * class no loss at all: there is nothing to correlate. With two classes the first term is 0 or 2 and has no gradient, and
 * the second leaves open where one class ends: without labels the student is right by chance. The second term relates the
 * samples of a batch, so it changes with the batch size.
 *
 * Source: T. Huang, S. You, F. Wang, C. Qian, C. Xu, "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022,
 * arXiv:2205.10536 (T = 4 with weights 2 and 2 on CIFAR-100, 1 with 1 and 1 on ImageNet).
 *
 * @example
 * ```ts
 * import { CorrelationDistillationStrategy, Matrix } from "onnx-distill";
 *
 * const strategy = new CorrelationDistillationStrategy({ interClassWeight: 1, intraClassWeight: 0 });
 * const teacher = Matrix.fromRows([[4, 0, 0]]);
 * strategy.computeLoss(Matrix.fromRows([[1, 0, 0]]), teacher).toFixed(6); // => "0.000000"
 * strategy.computeLoss(Matrix.fromRows([[0, 1, 1]]), teacher).toFixed(6); // => "2.000000"
 * ```
 */
export class CorrelationDistillationStrategy extends ResponseStrategyBase {
  readonly interClassWeight: number;
  readonly intraClassWeight: number;

  /**
   * Defaults: temperature 1, alpha 0.3, interClassWeight 1, intraClassWeight 1.
   *
   * Errors: `E_ARGUMENT` for a value out of range, `E_OPTION` for an unknown option.
   */
  constructor(options: CorrelationOptions = {}) {
    super({ temperature: 1, ...options }, ["interClassWeight", "intraClassWeight"]);
    const { interClassWeight = 1, intraClassWeight = 1 } = options;
    const owner = new.target.name;
    this.interClassWeight = checkWeight(owner, "interClassWeight", interClassWeight);
    this.intraClassWeight = checkWeight(owner, "intraClassWeight", intraClassWeight);
  }

  protected override teacherLoss({ student, teacher }: CheckedLogits, gradient?: Float64Array): number {
    const { rows, columns } = student;
    if (columns < 2) return 0;
    const t = this.temperature;
    const [row, other] = [new TemperedRow(columns, t, false), new TemperedRow(columns, t, false)];
    const [q, p] = [new Float64Array(rows * columns), new Float64Array(rows * columns)];
    for (let r = 0, i = 0; r < rows; r++) {
      const logQ = row.read(student.data, i);
      const logP = other.read(teacher.data, i);
      for (let c = 0; c < columns; c++, i++) {
        q[i] = Math.exp(logQ[c]!);
        p[i] = Math.exp(logP[c]!);
      }
    }
    const dq = gradient && new Float64Array(rows * columns);
    const inter = addCorrelations(
      q,
      p,
      { count: rows, start: columns, step: 1, length: columns },
      -this.interClassWeight,
      dq,
    );
    const intra =
      rows < 2
        ? 1
        : addCorrelations(
            q,
            p,
            { count: columns, start: 1, step: columns, length: rows },
            -this.intraClassWeight,
            dq,
          );
    if (gradient && dq) addSoftmaxGradient(q, dq, columns, t, gradient);
    return t * t * (this.interClassWeight * (1 - inter) + this.intraClassWeight * (1 - intra));
  }
}

/** `count` vectors of `length` elements: vector i begins at i·`start`, its elements lie `step` apart. */
interface Lines {
  readonly count: number;
  readonly start: number;
  readonly step: number;
  readonly length: number;
}

/** The mean of ρ(x, y) over the lines; adds weight · its derivative by x to `dx` where that is given. */
function addCorrelations(
  x: Float64Array,
  y: Float64Array,
  { count, start, step, length }: Lines,
  weight: number,
  dx: Float64Array | undefined,
): number {
  const [a, b] = [new Float64Array(length), new Float64Array(length)];
  let sum = 0;
  for (let line = 0; line < count; line++) {
    const from = line * start;
    const [lengthA, lengthB] = [centre(x, from, step, a), centre(y, from, step, b)];
    if (lengthA <= FLAT_NORM || lengthB <= FLAT_NORM) continue;
    let dot = 0;
    for (let i = 0; i < length; i++) dot += a[i]! * b[i]!;
    const whole = lengthA * lengthB + CORRELATION_EPSILON;
    sum += dot / whole;
    // dρ/da = b/D − a·(a·b)|b|/(|a|D²); both centred, so this is dρ/dx too.
    const along = (dot * lengthB) / (lengthA * whole * whole);
    if (dx)
      for (let i = 0; i < length; i++)
        dx[from + i * step]! += (weight / count) * (b[i]! / whole - along * a[i]!);
  }
  return sum / count;
}

/** The line less its mean, in `out`; its L2 norm. Less its first element before that, so that equal elements give 0. */
function centre(x: Float64Array, from: number, step: number, out: Float64Array): number {
  const first = x[from]!;
  let mean = 0;
  for (let i = 0; i < out.length; i++) mean += (x[from + i * step]! - first) / out.length;
  let squares = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = x[from + i * step]! - first - mean;
    squares += out[i]! ** 2;
  }
  return Math.sqrt(squares);
}

/** T² · the derivative by the logits of what has the derivative dq by q = softmax(z/T), row by row. */
function addSoftmaxGradient(
  q: Float64Array,
  dq: Float64Array,
  columns: number,
  temperature: number,
  out: Float64Array,
): void {
  for (let from = 0; from < q.length; from += columns) {
    let mean = 0;
    for (let i = from; i < from + columns; i++) mean += q[i]! * dq[i]!;
    for (let i = from; i < from + columns; i++) out[i]! += temperature * q[i]! * (dq[i]! - mean);
  }
}
