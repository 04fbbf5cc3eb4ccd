// Products of row-major matrices in float64, written for losses on layers. No shapes are checked here: callers own them.

/** A·B: `a` is m × k, `b` is k × n. */
export function product(a: Float64Array, b: Float64Array, m: number, k: number, n: number): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++) for (let l = 0; l < k; l++) axpy(a[i * k + l]!, b, l * n, out, i * n, n);
  return out;
}

/** Aᵀ·B: `a` is k × m, `b` is k × n. */
export function productTN(a: Float64Array, b: Float64Array, m: number, k: number, n: number): Float64Array {
  const out = new Float64Array(m * n);
  for (let l = 0; l < k; l++) for (let i = 0; i < m; i++) axpy(a[l * m + i]!, b, l * n, out, i * n, n);
  return out;
}

/** A·Bᵀ: `a` is m × k, `b` is n × k. */
export function productNT(a: Float64Array, b: Float64Array, m: number, k: number, n: number): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += a[i * k + l]! * b[j * k + l]!;
      out[i * n + j] = sum;
    }
  return out;
}

/** out += s · b, over `n` elements from the given places. */
function axpy(s: number, b: Float64Array, from: number, out: Float64Array, to: number, n: number): void {
  if (s === 0) return;
  for (let j = 0; j < n; j++) out[to + j]! += s * b[from + j]!;
}

export function sumOfSquares(a: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * a[i]!;
  return sum;
}
