// Which neuron of the student answers most like which of the teacher's: correlation of responses, and the one-to-one
// assignment that makes its sum greatest.
import { munkres } from "munkres";
import { DistillError } from "../base/errors.ts";
import { checkFinite } from "./checks.ts";
import { Matrix } from "./matrix.ts";

/**
 * Pearson correlation, over the rows, of every neuron of the student with every neuron of the teacher, from activations
 * that are given batch by batch. Memory is that of the result.
 *
 * @example
 * ```ts
 * import { Matrix, ResponseCorrelation } from "onnx-distill";
 *
 * const correlation = new ResponseCorrelation();
 * correlation.add(Matrix.fromRows([[0, 1], [1, 0], [2, 5]]), Matrix.fromRows([[1, 3], [0, 4], [5, 5]]));
 * [...correlation.assignment()]; // => [1, 0]
 * ```
 */
export class ResponseCorrelation {
  #student: Side | undefined;
  #teacher: Side | undefined;
  #products = new Float64Array(0);
  #rows = 0;

  /**
   * Adds the responses to some samples: `[rows, student neurons]` and `[rows, teacher neurons]`, row by row to the
   * same input. Errors: `E_SHAPE` where rows or (from one batch to the next) neurons differ, `E_NOT_FINITE`.
   */
  add(student: Matrix, teacher: Matrix): this {
    checkSameRows(student, teacher);
    checkFinite("student activations", student);
    checkFinite("teacher activations", teacher);
    this.#student ??= newSide(student);
    this.#teacher ??= newSide(teacher);
    if (this.#rows === 0) this.#products = new Float64Array(student.columns * teacher.columns);
    checkSameColumns(this.#student, student);
    checkSameColumns(this.#teacher, teacher);
    const [ns, nt] = [student.columns, teacher.columns];
    const [s, t] = [new Float64Array(ns), new Float64Array(nt)];
    for (let r = 0; r < student.rows; r++) {
      shifted(student, r, this.#student, s);
      shifted(teacher, r, this.#teacher, t);
      for (let i = 0, p = 0; i < ns; i++) {
        const a = s[i]!;
        for (let j = 0; j < nt; j++, p++) this.#products[p]! += a * t[j]!;
      }
    }
    this.#rows += student.rows;
    return this;
  }

  /** `[student neurons × teacher neurons]`, row-major, in [−1, 1]; 0 for a neuron that never varies. */
  matrix(): Matrix {
    const [student, teacher] = [this.#student, this.#teacher];
    if (!student || !teacher || this.#rows < 2)
      throw new DistillError("E_SHAPE", "ResponseCorrelation: at least two rows are needed; add a batch");
    const [deviationS, deviationT] = [deviations(student, this.#rows), deviations(teacher, this.#rows)];
    const [ns, nt] = [student.sum.length, teacher.sum.length];
    const out = new Float64Array(ns * nt);
    for (let i = 0, p = 0; i < ns; i++)
      for (let j = 0; j < nt; j++, p++) {
        const covariance = this.#products[p]! - (student.sum[i]! * teacher.sum[j]!) / this.#rows;
        const scale = deviationS[i]! * deviationT[j]!;
        out[p] = scale > 0 ? Math.max(-1, Math.min(1, covariance / scale)) : 0;
      }
    return new Matrix(ns, nt, out);
  }

  /**
   * For each neuron of the student the neuron of the teacher that it is assigned, each at most once, so that the sum of
   * the correlations is the greatest possible (Hungarian method); −1 where the teacher has fewer neurons and none is left.
   */
  assignment(): Int32Array {
    const { rows, columns, data } = this.matrix();
    const costs = Array.from({ length: rows }, (_, i) =>
      data.subarray(i * columns, (i + 1) * columns).map((c) => -c),
    );
    const found = new Int32Array(rows).fill(-1);
    for (const [i, j] of munkres(costs)) found[i] = j;
    return found;
  }
}

/** Sums over the rows, of differences from the first row: so the variance of 1e6 ± 1 keeps its digits. */
interface Side {
  readonly first: Float64Array;
  readonly sum: Float64Array;
  readonly squares: Float64Array;
}

function newSide(m: Matrix): Side {
  const first = Float64Array.from(m.data.subarray(0, m.columns));
  return { first, sum: new Float64Array(m.columns), squares: new Float64Array(m.columns) };
}

/** Leaves row r, less the first row, in `out`, and adds it to the sums. */
function shifted(m: Matrix, r: number, side: Side, out: Float64Array): void {
  for (let c = 0, i = r * m.columns; c < m.columns; c++, i++) {
    const d = m.data[i]! - side.first[c]!;
    out[c] = d;
    side.sum[c]! += d;
    side.squares[c]! += d * d;
  }
}

const deviations = ({ sum, squares }: Side, rows: number): Float64Array =>
  squares.map((q, c) => Math.sqrt(Math.max(0, q - (sum[c]! * sum[c]!) / rows)));

function checkSameRows(student: Matrix, teacher: Matrix): void {
  if (student.rows !== teacher.rows)
    throw new DistillError(
      "E_SHAPE",
      `ResponseCorrelation: the student has ${student.rows} rows and the teacher ${teacher.rows}; give both the same samples, with the same positions`,
    );
}

function checkSameColumns(side: Side, m: Matrix): void {
  if (side.first.length !== m.columns)
    throw new DistillError(
      "E_SHAPE",
      `ResponseCorrelation: ${m.columns} neurons after batches of ${side.first.length}; every batch must be of the same layers`,
    );
}
