// Whether one matrix holds the numbers of another.
import type { Tensor } from "../base/tensor.ts";
import { beginningOf } from "../onnx/tensor-proto.ts";

/** Whether they hold the same numbers (false), or each other's transpose (true). */
export function transposition(a: Tensor, b: Tensor): boolean | undefined {
  const [rows, columns] = a.dims as [number, number];
  const [m, n] = b.dims as [number, number];
  if (!(m === rows && n === columns) && !(m === columns && n === rows)) return undefined;
  // The data of a large teacher is read from its file only where the first numbers agree.
  if (beginningOf(a, 1)[0] !== beginningOf(b, 1)[0]) return undefined;
  const [x, y] = [a.data as Float32Array, b.data as Float32Array];
  if (x.every((v) => v === x[0])) return undefined;
  if (m === rows && x.every((v, i) => v === y[i])) return false;
  if (m !== columns) return undefined;
  return x.every((v, i) => v === y[(i % columns) * rows + Math.floor(i / columns)]) ? true : undefined;
}
