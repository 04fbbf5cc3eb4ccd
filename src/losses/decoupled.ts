// DKD as graph values (Zhao et al. 2022): the emitted twin of DecoupledDistillationStrategy's loss.
import { tensor } from "../base/tensor.ts";
import { int, type Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { logSigmoid } from "./binary.ts";
import { standardized } from "./distributions.ts";
import { LOG_ZERO } from "./infinite.ts";
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
          const sum = b.reduceSum(b.where(isTarget, b.like(each, 0), each), [1]);
          // A teacher that rules all others out says nothing of how they compare.
          return b.where(teacher.noRest, b.like(sum, 0), sum);
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

interface Side {
  /** [R] */
  readonly odds: Value;
  /** [R, C] */
  readonly logRest: Value;
  /** [R] bool: whether none of the others is possible. */
  readonly noRest: Value;
}

/**
 * Of u = z/T: the log-odds of the target against the rest, and the log-probabilities among the others, finite and
 * meaningless at the target. −∞ counts as {@link LOG_ZERO}, unless the whole row is −∞: that is NaN.
 */
function sideOf(b: Builder, z: Value, isTarget: Value): Side {
  const rows = b.dims(z)[0] as number;
  const u = b.max(z, b.like(z, LOG_ZERO));
  b.region({ inputs: [z], outputs: [u], grad: (dy) => [() => dy(0)] });
  const nought = b.like(u, 0);
  const largest = b.stopGradient(b.reduceMax(b.where(isTarget, b.like(u, LOG_ZERO), u), [1], true));
  const impossible = (most: Value) => b.lessOrEqual(most, b.like(most, LOG_ZERO));
  const own = b.stopGradient(b.reduceSum(b.where(isTarget, u, nought), [1], true));
  const shift = b.where(impossible(b.max(largest, own)), b.like(largest, Number.NaN), largest);
  const shifted = b.sub(u, shift);
  const others = b.where(isTarget, nought, shifted);
  const mass = b.where(isTarget, nought, b.exp(others));
  const logMass = b.log(b.reduceSum(mass, [1], true));
  const target = b.reduceSum(b.where(isTarget, shifted, nought), [1], true);
  return {
    odds: b.reshape(b.sub(target, logMass), [rows]),
    logRest: b.sub(others, logMass),
    noRest: b.reshape(impossible(largest), [rows]),
  };
}

/** KL of two pairs (σ(a), σ(−a)) given as log-odds. */
function binaryKl(b: Builder, teacher: Value, student: Value): Value {
  const gap = (a: Value, c: Value) => {
    const logP = logSigmoid(b, a);
    return b.mul(b.exp(logP), b.sub(logP, logSigmoid(b, c)));
  };
  return b.add(gap(teacher, student), gap(b.neg(teacher), b.neg(student)));
}
