// Hinton, Vinyals & Dean 2015: hard and soft targets on logits. The emitted twin of ResponseDistillationStrategy's loss.
import { tensor } from "../base/tensor.ts";
import { int, string, type Value } from "../graph/graph.ts";
import type { Divergence } from "../strategies/index.ts";
import { divergences, logProbabilities, standardized } from "./distributions.ts";
import { type LossContext, type LossTerm, type RowCounts, rowMean } from "./terms.ts";

export interface SoftOptions {
  readonly temperature: number;
  /** Default false. */
  readonly standardize?: boolean;
  /** Default "forward-kl". */
  readonly divergence?: Divergence;
}

/**
 * With labels y and teacher t: α·CE(y, softmax(s)) + (1−α)·T²·D(softmax(t/T), softmax(s/T)); without labels the soft
 * term alone at full weight; without a teacher the hard term alone at full weight. Means over the rows that count.
 */
export function knowledgeDistillation(c: LossContext, alpha: number, soft: SoftOptions): LossTerm[] {
  return hardAndSoft(c, alpha, crossEntropy, () => softDivergence(c, soft));
}

/** α·hard + (1−α)·soft of values per row [R]; a term that has no labels, or no teacher, leaves the other at full weight. */
export function hardAndSoft(
  c: LossContext,
  alpha: number,
  hard: (c: LossContext) => Value,
  soft: (c: LossContext) => Value,
): LossTerm[] {
  return labelsAndTeacher(c, alpha, hard, (weight) => [rowTerm(c, "soft", weight, () => soft(c))]);
}

/** α·hard and what `teacher` makes of its weight, 1−α; without labels, or without a teacher, the other at full weight. */
export function labelsAndTeacher(
  c: LossContext,
  alpha: number,
  hard: (c: LossContext) => Value,
  teacher: (weight: number) => readonly LossTerm[],
): LossTerm[] {
  const labelled = (c.labelIndices ?? c.labels) !== undefined;
  const hardWeight = !labelled ? 0 : c.teacherLogits ? alpha : 1;
  const softWeight = !c.teacherLogits ? 0 : labelled ? 1 - alpha : 1;
  return [
    ...(hardWeight > 0 ? [rowTerm(c, "hard", hardWeight, () => hard(c), countsOfLabels(c))] : []),
    ...(softWeight > 0 ? teacher(softWeight) : []),
  ];
}

/** Undefined: as any row. */
function countsOfLabels({ labelWeights, labelTotal }: LossContext): RowCounts | undefined {
  return labelWeights && { weights: labelWeights, total: labelTotal };
}

/** weight · the mean over the rows that count, or as they count, of a value per row [R]. */
export function rowTerm(
  c: LossContext,
  name: string,
  weight: number,
  perRow: () => Value,
  counts?: RowCounts,
): LossTerm {
  const value = c.b.scope(`loss/${name}`, () => c.b.scale(rowMean(c, perRow(), counts), weight));
  return { name, value };
}

/** −Σ y log softmax(z) of each row [R]; of distributions −Σ w y log softmax(z), with the classes' weights. */
export function crossEntropy(c: LossContext): Value {
  const { b, studentLogits: z, labelIndices } = c;
  if (!labelIndices) {
    const { classWeights: w } = c;
    const y = c.labels as Value;
    const weighted = w ? b.mul(y, b.constant(tensor("float32", w, [1, w.length]), "class-weights")) : y;
    return b.neg(b.reduceSum(b.mul(weighted, logProbabilities(b, z)), [1]));
  }
  const logQ = b.logSoftmax(z);
  // By index, so that no [R, C] of labels is ever made. dz = dy · softmax(z), less dy at the label.
  const rows = b.dims(z)[0] as number;
  const at = b.reshape(labelIndices, [rows, 1]);
  const y = b.neg(b.reshape(b.node("GatherElements", [logQ, at], { axis: int(1) }), [rows]));
  b.region({
    inputs: [z],
    outputs: [y],
    grad: (dy) => [
      () => {
        const d = b.reshape(dy(0), [rows, 1]);
        const spread = b.mul(b.exp(logQ), d);
        return b.node("ScatterElements", [spread, at, b.neg(d)], { axis: int(1), reduction: string("add") });
      },
    ],
  });
  return y;
}

/** T²·D(softmax(t/T), softmax(s/T)) of each row [R]. */
function softDivergence(
  { b, studentLogits, teacherLogits }: LossContext,
  { temperature, standardize = false, divergence = "forward-kl" }: SoftOptions,
): Value {
  const [t, s] = [teacherLogits as Value, studentLogits].map((z) =>
    standardize ? standardized(b, z) : z,
  ) as [Value, Value];
  return b.scale(divergences[divergence](b, t, s, temperature), temperature ** 2);
}
