// Hinton, Vinyals & Dean 2015: hard and soft targets on logits. The emitted twin of DistillationStrategyBase's loss.
import { type LossContext, type LossTerm, rowMean } from "./terms.ts";

/**
 * With labels y and teacher t: α·CE(y, softmax(s)) + (1−α)·T²·KL(softmax(t/T) ‖ softmax(s/T)); without labels the soft
 * term alone at full weight; without a teacher the hard term alone at full weight. Means over the batch.
 */
export function knowledgeDistillation(c: LossContext, temperature: number, alpha: number): LossTerm[] {
  const { b, studentLogits, teacherLogits, labels } = c;
  const terms: LossTerm[] = [];
  const hardWeight = !labels ? 0 : teacherLogits ? alpha : 1;
  const softWeight = !teacherLogits ? 0 : labels ? 1 - alpha : 1;
  if (labels && hardWeight > 0)
    b.scope("loss/hard", () => {
      const logLikelihood = b.reduceSum(b.mul(labels, b.logSoftmax(studentLogits)), [1]);
      terms.push({ name: "hard", value: b.scale(rowMean(c, logLikelihood), -hardWeight) });
    });
  if (teacherLogits && softWeight > 0)
    b.scope("loss/soft", () => {
      const logP = b.logSoftmax(b.scale(teacherLogits, 1 / temperature));
      const logQ = b.logSoftmax(b.scale(studentLogits, 1 / temperature));
      const divergence = b.reduceSum(b.mul(b.exp(logP), b.sub(logP, logQ)), [1]);
      terms.push({ name: "soft", value: b.scale(rowMean(c, divergence), softWeight * temperature ** 2) });
    });
  return terms;
}
