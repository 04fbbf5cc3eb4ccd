// Distillation of models whose outputs are several yes-or-no answers. Knows nothing of intermediate layers.
import { DistillError } from "../base/errors.ts";
import { checkProbabilities } from "./checks.ts";
import type { Matrix, MatrixLike } from "./matrix.ts";
import { multiLabelGradient, multiLabelLoss } from "./multi-label-loss.ts";
import { type CheckedLogits, DistillationStrategyBase } from "./strategy-base.ts";

/**
 * The loss on outputs for labels that do not exclude each other. For logits s, t `[B, L]` of student and teacher and
 * labels y `[B, L]` in [0, 1], with σ the sigmoid:
 *
 * - without labels: T²·KL(Bernoulli(σ(t/T)) ‖ Bernoulli(σ(s/T))), whatever alpha is;
 * - with labels: α·BCE(y, σ(s)) + (1−α)·T²·KL, where BCE(y, q) = −y log q − (1−y) log(1−q).
 *
 * Both are means over the batch *and over the labels*, as PyTorch's `BCEWithLogitsLoss` and Keras's binary cross-entropy
 * are: the loss then means the same for 5 labels and for 500, and learning rates carry over from there. BCE is computed as
 * max(s, 0) − s·y + log(1 + e^−|s|), in float64: logits of ±1e4 give a finite loss. The loss is never negative.
 * A logit of ±∞ is a probability of exactly 0 or 1, on either side; one that the label or the teacher contradicts is refused,
 * because the loss is infinite.
 *
 * Source: the soft targets of G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015,
 * arXiv:1503.02531, one label at a time, as P. Yang et al. take them in "Multi-Label Knowledge Distillation", 2023,
 * arXiv:2308.06453.
 *
 * @example
 * ```ts
 * import { Matrix, MultiLabelDistillationStrategy } from "onnx-distill";
 *
 * const strategy = new MultiLabelDistillationStrategy({ temperature: 1, alpha: 1 });
 * const [student, teacher, labels] = [[0, 0], [3, -3], [1, 0]].map((row) => Matrix.fromRows([row]));
 * strategy.computeLoss(student!, teacher!, labels) / Math.log(2); // => 1
 * [...strategy.computeGradient(student!, teacher!, labels).data]; // => [-0.25, 0.25]
 * ```
 */
export class MultiLabelDistillationStrategy extends DistillationStrategyBase {
  override get outputs() {
    return "sigmoid" as const;
  }

  protected override get infiniteLogits() {
    return "certain" as const;
  }

  /**
   * The loss described above.
   *
   * Errors: `E_SHAPE` for shapes that differ or an empty batch, `E_NOT_FINITE` with argument, row and column,
   * `E_ARGUMENT` for labels outside [0, 1].
   */
  computeLoss(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): number {
    const checked = this.checkLogits(studentLogits, teacherLogits, labels);
    const loss = multiLabelLoss({ ...checked, temperature: this.temperature, alpha: this.alpha });
    if (loss === Infinity) checkUncontradicted(this.constructor.name, checked);
    return this.checkLoss(loss);
  }

  /**
   * Its exact derivative by the student's logits, `[B, L]`, in their element type:
   * α·(σ(s) − y)/(B·L) + (1−α)·T·(σ(s/T) − σ(t/T))/(B·L) with labels, the second term alone at full weight without.
   * Errors as {@link computeLoss}.
   */
  computeGradient(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): Matrix {
    const checked = this.checkLogits(studentLogits, teacherLogits, labels);
    return multiLabelGradient({ ...checked, temperature: this.temperature, alpha: this.alpha });
  }

  protected override checkLabelValues(labels: Matrix): void {
    checkProbabilities("labels", labels);
  }
}

/** Throws `E_NOT_FINITE` for the first of the student's certain answers that the label or the teacher contradicts. */
function checkUncontradicted(owner: string, { student, teacher, labels }: CheckedLogits): void {
  const { data, columns } = student;
  for (let i = 0; i < data.length; i++) {
    const s = data[i]!;
    if (Number.isFinite(s) || (teacher.data[i] === s && (!labels || labels.data[i] === (s > 0 ? 1 : 0))))
      continue;
    throw new DistillError(
      "E_NOT_FINITE",
      `${owner}: studentLogits is ${s} at row ${Math.floor(i / columns)}, column ${i % columns}, a probability of ${s > 0 ? 1 : 0}, where teacherLogits is ${teacher.data[i]}${labels ? ` and the label ${labels.data[i]}` : ""}, so the loss is infinite; give it a finite logit`,
    );
  }
}
