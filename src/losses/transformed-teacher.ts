// WTTM as graph values (Zheng & Yang 2024): the emitted twin of TransformedTeacherDistillationStrategy's loss.
import type { Value } from "../graph/graph.ts";
import { divergences } from "./distributions.ts";
import { crossEntropy, labelsAndTeacher, rowTerm } from "./knowledge-distillation.ts";
import type { LossContext, LossTerm } from "./terms.ts";

export interface TransformedTeacherOptions {
  readonly temperature: number;
  readonly alpha: number;
  readonly teacherWeight: number;
  readonly weighted: boolean;
}

/** α·CE and (1−α)·teacherWeight·Z·KL(softmax(t/T) ‖ softmax(s)), Z = Σ softmax(t)^(1/T), as the terms `hard` and `soft`. */
export function transformedTeacher(c: LossContext, o: TransformedTeacherOptions): LossTerm[] {
  const { b } = c;
  return labelsAndTeacher(c, o.alpha, crossEntropy, (weight) => {
    if (o.teacherWeight === 0) return [];
    return [
      rowTerm(c, "soft", weight * o.teacherWeight, () => {
        const powered = b.scale(b.logSoftmax(c.teacherLogits as Value), 1 / o.temperature);
        const kl = divergences["forward-kl"](b, powered, c.studentLogits, 1);
        // Every logarithm of a probability is 0 or less and the largest is near it, so nothing overflows or vanishes.
        return o.weighted ? b.mul(kl, b.reduceSum(b.exp(powered), [1])) : kl;
      }),
    ];
  });
}
