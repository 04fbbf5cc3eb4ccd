// What a distillation strategy is: a loss on outputs, and for some also one on intermediate activations, each with
// its gradient. Holds types and the questions which of them a value is.
import type { IntermediateActivations } from "./intermediate-activations.ts";
import type { Matrix, MatrixLike } from "./matrix.ts";
import type { Progress } from "./weight-schedule.ts";

/**
 * What makes predictions of a row of logits: one class (`softmax`), a yes or no for each (`sigmoid`), or the numbers
 * themselves (`identity`).
 */
export type OutputKind = "softmax" | "sigmoid" | "identity";

/** A loss between the outputs of student and teacher. Logits are `[B, C]`: B samples, C classes. */
export interface DistillationStrategy {
  /** T > 0: logits are divided by it before they are compared. */
  temperature: number;
  /** In [0, 1]: the weight of the labels against the teacher. */
  alpha: number;
  /** Whether labels change the loss or how it is computed; default: alpha > 0. They are fed only if so. */
  readonly usesLabels?: boolean;
  /** For which outputs it is made: a task with others refuses it. Default: any. */
  readonly outputs?: OutputKind | undefined;
  /** The loss, a mean over the batch. `labels` `[B, C]`: rows are one-hot or soft distributions. */
  computeLoss(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): number;
  /** d computeLoss / d studentLogits: a matrix of the shape and element type of `studentLogits`. */
  computeGradient(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): Matrix;
  /** Told before each step, for a loss that changes over a run. Make it a function of this alone, so that runs can be resumed. */
  setProgress?(progress: Progress): void;
}

/**
 * A loss between intermediate activations of student and teacher, each `[samples, neurons]`. `labels` `[samples,
 * classes]`, where there are any, are for losses that tell classes apart; others need not take the argument.
 */
export interface IntermediateActivationStrategy {
  /** Whether labels change the loss on layers; default false. They are fed if anything wants them. */
  readonly layersUseLabels?: boolean;
  /** The loss, weighted already: add it to that of the outputs. */
  computeIntermediateLoss(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
    labels?: MatrixLike,
  ): number;
  /** d computeIntermediateLoss / d student, layer by layer, weighted already; a layer without loss is absent. */
  computeIntermediateGradient(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
    labels?: MatrixLike,
  ): IntermediateActivations;
  /** As in {@link DistillationStrategy}. */
  setProgress?(progress: Progress): void;
}

/** A loss that exists only in the graph of the training step: it has no methods on arrays. See `defineGraphStrategy`. */
export interface GraphOnlyStrategy {
  readonly graphOnly: true;
  /** For run records and errors. */
  readonly name: string;
  readonly usesLabels: boolean;
}

/** Whatever a student can be trained with, alone or in a sum. */
export type AnyStrategy = DistillationStrategy | IntermediateActivationStrategy | GraphOnlyStrategy;

export function hasOutputLoss(s: AnyStrategy): s is DistillationStrategy {
  return "computeLoss" in s && "computeGradient" in s;
}

export function hasIntermediateLoss(s: AnyStrategy): s is IntermediateActivationStrategy {
  return "computeIntermediateLoss" in s && "computeIntermediateGradient" in s;
}

export function isGraphOnly(s: AnyStrategy): s is GraphOnlyStrategy {
  return "graphOnly" in s;
}

/** Whether the strategy, or that part of it, wants labels. */
export function usesLabels(s: AnyStrategy, part: "all" | "output" | "intermediate" = "all"): boolean {
  if (isGraphOnly(s)) return s.usesLabels;
  if (part !== "output" && hasIntermediateLoss(s) && s.layersUseLabels) return true;
  return part !== "intermediate" && hasOutputLoss(s) && (s.usesLabels ?? s.alpha > 0);
}
