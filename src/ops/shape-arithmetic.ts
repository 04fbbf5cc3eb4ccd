// Ops that make tensors of shapes and numbers. All shapes are static, so each of them is a constant by the time it is
// emitted, and no gradient flows. Source: ONNX operator specification.
import { DistillError } from "../base/errors.ts";
import {
  type DType,
  isFloat,
  type NumericDType,
  sizeOf,
  type Tensor,
  tensor,
  toNumbers,
} from "../base/tensor.ts";
import { type Attributes, typeOf } from "../graph/graph.ts";
import { dtypeFromOnnx } from "./builder.ts";
import { defineOp, oneOutput } from "./define.ts";

/** y = the tensor of the attribute. */
const constant = defineOp({
  op: "Constant",
  versions: [1, 9, 11, 12, 13, 19, 21, 23, 24, 25],
  composed: true,
  emit: oneOutput((c) => c.b.constant(heldTensor(c.node.attributes, c.where), c.node.name || "const")),
});

function heldTensor(attributes: Attributes, where: string): Tensor {
  const { value, value_float, value_floats, value_int, value_ints } = attributes;
  if (value?.kind === "tensor") return value.value;
  if (value_float?.kind === "float") return tensor("float32", [value_float.value], []);
  if (value_floats?.kind === "floats") return tensor("float32", value_floats.value);
  if (value_int?.kind === "int") return tensor("int64", [value_int.value], []);
  if (value_ints?.kind === "ints") return tensor("int64", value_ints.value);
  throw new DistillError(
    "E_OP",
    `${where}: its constant (${Object.keys(attributes).join(", ") || "without a value"}) is not a dense tensor of numbers`,
  );
}

/** y = the dimensions of x, from `start` to `end`. */
const shape = defineOp({
  op: "Shape",
  versions: [1, 13, 15, 19, 21, 23, 24, 25],
  composed: true,
  emit: oneOutput(({ b, x, attr, version }) => {
    const dims = b.dims(x(0));
    return b.ints(version < 15 ? dims : dims.slice(attr.int("start", 0), attr.int("end", dims.length)));
  }),
});

/** y = the number of x's elements. */
const size = defineOp({
  op: "Size",
  versions: [1, 13, 19, 21, 23, 24, 25],
  composed: true,
  emit: oneOutput(({ b, x }) => b.scalar("int64", sizeOf(b.dims(x(0))))),
});

/** y = one number in every place of the given shape. */
const constantOfShape = defineOp({
  op: "ConstantOfShape",
  versions: [9, 20, 21, 23, 24, 25],
  composed: true,
  emit: oneOutput((c) => {
    const value = c.attr.has("value") ? c.attr.tensor("value") : tensor("float32", [0]);
    const dims = c.numbers(0);
    const number = toNumbers(value)[0] as number;
    if (isFloat(value.dtype)) return c.b.full({ dtype: value.dtype, dims }, number);
    return c.b.constant(filled(value.dtype, dims, () => number));
  }),
});

/** y = start, start + delta, … below limit; added up in the element type, as ONNX Runtime does. */
const range = defineOp({
  op: "Range",
  versions: [11, 27],
  composed: true,
  emit: oneOutput((c) => {
    const [start, limit, delta] = [0, 1, 2].map((i) => c.numbers(i)[0] as number) as [number, number, number];
    const { dtype } = typeOf(c.x(0));
    const rounded = dtype === "float32" ? Math.fround : (v: number): number => v;
    const count = Math.max(0, Math.ceil(rounded(limit - start) / delta));
    let next = start;
    return c.b.constant(
      filled(dtype, [count], () => {
        const now = next;
        next = rounded(next + delta);
        return now;
      }),
    );
  }),
});

/** y = 1 on the k-th diagonal of a matrix of x's shape, 0 elsewhere. */
const eyeLike = defineOp({
  op: "EyeLike",
  versions: [9, 22],
  composed: true,
  emit: oneOutput(({ b, x, attr, where }) => {
    const { dtype, dims } = typeOf(x(0));
    const columns = dims[1] as number;
    const to = attr.has("dtype") ? dtypeFromOnnx(attr.int("dtype"), where) : dtype;
    const k = attr.int("k", 0);
    return b.constant(filled(to, dims, (i) => Number((i % columns) - Math.floor(i / columns) === k)));
  }),
});

function filled(dtype: DType, dims: readonly number[], make: (i: number) => number): Tensor {
  return tensor(
    dtype as NumericDType,
    Array.from({ length: sizeOf(dims) }, (_, i) => make(i)),
    dims,
  );
}

export const shapeArithmeticOps = [constant, shape, size, constantOfShape, range, eyeLike] as const;
