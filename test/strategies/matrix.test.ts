import { describe, expect, it } from "vitest";
import {
  DistillError,
  IntermediateActivations,
  Matrix,
  type MatrixLike,
} from "../../src/strategies/index.ts";

const error = (code: string, message: string) => expect.objectContaining({ code, message });
const asInput = (value: unknown) => value as MatrixLike;

describe("Matrix", () => {
  it("is row-major and holds its data without copying", () => {
    const data = new Float32Array([1, 2, 3, 4, 5, 6]);
    const m = new Matrix(2, 3, data);
    expect(m.data).toBe(data);
    expect(m.dims).toEqual([2, 3]);
    expect([m.get(0, 2), m.get(1, 0)]).toEqual([3, 4]);
    m.row(1)[0] = 40;
    expect(data[3]).toBe(40);
  });

  it("takes rows of numbers as float64 and of Float32Array as float32", () => {
    expect(
      Matrix.fromRows([
        [1, 2],
        [3, 4],
      ]).data,
    ).toEqual(new Float64Array([1, 2, 3, 4]));
    const row = new Float32Array([0.1, 0.2]);
    expect(Matrix.fromRows([row, row]).data).toEqual(new Float32Array([0.1, 0.2, 0.1, 0.2]));
    expect(Matrix.fromRows([row, new Float64Array([0.1, 0.2])]).data).toBeInstanceOf(Float64Array);
  });

  it("makes a sample of each position and a neuron of each channel of a feature map", () => {
    const [n, c, h, w] = [2, 3, 2, 4];
    const data = Float32Array.from({ length: n * c * h * w }, (_, i) => i);
    const m = Matrix.fromNCHW({ data, dims: [n, c, h, w] });
    expect(m.dims).toEqual([n * h * w, c]);
    expect(m.data).toBeInstanceOf(Float32Array);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < c; j++)
        for (let p = 0; p < h * w; p++) expect(m.get(i * h * w + p, j)).toBe(data[(i * c + j) * h * w + p]);
    expect(Matrix.fromNCHW({ data: new Float64Array(2), dims: [1, 2, 1, 1] }).data).toBeInstanceOf(
      Float64Array,
    );
  });

  it("takes sequences and maps with their positions, and gives them back", () => {
    const data = Float32Array.from({ length: 24 }, (_, i) => i);
    const sequence = Matrix.fromTensor({ data, dims: [2, 3, 4] });
    expect([sequence.rows, sequence.columns, sequence.positions]).toEqual([6, 4, 3]);
    expect(sequence.data).toBe(data);
    const plain = Matrix.fromTensor({ data, dims: [6, 4] });
    expect([plain.rows, plain.positions]).toEqual([6, 1]);
    expect(Matrix.fromTensor(plain)).toBe(plain);
    for (const dims of [
      [2, 3, 2, 2],
      [2, 3, 1, 2, 2],
    ]) {
      const map = Matrix.fromTensor({ data, dims });
      expect([map.rows, map.columns, map.positions]).toEqual([8, 3, 4]);
      expect([...map.row(0)]).toEqual([0, 4, 8]);
      expect(map.toTensor(dims)).toEqual({ data, dims });
    }
    expect(Matrix.fromNCHW({ data, dims: [2, 3, 2, 2] }).positions).toBe(4);
    expect(sequence.toTensor([2, 3, 4]).data).toBe(data);
  });

  it("says what is wrong with its arguments", () => {
    const cases: [() => unknown, string, string][] = [
      [
        () => new Matrix(6, 1, new Float32Array(6), 4),
        "E_SHAPE",
        "Matrix: positions must be a whole number, 1 or more, that divides the 6 rows, got 4",
      ],
      [
        () => new Matrix(6, 4, new Float32Array(24)).toTensor([2, 4, 3]),
        "E_SHAPE",
        "Matrix.toTensor: a matrix [6,4] is no tensor of shape [2,4,3]",
      ],
      [
        () => new Matrix(2, 3, new Float32Array(5)),
        "E_SHAPE",
        "Matrix: 2 rows by 3 columns need 6 values, got 5",
      ],
      [
        () => new Matrix(1.5, 2, new Float32Array(3)),
        "E_SHAPE",
        "Matrix: rows must be a whole number, 0 or more, got 1.5",
      ],
      [
        () => new Matrix(1, 2, [1, 2] as unknown as Float32Array),
        "E_ARGUMENT",
        "Matrix: data must be held in a Float32Array or a Float64Array, got a plain array; convert it first",
      ],
      [
        () => Matrix.fromRows([[1, 2], [3]]),
        "E_SHAPE",
        "Matrix.fromRows: row 1 has 1 values and row 0 has 2; every row needs the same number",
      ],
      [() => Matrix.fromRows([]), "E_SHAPE", "Matrix.fromRows needs at least one row, got none"],
      [
        () => Matrix.fromNCHW({ data: new Float32Array(6), dims: [2, 3] }),
        "E_SHAPE",
        "Matrix.fromNCHW: tensor must have four dimensions [N, C, H, W], got [2,3]",
      ],
      [
        () => Matrix.fromNCHW({ data: new Float32Array(6), dims: [1, 2, 2, 2] }),
        "E_SHAPE",
        "Matrix.fromNCHW: tensor has dims [1,2,2,2], so 8 values, but its data holds 6",
      ],
      [() => Matrix.fromRows([[1]]).row(1), "E_SHAPE", "Matrix: there is no row 1; it has 1, counted from 0"],
      [
        () => Matrix.fromRows([[1]]).get(0, -1),
        "E_SHAPE",
        "Matrix: there is no column -1; it has 1, counted from 0",
      ],
    ];
    for (const [act, code, message] of cases) expect(act).toThrowError(error(code, message));
  });
});

describe("IntermediateActivations", () => {
  const m = Matrix.fromRows([[1, 2]]);

  it("keeps layers by name, in order", () => {
    const bag = new IntermediateActivations().add("b", m).add("a", m);
    expect(bag.names()).toEqual(["b", "a"]);
    expect(bag.size).toBe(2);
    expect(bag.get("a")).toBe(m);
    expect([bag.has("b"), bag.has("c")]).toEqual([true, false]);
    expect(bag.get("c")).toBeUndefined();
  });

  it("takes a tensor of a runtime over the same data", () => {
    const data = new Float32Array([1, 2, 3, 4]);
    const got = new IntermediateActivations().add("a", { data, dims: [2, 2] }).get("a");
    expect(got).toBeInstanceOf(Matrix);
    expect(got?.data).toBe(data);
  });

  it("takes sequences and maps with their positions, and gives them back in their layout", () => {
    const data = Float64Array.from({ length: 24 }, (_, i) => i);
    const add = (dims: number[]) => new IntermediateActivations().add("a", { data, dims }).get("a")!;
    const sequence = add([2, 3, 4]);
    expect([sequence.dims, sequence.positions, sequence.data]).toEqual([[6, 4], 3, data]);
    for (const dims of [
      [2, 3, 2, 2],
      [2, 3, 1, 2, 2],
    ]) {
      const map = add(dims);
      expect([map.dims, map.positions]).toEqual([[8, 3], 4]);
      expect([...map.row(5)]).toEqual([13, 17, 21]); // the second image at its second position
      expect(map.toTensor(dims)).toEqual({ data, dims });
    }
    expect(() => sequence.toTensor([2, 4, 3])).toThrow(
      "Matrix.toTensor: a matrix [6,4] is no tensor of shape [2,4,3]",
    );
    expect(() => new Matrix(6, 4, data, 4)).toThrow(
      "Matrix: positions must be a whole number, 1 or more, that divides the 6 rows, got 4",
    );
  });

  it("says what is wrong with its arguments", () => {
    const bag = new IntermediateActivations().add("a", m);
    const cases: [() => unknown, string, string][] = [
      [
        () => bag.add(" ", m),
        "E_ARGUMENT",
        'IntermediateActivations.add: name must not be empty, got " "; name the layer as in IntermediateActivations.add',
      ],
      [
        () => bag.add("a", m),
        "E_NAME",
        'IntermediateActivations.add: "a" is there already; use a new IntermediateActivations for each batch',
      ],
      [
        () => bag.add("c", { data: new Float32Array(8), dims: [8] }),
        "E_SHAPE",
        'activations "c" must have two or more dimensions ([samples, neurons], [N, T, C] or [N, C, H, W]), got [8]',
      ],
      [
        () => bag.add("c", { data: new Int32Array(4), dims: [2, 2] }),
        "E_ARGUMENT",
        'activations "c" must be held in a Float32Array or a Float64Array, got Int32Array; convert it first',
      ],
      [
        () => bag.add("c", { data: new Float32Array(4), dims: [-2, -2] }),
        "E_SHAPE",
        'activations "c" has dims [-2,-2]; each must be a whole number, 0 or more',
      ],
      [
        () => bag.add("c", asInput([[1, 2]])),
        "E_ARGUMENT",
        'activations "c" must be a Matrix or an object with data and dims, got a plain array',
      ],
      [
        () => bag.add("c", asInput(null)),
        "E_ARGUMENT",
        'activations "c" must be a Matrix or an object with data and dims, got null',
      ],
    ];
    for (const [act, code, message] of cases) expect(act).toThrowError(error(code, message));
    expect(bag.names()).toEqual(["a"]);
    expect(() => bag.add("a", m)).toThrow(DistillError);
  });
});
