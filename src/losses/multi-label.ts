// Several yes-or-no answers as graph values: the emitted twin of MultiLabelDistillationStrategy's loss.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { log1pExpOfMinusAbs, onePlusExpOfMinusAbs, withoutInfinity } from "./binary.ts";
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
  return meanOfLabels(b, studentLogits, each, 1, () => b.sub(b.sigmoid(s), y));
}

/** T²·(p·(log p − log q) + (1−p)·(log(1−p) − log(1−q))), the mean over the labels of each row;  ds = T·(q − p). */
function softDivergence({ b, studentLogits, teacherLogits }: LossContext, temperature: number): Value {
  const at = (z: Value) => b.scale(withoutInfinity(b, z), 1 / temperature);
  const [t, s] = [at(teacherLogits as Value), at(studentLogits)];
  // The difference of the two tails, by one Log, which costs ten times what a product does.
  const tails = b.log(b.div(onePlusExpOfMinusAbs(b, t), onePlusExpOfMinusAbs(b, s)));
  // log σ(x) = min(x, 0) − log(1 + e^−|x|), and log(1 − σ(x)) = log σ(x) − x without the cancellation: −max(x, 0) − ….
  const yes = b.sub(b.sub(b.min(t, b.like(t, 0)), b.min(s, b.like(s, 0))), tails);
  const no = b.sub(b.sub(b.relu(s), b.relu(t)), tails);
  const p = b.sigmoid(t);
  const each = b.add(b.mul(p, yes), b.mul(b.sigmoid(b.neg(t)), no));
  const mean = meanOfLabels(b, studentLogits, each, 1 / temperature, () => b.sub(b.sigmoid(s), p));
  return b.scale(mean, temperature ** 2);
}

/** The mean over the labels of each row [R];  ds = factor · slope / C, its numbers multiplied while they are one for each row. */
function meanOfLabels(b: Builder, s: Value, each: Value, factor: number, slope: () => Value): Value {
  const mean = b.reduceMean(each, [1]);
  const [rows, labels] = b.dims(s) as [number, number];
  b.region({
    inputs: [s],
    outputs: [mean],
    grad: (dy) => [() => b.mul(slope(), b.reshape(b.scale(dy(0), factor / labels), [rows, 1]))],
  });
  return mean;
}
