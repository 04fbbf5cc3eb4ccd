// Several yes-or-no answers as graph values: the emitted twin of MultiLabelDistillationStrategy's loss.
import type { Value } from "../graph/graph.ts";
import { log1pExpOfMinusAbs, sigmoid, withoutInfinity } from "./binary.ts";
import { hardAndSoft } from "./knowledge-distillation.ts";
import type { LossContext, LossTerm } from "./terms.ts";

/**
 * With labels y and teacher t: α·BCE(y, σ(s)) + (1−α)·T²·KL(Bernoulli(σ(t/T)) ‖ Bernoulli(σ(s/T))); one of the two alone at
 * full weight. Means over the labels and the rows that count.
 */
export function multiLabel(c: LossContext, temperature: number, alpha: number): LossTerm[] {
  return hardAndSoft(c, alpha, binaryCrossEntropy, () => softDivergence(c, temperature));
}

/** max(s, 0) − s·y + log(1 + e^−|s|), the mean over the labels of each row;  ds = σ(s) − y. */
function binaryCrossEntropy({ b, studentLogits, labels }: LossContext): Value {
  const [s, y] = [withoutInfinity(b, studentLogits), labels as Value];
  const each = b.add(b.sub(b.relu(s), b.mul(s, y)), log1pExpOfMinusAbs(b, s));
  b.region({
    inputs: [studentLogits],
    outputs: [each],
    grad: (dy) => [() => b.mul(dy(0), b.sub(sigmoid(b, s), y))],
  });
  return b.reduceMean(each, [1]);
}

/** T²·(p·(log p − log q) + (1−p)·(log(1−p) − log(1−q))), the mean over the labels of each row;  ds = T·(q − p). */
function softDivergence({ b, studentLogits, teacherLogits }: LossContext, temperature: number): Value {
  const at = (z: Value) => b.scale(withoutInfinity(b, z), 1 / temperature);
  const [t, s] = [at(teacherLogits as Value), at(studentLogits)];
  const [tail, teacherTail] = [log1pExpOfMinusAbs(b, s), log1pExpOfMinusAbs(b, t)];
  // log σ(x) = min(x, 0) − log(1 + e^−|x|), and log(1 − σ(x)) = log σ(x) − x without the cancellation: −max(x, 0) − ….
  const yes = b.sub(b.sub(b.min(t, b.like(t, 0)), b.min(s, b.like(s, 0))), b.sub(teacherTail, tail));
  const no = b.sub(b.sub(b.relu(s), b.relu(t)), b.sub(teacherTail, tail));
  const p = sigmoid(b, t);
  const each = b.scale(b.add(b.mul(p, yes), b.mul(sigmoid(b, b.neg(t)), no)), temperature ** 2);
  b.region({
    inputs: [studentLogits],
    outputs: [each],
    grad: (dy) => [() => b.mul(dy(0), b.scale(b.sub(sigmoid(b, s), p), temperature))],
  });
  return b.reduceMean(each, [1]);
}
