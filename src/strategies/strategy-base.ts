// What every strategy has: temperature and alpha with their checks, and the validation of logits and labels.
// Knows no loss.
import { checkKeys, DistillError } from "../base/errors.ts";
import {
  checkAlpha,
  checkDistributions,
  checkLogitValues,
  checkNotEmpty,
  checkSameShape,
  checkTemperature,
  type InfiniteLogits,
} from "./checks.ts";
import { asMatrix, type Matrix, type MatrixLike } from "./matrix.ts";
import type { DistillationStrategy, OutputKind } from "./strategy.ts";

export interface DistillationStrategyOptions {
  /** T; finite, greater than 0; default 3. Higher softens both distributions. */
  readonly temperature?: number;
  /** α, the weight of the labels; in [0, 1]; default 0.3. Without labels it has no effect. */
  readonly alpha?: number;
}

/** Logits and labels that {@link DistillationStrategyBase} has checked: of one shape, and finite unless `infiniteLogits` says otherwise. */
export interface CheckedLogits {
  readonly student: Matrix;
  readonly teacher: Matrix;
  readonly labels: Matrix | undefined;
}

/**
 * The base of a strategy of one's own: extend it and write `computeLoss` and `computeGradient`; temperature,
 * alpha and the validation are there. (To keep the usual loss on outputs and add one on activations, extend
 * `ResponseDistillationStrategy`.)
 *
 * @example
 * ```ts
 * import { DistillationStrategyBase, Matrix, type MatrixLike } from "onnx-distill";
 *
 * // Half the squared distance of the logits, the mean over the batch.
 * class LogitMatching extends DistillationStrategyBase {
 *   computeLoss(studentLogits: MatrixLike, teacherLogits: MatrixLike): number {
 *     const { student, teacher } = this.checkLogits(studentLogits, teacherLogits);
 *     let sum = 0;
 *     for (let i = 0; i < student.data.length; i++) sum += (student.data[i]! - teacher.data[i]!) ** 2;
 *     return sum / (2 * student.rows);
 *   }
 *   computeGradient(studentLogits: MatrixLike, teacherLogits: MatrixLike): Matrix {
 *     const { student, teacher } = this.checkLogits(studentLogits, teacherLogits);
 *     const data = student.data.slice();
 *     for (let i = 0; i < data.length; i++) data[i] = (data[i]! - teacher.data[i]!) / student.rows;
 *     return new Matrix(student.rows, student.columns, data);
 *   }
 * }
 * const strategy = new LogitMatching({ temperature: 1 });
 * strategy.computeLoss(Matrix.fromRows([[1, 2]]), Matrix.fromRows([[1, 0]])); // => 2
 * ```
 */
export abstract class DistillationStrategyBase implements DistillationStrategy {
  #temperature: number;
  #alpha: number;

  /**
   * `ownOptions` are the keys that a subclass's options have beyond temperature and alpha.
   *
   * Errors: `E_OPTION` for a key that is neither, with the nearest ones; `E_ARGUMENT` for a value out of range.
   */
  constructor(options: DistillationStrategyOptions = {}, ownOptions: readonly string[] = []) {
    const { temperature = 3, alpha = 0.3 } = options;
    checkKeys(new.target.name, options, ["temperature", "alpha", ...ownOptions]);
    this.#temperature = checkTemperature(new.target.name, temperature);
    this.#alpha = checkAlpha(new.target.name, alpha);
  }

  abstract computeLoss(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): number;
  abstract computeGradient(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): Matrix;

  /** What makes predictions of the logits. A strategy for other tasks than choosing a class overrides it. */
  get outputs(): OutputKind {
    return "softmax";
  }

  /**
   * What infinite logits mean to the loss: "none" (the default): they are refused; "impossible": −∞ is a class of
   * probability 0, as where a model masks classes; "certain": ±∞ is a probability of 0 or 1.
   */
  protected get infiniteLogits(): InfiniteLogits {
    return "none";
  }

  /** T; setting it to anything but a finite number greater than 0 is an `E_ARGUMENT`. */
  get temperature(): number {
    return this.#temperature;
  }
  set temperature(value: number) {
    this.#temperature = checkTemperature(this.constructor.name, value);
  }

  /** α; setting it to anything outside [0, 1] is an `E_ARGUMENT`. */
  get alpha(): number {
    return this.#alpha;
  }
  set alpha(value: number) {
    this.#alpha = checkAlpha(this.constructor.name, value);
  }

  /**
   * The arguments of `computeLoss` and `computeGradient` as matrices: logits of one shape `[B, C]` with at least
   * one row, all finite (or as `infiniteLogits` allows); labels, where given, of that shape too and their rows distributions (not negative,
   * summing to 1 within 1e-3). A batch of one is fine. Copies nothing.
   *
   * Errors: `E_SHAPE`, `E_NOT_FINITE` and `E_ARGUMENT`, naming the argument, the row and the column.
   */
  protected checkLogits(
    studentLogits: MatrixLike,
    teacherLogits: MatrixLike,
    labels?: MatrixLike,
  ): CheckedLogits {
    const student = asMatrix("studentLogits", studentLogits);
    const teacher = asMatrix("teacherLogits", teacherLogits);
    checkNotEmpty("studentLogits", student);
    checkSameShape("studentLogits", student, "teacherLogits", teacher);
    checkLogitValues("studentLogits", student, this.infiniteLogits);
    checkLogitValues("teacherLogits", teacher, this.infiniteLogits);
    return { student, teacher, labels: this.checkLabels(labels, student) };
  }

  /** The labels' part of {@link checkLogits}, for a strategy that needs it alone. */
  protected checkLabels(labels: MatrixLike | undefined, student: Matrix): Matrix | undefined {
    if (labels === undefined) return undefined;
    const matrix = asMatrix("labels", labels);
    checkSameShape("labels", matrix, "studentLogits", student);
    this.checkLabelValues(matrix);
    return matrix;
  }

  /** What is asked of labels beside their shape: here, that their rows are distributions. Override it with `outputs`. */
  protected checkLabelValues(labels: Matrix): void {
    checkDistributions("labels", labels);
  }

  /** `loss` if it is finite. Error: `E_NOT_FINITE`, for finite arguments so large that the loss overflows. */
  protected checkLoss(loss: number): number {
    if (Number.isFinite(loss)) return loss;
    throw new DistillError(
      "E_NOT_FINITE",
      `${this.constructor.name}: the loss is ${loss} for finite arguments, so they are too large; scale them down`,
    );
  }
}
