// The loss on outputs (Hinton, Vinyals and Dean 2015, arXiv:1503.02531) and its gradient, on matrices that were
// checked before. Everything goes through log-softmax, so logits of any finite size give a finite loss.
import { type FloatArray, type Matrix, zerosLike } from "./matrix.ts";

export interface ResponseTerms {
  readonly student: Matrix;
  readonly teacher: Matrix;
  readonly labels: Matrix | undefined;
  readonly temperature: number;
  readonly alpha: number;
}

/** α·CE(y, softmax(s)) + (1−α)·T²·KL(softmax(t/T) ‖ softmax(s/T)), the mean over rows; T²·KL without labels. */
export function responseLoss({ student, teacher, labels, temperature, alpha }: ResponseTerms): number {
  const { rows, columns } = student;
  const logP = new Float64Array(columns);
  const logQ = new Float64Array(columns);
  let soft = 0;
  let hard = 0;
  for (let r = 0; r < rows; r++) {
    const from = r * columns;
    logSoftmax(teacher.data, from, temperature, logP);
    logSoftmax(student.data, from, temperature, logQ);
    let kl = 0;
    for (let c = 0; c < columns; c++) {
      const p = Math.exp(logP[c]!);
      if (p > 0) kl += p * (logP[c]! - logQ[c]!);
    }
    soft += Math.max(0, kl); // rounding alone can make it negative
    if (labels === undefined) continue;
    logSoftmax(student.data, from, 1, logQ);
    for (let c = 0; c < columns; c++) {
      const y = labels.data[from + c]!;
      if (y > 0) hard -= y * logQ[c]!;
    }
  }
  const hardWeight = labels === undefined ? 0 : alpha;
  return (hardWeight * hard + (1 - hardWeight) * temperature * temperature * soft) / rows;
}

/** The derivative of {@link responseLoss} by the student's logits; its element type is theirs. */
export function responseGradient({ student, teacher, labels, temperature, alpha }: ResponseTerms): Matrix {
  const { rows, columns } = student;
  const gradient = zerosLike(student);
  const out = gradient.data;
  const p = new Float64Array(columns);
  const q = new Float64Array(columns);
  const hardWeight = labels === undefined ? 0 : alpha;
  const softSlope = ((1 - hardWeight) * temperature) / rows; // T² · (1/T)
  const hardSlope = hardWeight / rows;
  for (let r = 0; r < rows; r++) {
    const from = r * columns;
    softmax(teacher.data, from, temperature, p);
    softmax(student.data, from, temperature, q);
    // Both terms are summed in float64 before the one rounding to the element type.
    for (let c = 0; c < columns; c++) p[c] = softSlope * (q[c]! - p[c]!);
    if (labels !== undefined) {
      softmax(student.data, from, 1, q);
      let mass = 0; // Σy: 1 within the tolerance, and exactly what the derivative contains
      for (let c = 0; c < columns; c++) mass += labels.data[from + c]!;
      for (let c = 0; c < columns; c++) p[c]! += hardSlope * (mass * q[c]! - labels.data[from + c]!);
    }
    for (let c = 0; c < columns; c++) out[from + c] = p[c]! + 0;
  }
  return gradient;
}

/** log softmax(z / T) of the row of `out.length` values that starts at `from`. */
function logSoftmax(data: FloatArray, from: number, temperature: number, out: Float64Array): void {
  const columns = out.length;
  let max = -Infinity;
  for (let c = 0; c < columns; c++) max = Math.max(max, data[from + c]!);
  let sum = 0;
  for (let c = 0; c < columns; c++) {
    const z = (data[from + c]! - max) / temperature;
    out[c] = z;
    sum += Math.exp(z);
  }
  const logSum = Math.log(sum);
  for (let c = 0; c < columns; c++) out[c]! -= logSum;
}

function softmax(data: FloatArray, from: number, temperature: number, out: Float64Array): void {
  logSoftmax(data, from, temperature, out);
  for (let c = 0; c < out.length; c++) out[c] = Math.exp(out[c]!);
}
