// Softmax, LogSoftmax and Hardmax. Before opset 13 they looked at the input as a matrix, cut before `axis` (default 1); from opset 13
// they run along `axis` alone (default −1).
import { sizeOf, tensor } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { type Builder, int } from "./builder.ts";
import { defineOp, type EmitRule } from "./define.ts";
import { axisOf, sameAsFirst } from "./infer.ts";

/** Turns either spelling into the newer one. */
const alongAxis =
  (apply: (b: Builder, x: Value, axis: number) => Value): EmitRule =>
  ({ b, x, attr, version, where }) => {
    const dims = b.dims(x(0));
    const axis = axisOf(attr.int("axis", version >= 13 ? -1 : 1), dims.length, where);
    if (version >= 13 || axis === dims.length - 1) return [apply(b, x(0), axis)];
    const matrix = b.reshape(x(0), [sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis))]);
    return [b.reshape(apply(b, matrix, 1), dims)];
  };

/** y = eˣ/Σeˣ along the axis;  dx = y·(dy − Σ dy·y). */
const softmax = defineOp({
  op: "Softmax",
  versions: [1, 11, 13],
  emit: alongAxis((b, x, axis) => b.softmax(x, axis)),
  infer: sameAsFirst,
  grad: ({ b, y, dy, attr }) => [
    () => {
      const inner = b.reduceSum(b.mul(dy(0), y(0)), [attr.int("axis", -1)], true);
      return b.mul(y(0), b.sub(dy(0), inner));
    },
  ],
});

/** y = x − log Σeˣ along the axis;  dx = dy − eʸ·Σdy. */
const logSoftmax = defineOp({
  op: "LogSoftmax",
  versions: [1, 11, 13],
  emit: alongAxis((b, x, axis) => b.logSoftmax(x, axis)),
  infer: sameAsFirst,
  grad: ({ b, y, dy, attr }) => [
    () => b.sub(dy(0), b.mul(b.exp(y(0)), b.reduceSum(dy(0), [attr.int("axis", -1)], true))),
  ],
});

/** y = 1 at the first maximum along the axis, 0 elsewhere; piecewise constant, so it passes no gradient. */
const hardmax = defineOp({
  op: "Hardmax",
  note: "passes no gradient",
  versions: [1, 11, 13],
  composed: true,
  emit: alongAxis((b, x, axis) => {
    const { dtype, dims } = typeOf(x);
    const first = b.node("ArgMax", [x], { axis: int(axis), keepdims: int(1), select_last_index: int(0) });
    const count = dims[axis] as number;
    const positions = tensor(
      "int64",
      Array.from({ length: count }, (_, i) => i),
      dims.map((_, i) => (i === axis ? count : 1)),
    );
    return b.cast(b.equal(first, b.constant(positions, "positions")), dtype);
  }),
});

export const softmaxOps = [softmax, logSoftmax, hardmax] as const;
