// The loss against labels that every strategy on outputs has: cross-entropy with one-hot or soft rows.
import type { Matrix } from "../matrix.ts";
import { TemperedRow } from "./tempered-row.ts";

/** CE(y, softmax(s)) = −Σ y log softmax(s), the mean over rows. */
export function crossEntropy(student: Matrix, labels: Matrix): number {
  const { rows, columns } = student;
  const row = new TemperedRow(columns, 1, false);
  let sum = 0;
  for (let r = 0, i = 0; r < rows; r++) {
    const logQ = row.read(student.data, i);
    for (let c = 0; c < columns; c++, i++) {
      const y = labels.data[i]!;
      if (y > 0) sum -= y * logQ[c]!;
    }
  }
  return sum / rows;
}

/** Adds weight · its derivative by s, (Σy·softmax(s) − y)/B, to `out`. */
export function addCrossEntropyGradient(
  student: Matrix,
  labels: Matrix,
  weight: number,
  out: Float64Array,
): void {
  const { rows, columns } = student;
  const row = new TemperedRow(columns, 1, false);
  const slope = weight / rows;
  for (let r = 0; r < rows; r++) {
    const from = r * columns;
    const logQ = row.read(student.data, from);
    let mass = 0; // Σy: 1 within the tolerance, and exactly what the derivative contains
    for (let c = 0; c < columns; c++) mass += labels.data[from + c]!;
    for (let c = 0; c < columns; c++)
      out[from + c]! += slope * (mass * Math.exp(logQ[c]!) - labels.data[from + c]!);
  }
}
