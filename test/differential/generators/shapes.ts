// Tensors made of shapes and numbers.
import { tensor } from "../../../src/base/tensor.ts";
import { type Attribute, float, floats, int, ints } from "../../../src/graph/graph.ts";
import { fed, type Generator, i64, known } from "../case.ts";

export const shapes = {
  Constant: ({ d, opset }) => {
    const value: Attribute = {
      kind: "tensor",
      value: d.tensor(d.pick(["float32", "int64", "bool"]), d.shape(d.int(0, 2))),
    };
    if (opset < 12 || d.chance(0.4)) return { inputs: [], attributes: { value } };
    return {
      inputs: [],
      attributes: d.pick([
        { value_float: float(1.5) },
        { value_int: int(-3) },
        { value_ints: ints([1, -2, 3]) },
        { value_floats: floats([0.5, -1]) },
      ]),
    };
  },
  Shape: ({ d, opset }) => {
    const dims = d.shape(d.int(0, 4), { zero: true });
    const part = opset >= 15;
    return {
      inputs: [fed(d.floats(dims))],
      attributes: {
        ...(part && d.chance(0.6) && { start: int(d.int(-dims.length - 1, dims.length + 1)) }),
        ...(part && d.chance(0.6) && { end: int(d.int(-dims.length - 1, dims.length + 1)) }),
      },
    };
  },
  Size: ({ d }) => ({ inputs: [fed(d.floats(d.shape(d.int(0, 4), { zero: true })))] }),
  ConstantOfShape: ({ d }) => {
    const value = d.tensor(d.pick(["float32", "int64", "bool", "int32"]), [1], { edges: "none" });
    return {
      inputs: [i64(d.shape(d.int(0, 3), { zero: true }))],
      attributes: d.chance(0.7) ? { value: { kind: "tensor", value } } : {},
    };
  },
  Range: ({ d }) => {
    const dtype = d.pick(["float32", "int64", "int32"] as const);
    const whole = dtype !== "float32";
    const number = (low: number, high: number) =>
      whole ? d.int(low, high) : Math.fround(d.float(low, high));
    const delta = d.pick(whole ? [1, 2, -1, -3] : [0.1, 0.5, 1, -0.3, 0.7]);
    const [start, limit] = [number(-5, 5), number(-5, 5)];
    return { inputs: [start, limit, delta].map((n) => known(tensor(dtype, [n], []))) };
  },
  EyeLike: ({ d }) => ({
    inputs: [fed(d.tensor(d.pick(["float32", "int32", "int64"]), d.shape(2)))],
    attributes: {
      ...(d.chance(0.5) && { k: int(d.int(-3, 3)) }),
      ...(d.chance(0.4) && { dtype: int(d.pick([1, 7, 11])) }),
    },
  }),
} satisfies Record<string, Generator>;
