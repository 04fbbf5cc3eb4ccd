// Hinton, Vinyals & Dean 2015: hard and soft targets on logits. The emitted twin of DistillationStrategyBase's loss.
import type { LossContext, LossTerm } from "./terms.ts";

/**
 * With labels y and teacher t: α·CE(y, softmax(s)) + (1−α)·T²·KL(softmax(t/T) ‖ softmax(s/T)); without labels the soft
 * term alone at full weight; without a teacher the hard term alone at full weight. Means over the batch.
 */
export function knowledgeDistillation(
  { b, studentLogits, teacherLogits, labels }: LossContext,
  temperature: number,
  alpha: number,
): LossTerm[] {
  const terms: LossTerm[] = [];
  const batch = b.dims(studentLogits)[0] as number;
  const hardWeight = !labels ? 0 : teacherLogits ? alpha : 1;
  const softWeight = !teacherLogits ? 0 : labels ? 1 - alpha : 1;
  if (labels && hardWeight > 0)
    b.scope("loss/hard", () => {
      const crossEntropy = b.reduceSum(b.mul(labels, b.logSoftmax(studentLogits)));
      terms.push({ name: "hard", value: b.scale(crossEntropy, -hardWeight / batch) });
    });
  if (teacherLogits && softWeight > 0)
    b.scope("loss/soft", () => {
      const logP = b.logSoftmax(b.scale(teacherLogits, 1 / temperature));
      const logQ = b.logSoftmax(b.scale(studentLogits, 1 / temperature));
      const divergence = b.reduceSum(b.mul(b.exp(logP), b.sub(logP, logQ)));
      terms.push({
        name: "soft",
        value: b.scale(divergence, (softWeight * temperature * temperature) / batch),
      });
    });
  return terms;
}
