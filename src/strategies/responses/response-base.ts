// What the strategies on outputs share: α·CE with the labels, 1 − α for the loss against the teacher, one rounding at the
// end. A strategy itself says only what the loss against the teacher is.
import type { InfiniteLogits } from "../checks.ts";
import { type Matrix, type MatrixLike, zerosLike } from "../matrix.ts";
import { type CheckedLogits, DistillationStrategyBase } from "../strategy-base.ts";
import { checkPossible } from "./impossible-classes.ts";
import { addCrossEntropyGradient, crossEntropy } from "./label-loss.ts";

/**
 * Base of the strategies on outputs that come with the package: with labels α·CE(y, softmax(s)) + (1−α)·L, without labels
 * L alone whatever alpha is, where L is the strategy's loss against the teacher.
 *
 * A logit of −∞ is a class of probability 0, on either side: 0·log 0 = 0, also where both rule it out.
 */
export abstract class ResponseStrategyBase extends DistillationStrategyBase {
  protected override get infiniteLogits(): InfiniteLogits {
    return "impossible";
  }

  /**
   * L, a mean over the rows; adds its derivative by the student's logits to `gradient`, [B·C] as the rows lie, where that
   * is given.
   */
  protected abstract teacherLoss(checked: CheckedLogits, gradient?: Float64Array): number;

  /**
   * α·CE + (1−α)·L with labels, L without.
   *
   * Errors: `E_SHAPE` for shapes that differ or an empty batch, `E_NOT_FINITE` with argument, row and column, also
   * where one side rules out what the other, or the label, does not, so that the loss is infinite; `E_ARGUMENT` for labels
   * that are no distributions.
   */
  computeLoss(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): number {
    const checked = this.checkLogits(studentLogits, teacherLogits, labels);
    const { student, labels: y } = checked;
    const hardWeight = y === undefined ? 0 : this.alpha;
    const hard = y !== undefined && hardWeight > 0 ? hardWeight * crossEntropy(student, y) : 0;
    const soft = hardWeight < 1 ? (1 - hardWeight) * this.teacherLoss(checked) : 0;
    if (hard + soft === Infinity) checkPossible(this.constructor.name, checked, hard);
    return this.checkLoss(hard + soft);
  }

  /**
   * The exact derivative of {@link computeLoss} by the student's logits, `[B, C]`, in their element type; as PyTorch's, it is
   * finite where the loss is infinite because the student alone rules a class out. Errors likewise.
   */
  computeGradient(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): Matrix {
    const checked = this.checkLogits(studentLogits, teacherLogits, labels);
    const { student, labels: y } = checked;
    const hardWeight = y === undefined ? 0 : this.alpha;
    const sum = new Float64Array(student.data.length);
    if (hardWeight < 1) {
      this.teacherLoss(checked, sum);
      for (let i = 0; i < sum.length; i++) sum[i]! *= 1 - hardWeight;
    }
    if (y !== undefined && hardWeight > 0) addCrossEntropyGradient(student, y, hardWeight, sum);
    const gradient = zerosLike(student);
    for (let i = 0; i < sum.length; i++) {
      if (!Number.isFinite(sum[i])) checkPossible(this.constructor.name, checked, 0);
      gradient.data[i] = sum[i]! + 0; // −0 becomes 0
    }
    return gradient;
  }
}
