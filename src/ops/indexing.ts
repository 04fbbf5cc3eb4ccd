// Gathers and scatters: ops whose indices are data. Negative indices count from the end, in every op and rule.
// The gradient of a gather is a scatter that adds, and the other way round. Source: ONNX operator specification.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Shape, sizeOf, tensor } from "../base/tensor.ts";
import { int, string, typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import {
  defineOp,
  type FixedSlots,
  type GradContext,
  type GradEntry,
  type InferRule,
  notDifferentiable,
  oneOutput,
  zero,
} from "./define.ts";
import { axisOf, sameDType } from "./infer.ts";
import { inverse } from "./movement.ts";
import { pickAlong } from "./slice.ts";

const to = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

/** y = the entries of x along axis that the indices name;  dx = zeros, to which dy is added at those entries. */
const gather = defineOp({
  op: "Gather",
  versions: [1, 11, 13],
  emit: oneOutput((c) => {
    const [x, indices] = [c.x(0), c.x(1)];
    const dims = c.b.dims(x);
    const axis = axisOf(c.attr.int("axis", 0), dims.length, c.where);
    if (!c.b.constantOf(indices)) return c.b.gather(x, indices, axis);
    // Known indices are often one entry or a range: a slice then, whose gradient is a Pad.
    const size = dims[axis] as number;
    const known = c.numbers(1).map((i) => (i < 0 ? i + size : i));
    const wrong = known.findIndex((i) => i < 0 || i >= size);
    if (wrong >= 0)
      throw new DistillError(
        "E_SHAPE",
        `${c.where}: index ${c.numbers(1)[wrong]} is outside axis ${axis} of ${formatShape(dims)}`,
      );
    return c.b.reshape(pickAlong(c.b, x, axis, known), dims.toSpliced(axis, 1, ...c.b.dims(indices)));
  }),
  infer: (c) => {
    const axis = axisOf(c.attr.int("axis"), c.dims(0).length, c.where);
    return [{ dtype: c.type(0).dtype, dims: c.dims(0).toSpliced(axis, 1, ...c.dims(1)) }];
  },
  grad: ({ b, x, dy, dims, attr }) => [
    () => {
      // ScatterND wants the gathered axis first: [indices…, rest…] is added onto [size, rest…].
      const axis = attr.int("axis");
      const [n, k] = [dims(0).length, dims(1).length];
      const updates = b.transpose(dy(0), [...to(axis, k), ...to(0, axis), ...to(axis + k, n - axis - 1)]);
      const order = [axis, ...to(0, axis), ...to(axis + 1, n - axis - 1)];
      const target = order.map((i) => dims(0)[i] as number);
      const indices = b.reshape(b.cast(x(1), "int64"), [...dims(1), 1]);
      return b.transpose(scatterAdd(b, target, indices, updates), inverse(order));
    },
    zero,
  ],
});

function scatterAdd(b: Builder, dims: Shape, indices: Value, updates: Value): Value {
  const zeros = b.full({ dtype: typeOf(updates).dtype, dims }, 0);
  return b.node("ScatterND", [zeros, indices, updates], { reduction: string("add") });
}

/** y[i, j] = x[index[i, j], j] (axis 0);  dx = zeros, to which dy is added at those places. */
const gatherElements = defineOp({
  op: "GatherElements",
  versions: [11, 13],
  emit: oneOutput((c) => {
    const axis = axisOf(c.attr.int("axis", 0), c.b.dims(c.x(0)).length, c.where);
    return c.b.node("GatherElements", [c.x(0), c.x(1)], { axis: int(axis) });
  }),
  infer: (c) => [{ dtype: c.type(0).dtype, dims: c.dims(1) }],
  grad: ({ b, x, dy, dims, attr }) => [
    () =>
      b.node("ScatterElements", [b.full({ dtype: typeOf(dy(0)).dtype, dims: dims(0) }, 0), x(1), dy(0)], {
        axis: int(attr.int("axis")),
        reduction: string("add"),
      }),
    zero,
  ],
});

/** y[i] = x[indices[i]], an index being a tuple (after `batch_dims` axes in common);  dx = zeros, dy added there. */
const gatherND = defineOp({
  op: "GatherND",
  versions: [11, 12, 13],
  emit: oneOutput((c) => c.b.node("GatherND", [c.x(0), c.x(1)], { batch_dims: int(batchDims(c)) })),
  infer: (c) => {
    const tuple = c.dims(1).at(-1) as number;
    const rest = c.dims(0).slice(c.attr.int("batch_dims") + tuple);
    return [{ dtype: c.type(0).dtype, dims: [...c.dims(1).slice(0, -1), ...rest] }];
  },
  grad: ({ b, x, dy, dims, attr }) => [
    () => scatterAdd(b, dims(0), fullTuples(b, x(1), attr.int("batch_dims")), dy(0)),
    zero,
  ],
});

const batchDims = (c: { version: number; attr: { int(name: string, fallback: number): number } }): number =>
  c.version >= 12 ? c.attr.int("batch_dims", 0) : 0;

/** Indices that name the batch axes too, which ScatterND does not take for granted. */
function fullTuples(b: Builder, indices: Value, batch: number): Value {
  if (batch === 0) return indices;
  const dims = b.dims(indices);
  const lead = dims.slice(0, -1);
  const own = to(0, batch).map((axis) => {
    const inner = sizeOf(lead.slice(axis + 1));
    const numbers = to(0, sizeOf(lead)).map((i) => Math.floor(i / inner) % (lead[axis] as number));
    return b.constant(tensor("int64", numbers, [...lead, 1]), "batch");
  });
  return b.concat([...own, indices], lead.length);
}

/** How a scatter's gradient moves values: sets places to zero, reads places, adds up what was written to them. */
interface Moves {
  readonly clear: (dy: Value) => Value;
  readonly read: (v: Value) => Value;
  readonly addUp: (updates: Value) => Value;
}

/**
 * Gradients of both scatters. What was overwritten has none, what was written or added has that of its place. An extremum
 * has that of its place, shared equally between all that are equal to it, as torch.scatter_reduce does. A product has no rule.
 */
function scatterGrad(c: GradContext, { clear, read, addUp }: Moves): readonly GradEntry[] {
  const { b, x, y, dy, attr } = c;
  const reduction = attr.string("reduction");
  if (reduction === "none" || reduction === "add")
    return [() => (reduction === "add" ? dy(0) : clear(dy(0))), zero, () => read(dy(0))];
  if (reduction !== "max" && reduction !== "min") return [notDifferentiable, zero, notDifferentiable];
  const { dtype } = typeOf(x(0));
  const kept = (): Value => b.cast(b.equal(x(0), y(0)), dtype);
  const taken = (): Value => b.cast(b.equal(x(2), read(y(0))), dtype);
  // A place that is not the data's own has at least one update that is its extremum, so that the count is never 0.
  const share = (): Value => b.div(dy(0), b.add(kept(), addUp(taken())));
  return [() => b.mul(kept(), share()), zero, () => b.mul(taken(), read(share()))];
}

const sameAsData: InferRule = (c) => [{ dtype: sameDType(c, [0, 2]), dims: c.dims(0) }];

const reductionOf = (c: { version: number; attr: { string(name: string, fallback: string): string } }) =>
  string(c.version >= 16 ? c.attr.string("reduction", "none") : "none");

/** Many times one number is written as a number is (`x[rows] = 0`): data and updates of that kind are no weights. */
const uniform: FixedSlots = (node, constant) =>
  [0, 2].filter((i) => {
    const found = node.inputs[i] && constant(node.inputs[i]);
    return found ? found.data.every((e) => e === found.data[0]) : false;
  });

/** y = x, with updates written or added at the indices along axis;  d updates = dy gathered there. */
const scatterElements = defineOp({
  op: "ScatterElements",
  versions: [11, 13, 16, 18],
  note: "reductions none, add, max and min; no gradient for mul",
  fixed: uniform,
  emit: oneOutput((c) => {
    const axis = axisOf(c.attr.int("axis", 0), c.b.dims(c.x(0)).length, c.where);
    const attributes = { axis: int(axis), reduction: reductionOf(c) };
    return c.b.node("ScatterElements", [c.x(0), c.x(1), c.x(2)], attributes);
  }),
  infer: sameAsData,
  grad: (c) => {
    const { b, x, dims } = c;
    const axis = int(c.attr.int("axis"));
    const onto = (to: Value, updates: Value, reduction: string): Value =>
      b.node("ScatterElements", [to, x(1), updates], { axis, reduction: string(reduction) });
    const zeros = (i: number): Value => b.full({ dtype: typeOf(x(0)).dtype, dims: dims(i) }, 0);
    return scatterGrad(c, {
      clear: (dy) => onto(dy, zeros(2), "none"),
      read: (v) => b.node("GatherElements", [v, x(1)], { axis }),
      addUp: (updates) => onto(zeros(0), updates, "add"),
    });
  },
});

/** ScatterElements under its name of opset 9. */
const scatter = defineOp({
  op: "Scatter",
  versions: [9],
  composed: true,
  fixed: uniform,
  emit: oneOutput((c) => {
    const axis = axisOf(c.attr.int("axis", 0), c.b.dims(c.x(0)).length, c.where);
    const attributes = { axis: int(axis), reduction: string("none") };
    return c.b.node("ScatterElements", [c.x(0), c.x(1), c.x(2)], attributes);
  }),
});

/** y = x, with updates written or added at the tuples of indices;  d updates = dy gathered there. */
const scatterND = defineOp({
  op: "ScatterND",
  versions: [11, 13, 16, 18],
  note: "reductions none, add, max and min; no gradient for mul",
  fixed: uniform,
  emit: oneOutput((c) => c.b.node("ScatterND", [c.x(0), c.x(1), c.x(2)], { reduction: reductionOf(c) })),
  infer: sameAsData,
  grad: (c) => {
    const { b, x, dims } = c;
    return scatterGrad(c, {
      clear: (dy) => {
        const zeros = b.full({ dtype: typeOf(dy).dtype, dims: dims(2) }, 0);
        return b.node("ScatterND", [dy, x(1), zeros], { reduction: string("none") });
      },
      read: (v) => b.node("GatherND", [v, x(1)], { batch_dims: int(0) }),
      addUp: (updates) => scatterAdd(b, dims(0), x(1), updates),
    });
  },
});

/** y[…, k, …] = values[1] where k is the index, else values[0]; a new axis of length depth. */
const oneHot = defineOp({
  op: "OneHot",
  versions: [9, 11, 28],
  fixed: [1, 2],
  composed: true,
  emit: oneOutput((c) => {
    const { b } = c;
    const { dtype, dims } = typeOf(c.x(0));
    const depth = c.numbers(1)[0] as number;
    const axis = axisOf(c.attr.int("axis", -1), dims.length + 1, c.where);
    const indices = b.reshape(c.x(0), dims.toSpliced(axis, 0, 1));
    const along = dims.toSpliced(axis, 0, 1).map((_, i) => (i === axis ? depth : 1));
    const isAt = (first: number): Value =>
      b.equal(indices, b.constant(tensor(dtype as "int64", to(first, depth), along), "positions"));
    const value = (i: number): Value => b.reshape(b.slice(c.x(2), [i], [i + 1], [0]), []);
    return b.where(isAt(0), value(1), b.where(isAt(-depth), value(1), value(0)));
  }),
});

/** The entries of x along axis (of all of x in a row, without an axis) where the condition, known before training, holds. */
const compress = defineOp({
  op: "Compress",
  versions: [9, 11],
  composed: true,
  emit: oneOutput((c) => {
    const { b } = c;
    const dims = b.dims(c.x(0));
    const kept = c.numbers(1).flatMap((holds, i) => (holds ? [i] : []));
    if (!c.attr.has("axis")) return pickAlong(b, b.reshape(c.x(0), [sizeOf(dims)]), 0, kept);
    return pickAlong(b, c.x(0), axisOf(c.attr.int("axis"), dims.length, c.where), kept);
  }),
});

export const indexingOps = [
  gather,
  gatherElements,
  gatherND,
  scatterElements,
  scatter,
  scatterND,
  oneHot,
  compress,
] as const;
