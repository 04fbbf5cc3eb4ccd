// Whether a constant is a table of sines and cosines over positions, which models compute once and do not learn. Vaswani et
// al. 2017 (added to embeddings); Su et al. 2021 (rotary: cosines and sines apart).
import type { Tensor, TensorData } from "../base/tensor.ts";
import { beginningOf } from "../onnx/tensor-proto.ts";

const tolerance = 2e-3;

/**
 * The last axis is that of frequencies, the one before it that of positions. One of:
 * - sines and cosines in one row, in whatever order: the squares of each row sum to half its length;
 * - cosines: rows 0, 1, 2 hold 1, c, 2c² − 1;
 * - sines: rows 0, 1, 2 hold 0, s, ±2s√(1 − s²).
 */
export function isPositionTable(tensor: Tensor): boolean {
  const { dtype, dims } = tensor;
  const shape = dims.filter((d, i) => d > 1 || i >= dims.length - 2);
  const [rows, width] = [shape.at(-2) ?? 0, shape.at(-1) ?? 0];
  if ((dtype !== "float32" && dtype !== "float64") || shape.length !== 2 || rows < 3 || width < 4)
    return false;
  return (
    looksSo(numbers(beginningOf(tensor, 3 * width)), 3, width) && looksSo(numbers(tensor.data), rows, width)
  );
}

/**
 * Whether every matrix of it holds slopes times distances, s·|i − j| or s·(j − i), as are added to scores of an attention
 * (ALiBi; Press et al. 2021).
 */
export function isDistanceTable({ dtype, dims, data }: Tensor): boolean {
  const [rows, columns] = [dims.at(-2) ?? 0, dims.at(-1) ?? 0];
  if (dtype !== "float32" || rows !== columns || rows < 3) return false;
  const all = data as Float32Array;
  for (let at = 0; at < all.length; at += rows * rows) {
    const slope = all[at + 1] as number;
    const back = (all[at + rows] as number) === slope ? 1 : -1;
    if (slope === 0) return false;
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < rows; j++) {
        const wanted = slope * (j >= i ? j - i : back * (i - j));
        if (Math.abs((all[at + i * rows + j] as number) - wanted) > 1e-5 * Math.abs(wanted)) return false;
      }
  }
  return true;
}

const numbers = (data: TensorData): Float32Array => data as Float32Array;

function looksSo(all: Float32Array, rows: number, width: number): boolean {
  const row = (i: number): Float32Array => all.subarray(i * width, (i + 1) * width);
  const [first, second, third] = [row(0), row(1), row(2)];
  if (second.every((v, i) => Math.abs(v - (first[i] as number)) < tolerance)) return false;
  const close = (a: number, b: number): boolean => Math.abs(a - b) < tolerance;
  const small = first.every((v) => Math.abs(v) < 1 + tolerance);
  if (!small) return false;
  const mixed = Array.from({ length: rows }, (_, i) => row(i)).every(
    (r) => Math.abs(r.reduce((s, v) => s + v * v, 0) - width / 2) < tolerance * width,
  );
  if (mixed && first.every((v) => close(v, 0) || close(v, 1))) return true;
  if (first.every((v) => close(v, 1)))
    return second.every((c, i) => close(third[i] as number, 2 * c * c - 1));
  return (
    first.every((v) => close(v, 0)) &&
    second.every((s, i) =>
      close(Math.abs(third[i] as number), Math.abs(2 * s) * Math.sqrt(Math.max(0, 1 - s * s))),
    )
  );
}
