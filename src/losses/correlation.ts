// DIST as graph values (Huang et al. 2022): the emitted twin of CorrelationDistillationStrategy's loss.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { CORRELATION_EPSILON, FLAT_NORM } from "../strategies/responses/correlation.ts";
import { crossEntropy, labelsAndTeacher, rowTerm } from "./knowledge-distillation.ts";
import type { LossContext, LossTerm } from "./terms.ts";

export interface CorrelationOptions {
  readonly temperature: number;
  readonly alpha: number;
  readonly interClassWeight: number;
  readonly intraClassWeight: number;
}

/**
 * α·CE and (1−α)·T²·[interClassWeight·mean(1 − ρ over rows) + intraClassWeight·mean(1 − ρ over columns)], as the terms
 * `hard`, `inter-class` and `intra-class`. Rows that do not count are left out of the columns too. Without classes
 * or samples to relate a term is left out.
 */
export function correlationDistillation(c: LossContext, o: CorrelationOptions): LossTerm[] {
  const { b, rowWeights } = c;
  const [rows, classes] = b.dims(c.studentLogits) as readonly [number, number];
  return labelsAndTeacher(c, o.alpha, crossEntropy, (weight) => {
    const at = (z: Value) => b.softmax(b.scale(z, 1 / o.temperature));
    const scale = weight * o.temperature ** 2;
    const [q, p] = [at(c.studentLogits), at(c.teacherLogits as Value)];
    const away = (rho: Value) => b.sub(b.like(rho, 1), rho);
    const terms: LossTerm[] = [];
    if (classes > 1 && o.interClassWeight > 0)
      terms.push(rowTerm(c, "inter-class", scale * o.interClassWeight, () => away(correlations(b, q, p, 1))));
    if (classes > 1 && rows > 1 && o.intraClassWeight > 0)
      terms.push({
        name: "intra-class",
        value: b.scope("loss/intra-class", () => {
          const w = rowWeights && b.reshape(rowWeights, [rows, 1]);
          const mean = b.reduceMean(away(correlations(b, q, p, 0, w)));
          // One row that counts has nothing to be related to.
          const several = w && b.greater(b.reduceSum(w), b.like(w, 1));
          return b.scale(
            several ? b.where(several, mean, b.like(mean, 0)) : mean,
            scale * o.intraClassWeight,
          );
        }),
      });
    return terms;
  });
}

/** Pearson's correlation of x and y along an axis, the other being counted; 0 and without gradient where either is flat. Weights are 0 or 1. */
function correlations(b: Builder, x: Value, y: Value, axis: number, weights?: Value): Value {
  const counted = weights && b.reduceSum(weights);
  const centred = (v: Value) => {
    const shifted = b.sub(v, b.stopGradient(b.reduceMax(v, [axis], true)));
    if (!weights || !counted) return b.sub(shifted, b.reduceMean(shifted, [axis], true));
    const mean = b.div(
      b.reduceSum(b.mul(shifted, weights), [axis], true),
      b.max(counted, b.like(counted, 1)),
    );
    return b.mul(b.sub(shifted, mean), weights);
  };
  const [a, c] = [centred(x), centred(y)];
  const [squares, others] = [b.reduceSumSquare(a, [axis]), b.reduceSumSquare(c, [axis])];
  // NaN is not flat, and stays NaN.
  const flat = b.lessOrEqual(b.min(squares, others), b.like(squares, FLAT_NORM ** 2));
  const length = (s: Value) => b.sqrt(b.where(flat, b.like(s, 1), s));
  const whole = b.shift(b.mul(length(squares), length(others)), CORRELATION_EPSILON);
  return b.where(flat, b.like(squares, 0), b.div(b.reduceSum(b.mul(a, c), [axis]), whole));
}
