// The loss on outputs where each label is a yes or no of its own (a sigmoid for each logit), and its gradient, on matrices
// that were checked before. Everything goes through log-sigmoid, so logits of any finite size give a finite loss.
import { type Matrix, zerosLike } from "./matrix.ts";
import type { CheckedLogits } from "./strategy-base.ts";

export interface ResponseTerms extends CheckedLogits {
  readonly temperature: number;
  readonly alpha: number;
}

/** log(1 + eˣ) without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

export function sigmoid(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/** p·x, where p = 0 counts as 0·log 0 = 0. */
const times = (p: number, x: number): number => (p === 0 ? 0 : p * x);

/** −y log σ(z) − (1−y) log(1 − σ(z)); a logit of ±∞ is a certain answer, which costs nothing where it is right. */
export function binaryCrossEntropy(z: number, y: number): number {
  if (z === Infinity) return y === 1 ? 0 : Infinity;
  if (z === -Infinity) return y === 0 ? 0 : Infinity;
  return Math.max(z, 0) - z * y + Math.log1p(Math.exp(-Math.abs(z)));
}

/**
 * α·BCE(y, σ(s)) + (1−α)·T²·KL(Bernoulli(σ(t/T)) ‖ Bernoulli(σ(s/T))), the mean over rows and columns; T²·KL without
 * labels.
 */
export function multiLabelLoss({ student, teacher, labels, temperature, alpha }: ResponseTerms): number {
  let [hard, soft] = [0, 0];
  const n = student.data.length;
  for (let i = 0; i < n; i++) {
    const [s, t] = [student.data[i]! / temperature, teacher.data[i]! / temperature];
    const kl = times(sigmoid(t), softplus(-s) - softplus(-t)) + times(sigmoid(-t), softplus(s) - softplus(t));
    soft += Math.max(0, kl); // rounding alone can make it negative
    if (labels !== undefined) hard += binaryCrossEntropy(student.data[i]!, labels.data[i]!);
  }
  const hardWeight = labels === undefined ? 0 : alpha;
  return (times(hardWeight, hard) + times((1 - hardWeight) * temperature * temperature, soft)) / n;
}

/** The derivative of {@link multiLabelLoss} by the student's logits; its element type is theirs. */
export function multiLabelGradient({ student, teacher, labels, temperature, alpha }: ResponseTerms): Matrix {
  const gradient = zerosLike(student);
  const n = student.data.length;
  const hardWeight = labels === undefined ? 0 : alpha;
  const softSlope = ((1 - hardWeight) * temperature) / n; // T² · (1/T)
  for (let i = 0; i < n; i++) {
    const z = student.data[i]!;
    const soft = softSlope * (sigmoid(z / temperature) - sigmoid(teacher.data[i]! / temperature));
    const hard = labels === undefined ? 0 : (hardWeight / n) * (sigmoid(z) - labels.data[i]!);
    gradient.data[i] = soft + hard;
  }
  return gradient;
}
