// Comparisons, boolean algebra, and the choices that depend on them: Where, Min, Max. Booleans carry no gradient.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { defineOp, oneNode, zero } from "./define.ts";
import { broadcastDims, broadcasting, comparing, sameAsFirst, sameDType } from "./infer.ts";

/** A comparison or a boolean op of two inputs. */
const compare = <const Op extends string>(op: Op, versions: readonly number[]) =>
  defineOp({ op, versions, emit: oneNode, infer: comparing, grad: zero });

/** An op on whole numbers, bit by bit. */
const bitwise = <const Op extends string>(op: Op, versions: readonly number[]) =>
  defineOp({ op, versions, emit: oneNode, infer: broadcasting, grad: zero });

/** A question about each element. */
const test = <const Op extends string>(op: Op, versions: readonly number[]) =>
  defineOp({
    op,
    versions,
    emit: oneNode,
    infer: (c) => [{ dtype: "bool", dims: c.dims(0) }],
    grad: zero,
  });

const not = defineOp({ op: "Not", versions: [1], emit: oneNode, infer: sameAsFirst, grad: zero });

/** y = a where the condition holds, else c;  da = dy there, dc = dy elsewhere. */
const where = defineOp({
  op: "Where",
  versions: [9, 16],
  emit: oneNode,
  infer: (c) => [{ dtype: sameDType(c, [1, 2]), dims: broadcastDims(c) }],
  grad: ({ b, x, dy }) => [
    zero,
    () => b.where(x(0), dy(0), b.like(dy(0), 0)),
    () => b.where(x(0), b.like(dy(0), 0), dy(0)),
  ],
});

/** dy to the one that was chosen; half each where they are equal, as torch.maximum does. */
function chosen(b: Builder, a: Value, c: Value, dy: Value, lost: (a: Value, c: Value) => Value): Value {
  const shared = b.where(b.equal(a, c), b.scale(dy, 0.5), dy);
  return b.where(lost(a, c), b.like(dy, 0), shared);
}

/** y = the extremum of its inputs, two at a time;  dy goes to the input that y was taken from. */
const extremum = <const Op extends "Min" | "Max">(
  op: Op,
  versions: readonly number[],
  lost: (b: Builder) => (a: Value, c: Value) => Value,
) =>
  defineOp({
    op,
    versions,
    emit: ({ b, x, count }) => [
      Array.from({ length: count }, (_, i) => x(i)).reduce((a, c) => b.node(op, [a, c])),
    ],
    infer: broadcasting,
    grad: ({ b, x, dy }) => [
      () => chosen(b, x(0), x(1), dy(0), lost(b)),
      () => chosen(b, x(1), x(0), dy(0), lost(b)),
    ],
  });

export const logicOps = [
  compare("Greater", [7, 9, 13]),
  compare("GreaterOrEqual", [12, 16]),
  compare("Less", [7, 9, 13]),
  compare("LessOrEqual", [12, 16]),
  compare("Equal", [7, 11, 13, 19]),
  compare("And", [7]),
  compare("Or", [7]),
  compare("Xor", [7]),
  bitwise("BitwiseAnd", [18]),
  bitwise("BitwiseOr", [18]),
  bitwise("BitwiseXor", [18]),
  bitwise("BitwiseNot", [18]),
  bitwise("BitShift", [11]),
  not,
  test("IsNaN", [9, 13, 20]),
  test("IsInf", [10, 20]),
  where,
  extremum("Max", [6, 8, 12, 13], (b) => (a, c) => b.less(a, c)),
  extremum("Min", [6, 8, 12, 13], (b) => (a, c) => b.greater(a, c)),
] as const;
