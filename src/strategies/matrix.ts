// Row-major matrices of samples by neurons (or classes), and the one place where what a caller hands over
// becomes one. Holds numbers and shapes only: no arithmetic lives here.
import { DistillError } from "../base/errors.ts";
import { moveNeurons, neuronAxis, positionsOf } from "../base/layout.ts";
import { formatShape } from "../base/tensor.ts";

/** The two element types that the strategies compute on. */
export type FloatArray = Float32Array | Float64Array;

/**
 * What every strategy accepts where a matrix is needed: a {@link Matrix}, or anything with row-major `data` and
 * two `dims`, such as an ONNX Runtime tensor. `data` must be a `Float32Array` or a `Float64Array`; that is
 * checked when it is used, because a runtime's own tensor type does not promise it.
 */
export interface MatrixLike {
  readonly data: ArrayLike<unknown>;
  readonly dims: readonly number[];
}

/**
 * A row-major matrix, `[rows, columns]`; a row is a sample, a column a neuron or a class.
 *
 * `data` is held, not copied, and its type is the numeric type of whatever is computed from the matrix
 * (float32 in, float32 gradient out; sums run in float64 either way).
 *
 * A matrix of activations may hold several rows of each sample, one for each position of a map or a sequence: so many
 * rows in succession are `positions` (default 1). Only what is asked "over samples" or "over positions" looks at it.
 *
 * Errors: `E_SHAPE` when `data` does not hold `rows * columns` numbers or `positions` does not divide `rows`,
 * `E_ARGUMENT` when `data` is of another type.
 *
 * @example
 * ```ts
 * import { Matrix } from "onnx-distill";
 *
 * const m = new Matrix(2, 3, new Float32Array([1, 2, 3, 4, 5, 6]));
 * m.get(1, 0); // => 4
 * [...m.row(0)]; // => [1, 2, 3]
 * m.dims; // => [2, 3]
 * ```
 */
export class Matrix implements MatrixLike {
  readonly rows: number;
  readonly columns: number;
  readonly data: FloatArray;
  /** Rows of one sample, which follow each other. */
  readonly positions: number;

  constructor(rows: number, columns: number, data: FloatArray, positions = 1) {
    checkCount("rows", rows);
    checkCount("columns", columns);
    checkFloats("Matrix: data", data);
    if (data.length !== rows * columns)
      throw new DistillError(
        "E_SHAPE",
        `Matrix: ${rows} rows by ${columns} columns need ${rows * columns} values, got ${data.length}`,
      );
    if (!Number.isInteger(positions) || positions < 1 || rows % positions !== 0)
      throw new DistillError(
        "E_SHAPE",
        `Matrix: positions must be a whole number, 1 or more, that divides the ${rows} rows, got ${positions}`,
      );
    this.rows = rows;
    this.columns = columns;
    this.data = data;
    this.positions = positions;
  }

  /**
   * A matrix from rows of equal length, copied. float32 when every row is a `Float32Array`, otherwise float64.
   *
   * Errors: `E_SHAPE` for no rows or ragged rows.
   */
  static fromRows(rows: readonly ArrayLike<number>[]): Matrix {
    return matrixFromRows("Matrix.fromRows", rows);
  }

  /**
   * The samples of a feature map: `[N, C, H, W]` becomes `[N·H·W, C]`, so each position of each image is a
   * sample and each channel a neuron. Row `(n·H + h)·W + w` holds the channels at `(n, h, w)`. Copies.
   *
   * A sequence `[N, T, C]` needs no rearranging: `new Matrix(N * T, C, data)`.
   *
   * Errors: `E_SHAPE` when `dims` are not four or do not fit `data`, `E_ARGUMENT` for another type of data.
   *
   * @example
   * ```ts
   * import { Matrix } from "onnx-distill";
   *
   * const map = { data: new Float32Array([1, 2, 3, 4]), dims: [1, 2, 1, 2] }; // two channels, two positions
   * [...Matrix.fromNCHW(map).row(0)]; // => [1, 3]
   * ```
   */
  static fromNCHW(tensor: MatrixLike): Matrix {
    const data = checkTensor("Matrix.fromNCHW: tensor", tensor);
    if (tensor.dims.length !== 4)
      throw new DistillError(
        "E_SHAPE",
        `Matrix.fromNCHW: tensor must have four dimensions [N, C, H, W], got ${formatShape(tensor.dims)}`,
      );
    return fromChecked(tensor.dims, data);
  }

  /**
   * The samples of any activations, each with its positions: `[N, C]` as it is, a sequence `[N, T, C]` as `[N·T, C]`
   * (neither is copied), a map `[N, C, …space]` as {@link fromNCHW} has it, whatever the number of dimensions of space.
   *
   * Errors: `E_SHAPE` for fewer than two `dims` or where they do not fit `data`, `E_ARGUMENT` for another type of data.
   *
   * @example
   * ```ts
   * import { Matrix } from "onnx-distill";
   *
   * const sequence = Matrix.fromTensor({ data: new Float32Array(24), dims: [2, 3, 4] });
   * sequence.dims; // => [6, 4]
   * sequence.positions; // => 3
   * ```
   */
  static fromTensor(tensor: MatrixLike): Matrix {
    return tensor instanceof Matrix ? tensor : matrixFromTensor("Matrix.fromTensor: tensor", tensor);
  }

  /**
   * The same numbers as a tensor of the given `dims`, in their layout: what a gradient by rows is for the activations
   * that {@link fromTensor} made the rows of. Copies maps alone.
   *
   * Error: `E_SHAPE` where `dims` are not those of so many rows and columns.
   */
  toTensor(dims: readonly number[]): { readonly data: FloatArray; readonly dims: readonly number[] } {
    const columns = dims[neuronAxis(dims.length)];
    if (dims.length < 2 || columns !== this.columns || dims.reduce((n, d) => n * d, 1) !== this.data.length)
      throw new DistillError(
        "E_SHAPE",
        `Matrix.toTensor: a matrix ${formatShape(this.dims)} is no tensor of shape ${formatShape(dims)}`,
      );
    return { data: dims.length < 4 ? this.data : moveNeurons(this.data, dims, "second"), dims };
  }

  /** `[rows, columns]`. */
  get dims(): readonly [number, number] {
    return [this.rows, this.columns];
  }

  /** Row `i` as a view on `data`, not a copy. Error: `E_SHAPE` when there is no such row. */
  row(i: number): FloatArray {
    checkIndex("row", i, this.rows);
    return this.data.subarray(i * this.columns, (i + 1) * this.columns);
  }

  /** The value in row `r`, column `c`. Error: `E_SHAPE` when there is no such place. */
  get(r: number, c: number): number {
    checkIndex("row", r, this.rows);
    checkIndex("column", c, this.columns);
    return this.data[r * this.columns + c]!;
  }
}

/** Zeros of the same shape and element type. */
export function zerosLike(m: Matrix): Matrix {
  const length = m.rows * m.columns;
  const data = isFloat32(m.data) ? new Float32Array(length) : new Float64Array(length);
  return new Matrix(m.rows, m.columns, data, m.positions);
}

/** `value` as a Matrix over the same data; `what` names it in errors. */
export function asMatrix(what: string, value: MatrixLike): Matrix {
  if (value instanceof Matrix) return value;
  const data = checkTensor(what, value);
  const [rows, columns] = value.dims;
  if (value.dims.length !== 2 || rows === undefined || columns === undefined)
    throw new DistillError(
      "E_SHAPE",
      `${what} must have two dimensions [samples, columns], got ${formatShape(value.dims)}; ` +
        "flatten it, or use Matrix.fromNCHW for a feature map",
    );
  return new Matrix(rows, columns, data);
}

/** {@link Matrix.fromTensor} with `what` as the name in errors. */
export function matrixFromTensor(what: string, tensor: MatrixLike): Matrix {
  if (tensor instanceof Matrix) return tensor;
  const data = checkTensor(what, tensor);
  if (tensor.dims.length < 2)
    throw new DistillError(
      "E_SHAPE",
      `${what} must have two or more dimensions ([samples, neurons], [N, T, C] or [N, C, H, W]), got ${formatShape(tensor.dims)}`,
    );
  return fromChecked(tensor.dims, data);
}

function fromChecked(dims: readonly number[], data: FloatArray): Matrix {
  const positions = positionsOf(dims);
  const rows = (dims[0] as number) * positions;
  const columns = dims[neuronAxis(dims.length)] as number;
  return new Matrix(
    rows,
    columns,
    dims.length < 4 ? data : moveNeurons(data, dims, "last"),
    Math.max(1, positions),
  );
}

/** {@link Matrix.fromRows} with `what` as the name in errors. */
export function matrixFromRows(what: string, rows: readonly ArrayLike<number>[]): Matrix {
  const columns = rows[0]?.length;
  if (columns === undefined) throw new DistillError("E_SHAPE", `${what} needs at least one row, got none`);
  const length = rows.length * columns;
  const data = rows.every(isFloat32) ? new Float32Array(length) : new Float64Array(length);
  for (const [i, row] of rows.entries()) {
    if (row.length !== columns)
      throw new DistillError(
        "E_SHAPE",
        `${what}: row ${i} has ${row.length} values and row 0 has ${columns}; every row needs the same number`,
      );
    data.set(row, i * columns);
  }
  return new Matrix(rows.length, columns, data);
}

function checkTensor(what: string, value: MatrixLike): FloatArray {
  const given: Partial<MatrixLike> | null | undefined = value;
  if (given?.data === undefined || !Array.isArray(given.dims))
    throw new DistillError(
      "E_ARGUMENT",
      `${what} must be a Matrix or an object with data and dims, got ${describe(value)}`,
    );
  const { data } = value;
  checkFloats(what, data);
  for (const d of value.dims)
    if (!Number.isInteger(d) || d < 0)
      throw new DistillError(
        "E_SHAPE",
        `${what} has dims ${formatShape(value.dims)}; each must be a whole number, 0 or more`,
      );
  const size = value.dims.reduce((n, d) => n * d, 1);
  if (size !== data.length)
    throw new DistillError(
      "E_SHAPE",
      `${what} has dims ${formatShape(value.dims)}, so ${size} values, but its data holds ${data.length}`,
    );
  return data;
}

function checkFloats(what: string, data: ArrayLike<unknown>): asserts data is FloatArray {
  if (isFloat32(data) || tagOf(data) === "Float64Array") return;
  throw new DistillError(
    "E_ARGUMENT",
    `${what} must be held in a Float32Array or a Float64Array, got ${describe(data)}; convert it first`,
  );
}

// By tag, not instanceof: an array from a worker or another realm is as good as ours.
function isFloat32(data: ArrayLike<unknown>): data is Float32Array {
  return tagOf(data) === "Float32Array";
}

function tagOf(data: unknown): unknown {
  return ArrayBuffer.isView(data) ? (data as unknown as Float32Array)[Symbol.toStringTag] : undefined;
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "a plain array";
  return typeof value === "object" ? (tagOf(value)?.toString() ?? "an object") : `a ${typeof value}`;
}

function checkCount(what: string, n: number): void {
  if (!Number.isInteger(n) || n < 0)
    throw new DistillError("E_SHAPE", `Matrix: ${what} must be a whole number, 0 or more, got ${n}`);
}

function checkIndex(what: string, i: number, count: number): void {
  if (!Number.isInteger(i) || i < 0 || i >= count)
    throw new DistillError("E_SHAPE", `Matrix: there is no ${what} ${i}; it has ${count}, counted from 0`);
}
