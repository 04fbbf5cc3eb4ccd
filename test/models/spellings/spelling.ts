// One layer in the spellings that exporters use. The first is the plainest; all take the same weights.
import { type Tensor, tensor } from "../../../src/base/tensor.ts";
import { randomTensor } from "../../compile/compile-model.ts";

export interface Spelling {
  readonly name: string;
  /** Default 17. */
  readonly opset?: number;
  /** Numbers of the architecture, and weights in another form: `w.T` is `w` transposed. */
  readonly constants?: Readonly<Record<string, Tensor>>;
  /** Ends in a value `y`. */
  readonly text: string;
}

export interface Meaning {
  readonly layer: string;
  readonly input: readonly number[];
  /** What is trained, in the spellings that hold it under this name. */
  readonly weights: Readonly<Record<string, Tensor>>;
  readonly spellings: readonly Spelling[];
}

export const i64 = (...values: number[]): Tensor => tensor("int64", values);
export const index = (value: number): Tensor => tensor("int64", [value], []);
export const f32 = (values: readonly number[], dims: readonly number[] = [values.length]): Tensor =>
  tensor("float32", values, dims);
export const number = (value: number): Tensor => f32([value], []);
export const flag = (values: readonly number[], dims: readonly number[]): Tensor =>
  tensor("bool", values, dims);
export const positive = (seed: number, dims: readonly number[]): Tensor => {
  const { data } = randomTensor(seed, dims);
  return f32(
    Array.from(data as Float32Array, (v) => 1 + 0.5 * v),
    dims,
  );
};

export function transposed(t: Tensor): Tensor {
  const [rows, columns] = t.dims as [number, number];
  const data = t.data as Float32Array;
  const values = Array.from(
    { length: data.length },
    (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number,
  );
  return f32(values, [columns, rows]);
}

export const w = randomTensor(1, [4, 3]);

/** `w` before an activation. */
export const project = "p = MatMul(x, w)\n";
export const epsilon = { epsilon: number(1e-5) };
