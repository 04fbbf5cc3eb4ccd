// Distillation of models whose outputs are real numbers. Knows nothing of intermediate layers.
import { checkKeys, DistillError } from "../base/errors.ts";
import { checkFinite } from "./checks.ts";
import type { Matrix, MatrixLike } from "./matrix.ts";
import { regressionGradient, regressionLoss } from "./regression-loss.ts";
import { DistillationStrategyBase } from "./strategy-base.ts";

export interface RegressionOptions {
  /** α, the weight of the targets against the teacher; in [0, 1]; default 0.3. Without targets it has no effect. */
  readonly alpha?: number;
  /** Huber's δ, in the units of the outputs; finite, greater than 0. Default: none, squared differences. */
  readonly huberDelta?: number;
}

/**
 * The loss on outputs that are numbers, not classes. For outputs s, t `[B, D]` of student and teacher and targets y `[B, D]`:
 *
 * - without targets: ℓ(s − t), whatever alpha is;
 * - with targets: α·ℓ(s − y) + (1−α)·ℓ(s − t).
 *
 * ℓ is the square, ℓ(d) = d², or with `huberDelta` δ Huber's loss, d²/2 where |d| ≤ δ and δ·(|d| − δ/2) beyond, which
 * keeps outliers of data or teacher from ruling the gradient. Means over the batch and over the D outputs, as PyTorch's
 * `MSELoss` and `HuberLoss`. There is no temperature: `temperature` is there for the interface, and changes nothing.
 *
 * Source: P. J. Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35, 1964.
 *
 * @example
 * ```ts
 * import { Matrix, RegressionDistillationStrategy } from "onnx-distill";
 *
 * const strategy = new RegressionDistillationStrategy({ alpha: 0.5 });
 * const [student, teacher, targets] = [[1, 2], [1, 4], [3, 2]].map((row) => Matrix.fromRows([row]));
 * strategy.computeLoss(student!, teacher!, targets); // => 2
 * [...strategy.computeGradient(student!, teacher!, targets).data]; // => [-1, -1]
 * ```
 */
export class RegressionDistillationStrategy extends DistillationStrategyBase {
  /** δ; undefined: squared differences. */
  readonly huberDelta: number | undefined;

  /** Errors: `E_ARGUMENT` for a value out of range, `E_OPTION` for an unknown option. */
  constructor(options: RegressionOptions = {}) {
    checkKeys(new.target.name, options, ["alpha", "huberDelta"]);
    const { alpha, huberDelta } = options;
    super({ temperature: 1, ...(alpha !== undefined && { alpha }) });
    if (huberDelta !== undefined && !(Number.isFinite(huberDelta) && huberDelta > 0))
      throw new DistillError(
        "E_ARGUMENT",
        `${new.target.name}: huberDelta must be finite and greater than 0, got ${huberDelta}; leave it out for squared differences`,
      );
    this.huberDelta = huberDelta;
  }

  override get outputs() {
    return "identity" as const;
  }

  /**
   * The loss described above; `labels` are the targets.
   *
   * Errors: `E_SHAPE` for shapes that differ or an empty batch, `E_NOT_FINITE` with argument, row and column.
   */
  computeLoss(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): number {
    const { alpha, huberDelta } = this;
    return this.checkLoss(
      regressionLoss({ ...this.checkLogits(studentLogits, teacherLogits, labels), alpha, huberDelta }),
    );
  }

  /**
   * Its exact derivative by the student's outputs, `[B, D]`, in their element type: α·ℓ′(s − y)/(B·D) +
   * (1−α)·ℓ′(s − t)/(B·D), where ℓ′(d) is 2d, or d cut to [−δ, δ]. Errors as {@link computeLoss}.
   */
  computeGradient(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): Matrix {
    const { alpha, huberDelta } = this;
    return regressionGradient({
      ...this.checkLogits(studentLogits, teacherLogits, labels),
      alpha,
      huberDelta,
    });
  }

  protected override checkLabelValues(labels: Matrix): void {
    checkFinite("labels", labels);
  }
}
