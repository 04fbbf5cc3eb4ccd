// Which class each sample of a batch is of, for losses on taps that tell classes apart: as the step has it (see
// losses/selectivity.ts), on arrays.
import type { Tensor } from "../base/tensor.ts";
import { names } from "../compile/compile-step.ts";
import { Matrix } from "../strategies/index.ts";
import { labelRows, rowsOfTensor } from "../tasks/index.ts";

/**
 * Distributions over classes `[N, K]`: the labels', where they are fed, otherwise the class that the teacher predicts. A
 * sample whose label does not count is of no class: zeros. Undefined where there is not one prediction for each sample.
 */
export function sampleClasses(
  teacherLogits: Tensor,
  feeds: Readonly<Record<string, Tensor>>,
): Matrix | undefined {
  const rows = rowsOfTensor(teacherLogits);
  const [count, classes] = rows.dims as readonly [number, number];
  if (count !== teacherLogits.dims[0]) return undefined;
  const labels = feeds[names.labels];
  if (!labels) return predictedClasses(rows.data as Float32Array, count, classes);
  const given = labelRows(labels, rows.dims).data as Float32Array;
  const weights = feeds[names.rowWeights]?.data as Float32Array | undefined;
  return new Matrix(
    count,
    classes,
    weights ? given.map((y, i) => (weights[Math.floor(i / classes)] === 0 ? 0 : y)) : given,
  );
}

/** 1 where a row is greatest (shared, where several are), else 0. */
export function predictedClasses(logits: Float32Array, rows: number, columns: number): Matrix {
  const out = new Float32Array(logits.length);
  for (let r = 0; r < rows; r++) {
    const row = logits.subarray(r * columns, (r + 1) * columns);
    const top = row.reduce((a, b) => Math.max(a, b));
    const share = 1 / row.filter((z) => z === top).length;
    row.forEach((z, c) => {
      if (z === top) out[r * columns + c] = share;
    });
  }
  return new Matrix(rows, columns, out);
}
