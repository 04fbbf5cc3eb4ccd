// Matrices whose numbers show that nobody trained them: zeros and ones, identities, graphs.
import { sizeOf, type Tensor } from "../base/tensor.ts";
import { beginningOf } from "../onnx/tensor-proto.ts";

/** Both zeros and ones, and nothing else, over two axes or more. */
export function isZeroOne(tensor: Tensor): boolean {
  if (tensor.dtype !== "float32" || tensor.dims.filter((d) => d > 1).length < 2) return false;
  const every = (data: Tensor["data"]): boolean => (data as Float32Array).every((v) => v === 0 || v === 1);
  if (!every(beginningOf(tensor, 64)) || !every(tensor.data)) return false;
  return tensor.data.some((v) => v !== tensor.data[0]);
}

export function isIdentity(tensor: Tensor): boolean {
  const [n = 0, m = 0] = tensor.dims;
  if (tensor.dtype !== "float32" || tensor.dims.length !== 2 || n !== m || n < 2) return false;
  if (beginningOf(tensor, 2)[0] !== 1 || beginningOf(tensor, 2)[1] !== 0) return false;
  return tensor.data.every((v, i) => v === (i % (n + 1) === 0 ? 1 : 0));
}

/**
 * Square and sparse, with something beside the diagonal, and as only a graph's matrix is: symmetric to the bit (adjacency,
 * Laplacian), or without negative numbers and with the sum 1 (or 0) in each row, or each column.
 */
export function isAdjacency(tensor: Tensor): boolean {
  const { dtype, dims } = tensor;
  const n = dims.at(-1) ?? 0;
  if (dtype !== "float32" || dims.at(-2) !== n || n < 3 || dims.length > 3) return false;
  // A large teacher's weights are not read from their file for it: a large graph has a zero in its first rows.
  const few = 1 << 16;
  if (sizeOf(dims) > few && !(beginningOf(tensor, few) as Float32Array).includes(0)) return false;
  const all = tensor.data as Float32Array;
  if (!all.includes(0)) return false;
  for (let at = 0; at < all.length; at += n * n) if (!isGraph(all.subarray(at, at + n * n), n)) return false;
  return true;
}

function isGraph(a: Float32Array, n: number): boolean {
  let [symmetric, positive, zeros, others] = [true, true, 0, 0];
  const [rows, columns] = [new Float64Array(n), new Float64Array(n)];
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const v = a[i * n + j] as number;
      symmetric &&= Math.abs(v - (a[j * n + i] as number)) <= 1e-6 * Math.abs(v);
      positive &&= v >= 0;
      rows[i] = (rows[i] as number) + v;
      columns[j] = (columns[j] as number) + v;
      if (i !== j && v === 0) zeros++;
      if (i !== j && v !== 0) others++;
    }
  if (zeros === 0 || others === 0) return false;
  const shares = (sums: Float64Array): boolean => sums.every((s) => s === 0 || Math.abs(s - 1) < 1e-5);
  return symmetric || (positive && (shares(rows) || shares(columns)));
}
