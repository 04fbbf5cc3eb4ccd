// Distillation from outputs alone, as Hinton, Vinyals and Dean proposed it. Knows nothing of intermediate layers.
import type { Matrix, MatrixLike } from "./matrix.ts";
import { responseGradient, responseLoss } from "./response-loss.ts";
import { DistillationStrategyBase } from "./strategy-base.ts";

/**
 * The usual loss on outputs. For logits s, t `[B, C]` of student and teacher and labels y `[B, C]`, in means over
 * the batch:
 *
 * - without labels: T²·KL(softmax(t/T) ‖ softmax(s/T)), whatever alpha is;
 * - with labels: α·CE(y, softmax(s)) + (1−α)·T²·KL, where CE(y, q) = −Σ y log q.
 *
 * T² keeps the gradient's size independent of T. Everything is computed by log-softmax in float64: logits of
 * ±1e4 give a finite loss, and a probability of zero contributes 0·log 0 = 0. The loss is never negative.
 *
 * Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531.
 *
 * @example
 * ```ts
 * import { Matrix, ResponseDistillationStrategy } from "onnx-distill";
 *
 * const strategy = new ResponseDistillationStrategy({ temperature: 4, alpha: 0.1 });
 * const teacher = Matrix.fromRows([[3, 1, -2]]);
 * strategy.computeLoss(teacher, teacher); // => 0
 * [...strategy.computeGradient(teacher, teacher).data]; // => [0, 0, 0]
 * ```
 */
export class ResponseDistillationStrategy extends DistillationStrategyBase {
  /**
   * The loss described above.
   *
   * Errors: `E_SHAPE` for shapes that differ or an empty batch, `E_NOT_FINITE` with argument, row and column,
   * `E_ARGUMENT` for labels that are no distributions.
   */
  computeLoss(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): number {
    const checked = this.checkLogits(studentLogits, teacherLogits, labels);
    return this.checkLoss(responseLoss({ ...checked, temperature: this.temperature, alpha: this.alpha }));
  }

  /**
   * Its exact derivative by the student's logits, `[B, C]`, in their element type:
   * α·(Σy·softmax(s) − y)/B + (1−α)·T·(softmax(s/T) − softmax(t/T))/B with labels, T·(softmax(s/T) −
   * softmax(t/T))/B without. Errors as {@link computeLoss}.
   */
  computeGradient(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): Matrix {
    const checked = this.checkLogits(studentLogits, teacherLogits, labels);
    return responseGradient({ ...checked, temperature: this.temperature, alpha: this.alpha });
  }
}
