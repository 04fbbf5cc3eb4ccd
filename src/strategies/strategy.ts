// What a distillation strategy is: a loss on outputs, and for some also one on intermediate activations, each with
// its gradient. Types only.
import type { IntermediateActivations } from "./intermediate-activations.ts";
import type { Matrix, MatrixLike } from "./matrix.ts";

/** A loss between the outputs of student and teacher. Logits are `[B, C]`: B samples, C classes. */
export interface DistillationStrategy {
  /** T > 0: logits are divided by it before they are compared. */
  temperature: number;
  /** In [0, 1]: the weight of the labels against the teacher. */
  alpha: number;
  /** The loss, a mean over the batch. `labels` `[B, C]`: rows are one-hot or soft distributions. */
  computeLoss(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): number;
  /** d computeLoss / d studentLogits: a matrix of the shape and element type of `studentLogits`. */
  computeGradient(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): Matrix;
}

/** A loss between intermediate activations of student and teacher, each `[samples, neurons]`. */
export interface IntermediateActivationStrategy {
  /** The loss, weighted already: add it to that of the outputs. */
  computeIntermediateLoss(student: IntermediateActivations, teacher: IntermediateActivations): number;
  /** d computeIntermediateLoss / d student, layer by layer, weighted already; a layer without loss is absent. */
  computeIntermediateGradient(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
  ): IntermediateActivations;
}
