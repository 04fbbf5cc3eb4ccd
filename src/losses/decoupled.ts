// DKD as graph values (Zhao et al. 2022): the emitted twin of DecoupledDistillationStrategy's loss.
import { tensor } from "../base/tensor.ts";
import { int, type Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { standardized } from "./distributions.ts";
import { crossEntropy, labelsAndTeacher, rowTerm } from "./knowledge-distillation.ts";
import type { LossContext, LossTerm } from "./terms.ts";

export interface DecoupledOptions {
  readonly temperature: number;
  readonly alpha: number;
  readonly targetWeight: number;
  readonly nonTargetWeight: number;
  readonly standardize: boolean;
}

/**
 * α·CE and (1−α)·T²·[targetWeight·KL(target against the rest) + nonTargetWeight·KL(over the others)], as the terms `hard`,
 * `target` and `non-target`. Terms that weigh nothing, and those that are undefined for want of classes, are left out.
 */
export function decoupledDistillation(c: LossContext, o: DecoupledOptions): LossTerm[] {
  const { b } = c;
  const classes = b.dims(c.studentLogits)[1] as number;
  return labelsAndTeacher(c, o.alpha, crossEntropy, (weight) => {
    const isTarget = targetMask(c);
    const side = (logits: Value) => {
      const z = o.standardize ? standardized(b, logits) : logits;
      return sideOf(b, b.scale(z, 1 / o.temperature), isTarget);
    };
    if (classes < 2) return [];
    const [teacher, student] = [side(c.teacherLogits as Value), side(c.studentLogits)];
    const scale = weight * o.temperature ** 2;
    const terms: LossTerm[] = [];
    if (o.targetWeight > 0)
      terms.push(rowTerm(c, "target", scale * o.targetWeight, () => binaryKl(b, teacher.odds, student.odds)));
    if (classes > 2 && o.nonTargetWeight > 0)
      terms.push(
        rowTerm(c, "non-target", scale * o.nonTargetWeight, () => {
          const [p, q] = [teacher.logRest, student.logRest];
          const each = b.mul(b.exp(p), b.sub(p, q));
          return b.reduceSum(b.where(isTarget, b.like(each, 0), each), [1]);
        }),
      );
    return terms;
  });
}

/** [R, C] bool: the label's largest class, without labels the teacher's; of equal ones the first. */
function targetMask({ b, labels, labelIndices, teacherLogits, studentLogits }: LossContext): Value {
  const [rows, classes] = b.dims(studentLogits) as readonly [number, number];
  const index =
    labelIndices ??
    b.cast(
      b.node("ArgMax", [(labels ?? teacherLogits) as Value], { axis: int(1), keepdims: int(0) }),
      "int32",
    );
  const positions = Array.from({ length: classes }, (_, k) => k);
  const all = b.constant(tensor("int32", positions, [1, classes]), "classes");
  return b.equal(b.reshape(index, [rows, 1]), all);
}

/**
 * Of u = z/T: the log-odds of the target against the rest, [R], and the log-probabilities among the others, [R, C], finite
 * and meaningless at the target.
 */
function sideOf(b: Builder, u: Value, isTarget: Value): { odds: Value; logRest: Value } {
  const nought = b.like(u, 0);
  // The smallest of the row takes the target's place where the largest of the others is sought: no number stands for −∞.
  const least = b.neg(b.reduceMax(b.neg(u), [1], true));
  const shift = b.stopGradient(b.reduceMax(b.where(isTarget, b.expand(least, b.dims(u)), u), [1], true));
  const shifted = b.sub(u, shift);
  const others = b.where(isTarget, nought, shifted);
  const mass = b.where(isTarget, nought, b.exp(others));
  const logMass = b.log(b.reduceSum(mass, [1], true));
  const target = b.reduceSum(b.where(isTarget, shifted, nought), [1], true);
  return {
    odds: b.reshape(b.sub(target, logMass), [b.dims(u)[0] as number]),
    logRest: b.sub(others, logMass),
  };
}

/** KL of two pairs (σ(a), σ(−a)) given as log-odds. */
function binaryKl(b: Builder, teacher: Value, student: Value): Value {
  const [yes, no] = [teacher, b.neg(teacher)];
  const gap = (a: Value, c: Value) => b.mul(b.sigmoid(a), b.sub(logSigmoid(b, a), logSigmoid(b, c)));
  return b.add(gap(yes, student), gap(no, b.neg(student)));
}

/** min(x, 0) − log(1 + exp(−|x|)). */
function logSigmoid(b: Builder, x: Value): Value {
  const y = b.sub(b.min(x, b.like(x, 0)), b.log(b.shift(b.exp(b.neg(b.abs(x))), 1)));
  // Through min and |x| the slope at 0 would be one side's.
  b.region({ inputs: [x], outputs: [y], grad: (dy) => [() => b.mul(dy(0), b.sigmoid(b.neg(x)))] });
  return y;
}
