// Hinton, Vinyals & Dean 2015: hard and soft targets on logits. The emitted twin of ResponseDistillationStrategy's loss.
import { int, typeOf, type Value } from "../graph/graph.ts";
import { type LossContext, type LossTerm, oneHotRows, rowMean } from "./terms.ts";

/**
 * With labels y and teacher t: α·CE(y, softmax(s)) + (1−α)·T²·KL(softmax(t/T) ‖ softmax(s/T)); without labels the soft
 * term alone at full weight; without a teacher the hard term alone at full weight. Means over the rows that count.
 */
export function knowledgeDistillation(c: LossContext, temperature: number, alpha: number): LossTerm[] {
  return hardAndSoft(c, alpha, crossEntropy, () => softDivergence(c, temperature));
}

/** α·hard + (1−α)·soft of values per row [R]; a term that has no labels, or no teacher, leaves the other at full weight. */
export function hardAndSoft(
  c: LossContext,
  alpha: number,
  hard: (c: LossContext) => Value,
  soft: (c: LossContext) => Value,
): LossTerm[] {
  const { b, teacherLogits } = c;
  const labelled = (c.labelIndices ?? c.labels) !== undefined;
  const weights = {
    hard: !labelled ? 0 : teacherLogits ? alpha : 1,
    soft: !teacherLogits ? 0 : labelled ? 1 - alpha : 1,
  };
  return (
    [
      ["hard", hard],
      ["soft", soft],
    ] as const
  )
    .filter(([name]) => weights[name] > 0)
    .map(([name, perRow]) => ({
      name,
      value: b.scope(`loss/${name}`, () => b.scale(rowMean(c, perRow(c)), weights[name])),
    }));
}

/** −Σ y log softmax(z) of each row [R]. */
function crossEntropy(c: LossContext): Value {
  const { b, studentLogits: z, labelIndices } = c;
  const logQ = b.logSoftmax(z);
  if (!labelIndices) return b.neg(b.reduceSum(b.mul(c.labels as Value, logQ), [1]));
  // By index: no [R, C] of labels on the way there, and one on the way back. dz = dy · (softmax(z) − one-hot).
  const rows = b.dims(z)[0] as number;
  const picked = b.node("GatherElements", [logQ, b.reshape(labelIndices, [rows, 1])], { axis: int(1) });
  const y = b.neg(b.reshape(picked, [rows]));
  b.region({
    inputs: [z],
    outputs: [y],
    grad: (dy) => [
      () => b.mul(b.reshape(dy(0), [rows, 1]), b.sub(b.exp(logQ), oneHotRows(b, labelIndices, typeOf(z)))),
    ],
  });
  return y;
}

/** T²·KL(softmax(t/T) ‖ softmax(s/T)) of each row [R]. */
function softDivergence({ b, studentLogits, teacherLogits }: LossContext, temperature: number): Value {
  const logP = b.logSoftmax(b.scale(teacherLogits as Value, 1 / temperature));
  const logQ = b.logSoftmax(b.scale(studentLogits, 1 / temperature));
  return b.scale(b.reduceSum(b.mul(b.exp(logP), b.sub(logP, logQ)), [1]), temperature ** 2);
}
