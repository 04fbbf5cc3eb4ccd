// Losses between real numbers, squared or Huber's, and their gradient, on matrices that were checked before.
import { type Matrix, zerosLike } from "./matrix.ts";

export interface RegressionTerms {
  readonly student: Matrix;
  readonly teacher: Matrix;
  /** The targets. */
  readonly labels: Matrix | undefined;
  readonly alpha: number;
  /** Undefined: squared differences. */
  readonly huberDelta: number | undefined;
}

/** d² or, with δ: d²/2 up to |d| = δ, δ·(|d| − δ/2) beyond. */
function distance(d: number, delta: number | undefined): number {
  if (delta === undefined) return d * d;
  const size = Math.abs(d);
  const near = Math.min(size, delta);
  return near * (size - 0.5 * near);
}

function slope(d: number, delta: number | undefined): number {
  return delta === undefined ? 2 * d : Math.max(-delta, Math.min(delta, d));
}

/** α·distance(s − y) + (1−α)·distance(s − t), the mean over rows and columns; distance(s − t) without targets. */
export function regressionLoss({ student, teacher, labels, alpha, huberDelta }: RegressionTerms): number {
  let [hard, soft] = [0, 0];
  const n = student.data.length;
  for (let i = 0; i < n; i++) {
    const s = student.data[i]!;
    soft += distance(s - teacher.data[i]!, huberDelta);
    if (labels !== undefined) hard += distance(s - labels.data[i]!, huberDelta);
  }
  const hardWeight = labels === undefined ? 0 : alpha;
  // A weight of 0 switches a term off, also one that overflows.
  return ((hardWeight > 0 ? hardWeight * hard : 0) + (hardWeight < 1 ? (1 - hardWeight) * soft : 0)) / n;
}

/** The derivative of {@link regressionLoss} by the student's outputs; its element type is theirs. */
export function regressionGradient({ student, teacher, labels, alpha, huberDelta }: RegressionTerms): Matrix {
  const gradient = zerosLike(student);
  const n = student.data.length;
  const hardWeight = labels === undefined ? 0 : alpha;
  for (let i = 0; i < n; i++) {
    const s = student.data[i]!;
    const soft = (1 - hardWeight) * slope(s - teacher.data[i]!, huberDelta);
    const hard = labels === undefined ? 0 : hardWeight * slope(s - labels.data[i]!, huberDelta);
    gradient.data[i] = (soft + hard) / n;
  }
  return gradient;
}
