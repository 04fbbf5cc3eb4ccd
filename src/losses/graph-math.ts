// The published vocabulary in which a user writes a loss once, as graph values: a part of the Builder, by its own
// documented types, so that the Builder may change behind it. Types only.

/** A value of the training step's graph: a tensor that will be there when the step runs. */
export interface GraphValue {
  /** Its name in the ONNX graph. */
  readonly name: string;
}

/**
 * Makes graph values of graph values. Two values combine by NumPy's broadcasting: `[R, C]` with `[R, 1]`, `[C]` or a
 * scalar. Every operation has its gradient; comparisons have none, and are to be used as conditions of `where`.
 * Element types do not mix; numbers of TypeScript take the type of the value beside them.
 */
export interface GraphMath {
  /** The shape of x. */
  dims(x: GraphValue): readonly number[];
  /** The number k as a scalar of x's element type. */
  like(x: GraphValue, k: number): GraphValue;
  /** x, through which no gradient flows back. */
  stopGradient(x: GraphValue): GraphValue;
  /** Runs `body` with the nodes that it makes named under `name`, as tools that show the graph have it. */
  scope<T>(name: string, body: () => T): T;

  add(a: GraphValue, c: GraphValue): GraphValue;
  sub(a: GraphValue, c: GraphValue): GraphValue;
  mul(a: GraphValue, c: GraphValue): GraphValue;
  div(a: GraphValue, c: GraphValue): GraphValue;
  /** x · k. */
  scale(x: GraphValue, k: number): GraphValue;
  /** x + k. */
  shift(x: GraphValue, k: number): GraphValue;
  square(x: GraphValue): GraphValue;
  /** x to the power y; x ≥ 0 unless y is a whole number. */
  pow(x: GraphValue, y: GraphValue): GraphValue;
  neg(x: GraphValue): GraphValue;
  abs(x: GraphValue): GraphValue;
  exp(x: GraphValue): GraphValue;
  /** The natural logarithm. */
  log(x: GraphValue): GraphValue;
  sqrt(x: GraphValue): GraphValue;
  reciprocal(x: GraphValue): GraphValue;
  /** Right down to the smallest float, also where ONNX Runtime's float32 Sigmoid is 0. */
  sigmoid(x: GraphValue): GraphValue;
  tanh(x: GraphValue): GraphValue;
  relu(x: GraphValue): GraphValue;
  min(a: GraphValue, c: GraphValue): GraphValue;
  max(a: GraphValue, c: GraphValue): GraphValue;

  greater(a: GraphValue, c: GraphValue): GraphValue;
  less(a: GraphValue, c: GraphValue): GraphValue;
  equal(a: GraphValue, c: GraphValue): GraphValue;
  /** a where the condition holds, c elsewhere. The other side's gradient there is 0, even if its value is NaN. */
  where(condition: GraphValue, a: GraphValue, c: GraphValue): GraphValue;

  /** Of matrices, or of stacks of them: `[…, M, K]` by `[…, K, N]`. */
  matmul(a: GraphValue, c: GraphValue): GraphValue;
  /** Swaps the last two axes. */
  swapLast(x: GraphValue): GraphValue;
  /** Axis i of the result is axis perm[i] of x. */
  transpose(x: GraphValue, perm: readonly number[]): GraphValue;
  reshape(x: GraphValue, dims: readonly number[]): GraphValue;
  /** Repeats axes of length 1 up to `dims`. */
  expand(x: GraphValue, dims: readonly number[]): GraphValue;
  concat(xs: readonly GraphValue[], axis: number): GraphValue;

  /** Over `axes`, or over all of them; `keepdims` leaves length 1 in their place. */
  reduceSum(x: GraphValue, axes?: readonly number[], keepdims?: boolean): GraphValue;
  reduceMean(x: GraphValue, axes?: readonly number[], keepdims?: boolean): GraphValue;
  /** Equal largest elements share the gradient. */
  reduceMax(x: GraphValue, axes?: readonly number[], keepdims?: boolean): GraphValue;
  reduceSumSquare(x: GraphValue, axes?: readonly number[], keepdims?: boolean): GraphValue;

  /** Along `axis`, by default the last. */
  softmax(x: GraphValue, axis?: number): GraphValue;
  /** log softmax(x) without overflow, along `axis`, by default the last. */
  logSoftmax(x: GraphValue, axis?: number): GraphValue;
}
