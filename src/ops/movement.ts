// Ops that move elements without computing on them: reshape, transpose, concat, split, expand, tile and their kin.
// All shapes are static, so Flatten, Squeeze and Unsqueeze are reshapes. Slice and Pad have files of their own.
// Must not accumulate or un-broadcast: the engine does. Source: ONNX operator specification.
import { DistillError } from "../base/errors.ts";
import { broadcastShapes, formatShape, type Shape, sizeOf, tensor } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import { defineOp, type EmitContext, oneOutput, zero } from "./define.ts";
import { axesOf, axisOf, sameDType } from "./infer.ts";
import { pad } from "./pad.ts";
import { slice } from "./slice.ts";

/** y = x under another shape;  dx = dy under x's shape. */
const reshape = defineOp({
  op: "Reshape",
  versions: [5, 13, 14, 19, 21, 23, 24, 25],
  emit: oneOutput((c) => {
    const allowZero = c.version >= 14 && c.attr.int("allowzero", 0) === 1;
    return c.b.reshape(c.x(0), requestedDims(c.b.dims(c.x(0)), c.numbers(1), allowZero, c.where));
  }),
  infer: (c) => {
    const dims = c.numbers(1);
    checkReshape(c.dims(0), dims, dims, c.where);
    return [{ dtype: c.type(0).dtype, dims }];
  },
  grad: ({ b, dy, dims }) => [() => b.reshape(dy(0), dims(0)), zero],
});

/** 0 keeps the input's dimension (unless `allowZero`), −1 is what is left. */
function requestedDims(from: Shape, wanted: readonly number[], allowZero: boolean, where: string): number[] {
  const dims = wanted.map((d, i) => (d === 0 && !allowZero ? (from[i] ?? 0) : d));
  const open = dims.indexOf(-1);
  if (open >= 0) dims[open] = sizeOf(from) / Math.max(1, sizeOf(dims.filter((d) => d !== -1)));
  checkReshape(from, dims, wanted, where);
  return dims;
}

function checkReshape(from: Shape, to: Shape, wanted: Shape, where: string): void {
  if (sizeOf(from) === sizeOf(to) && to.every((d) => Number.isInteger(d) && d >= 0)) return;
  throw new DistillError(
    "E_SHAPE",
    `${where}: ${formatShape(from)} (${sizeOf(from)} elements) cannot be reshaped to ${formatShape(wanted)}; if the shape was exported for a fixed batch, use that batch size or export with a dynamic one`,
  );
}

/** y = x as a matrix: [∏ dims before axis, ∏ dims from axis on]. */
const flatten = defineOp({
  op: "Flatten",
  versions: [1, 9, 11, 13, 21, 23, 24, 25],
  composed: true,
  emit: oneOutput((c) => {
    const dims = c.b.dims(c.x(0));
    const given = c.attr.int("axis", 1);
    const axis = given === dims.length ? given : axisOf(given, dims.length, c.where);
    return c.b.reshape(c.x(0), [sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis))]);
  }),
});

/** Axes of Squeeze and Unsqueeze: an attribute before opset 13, an input since. */
function givenAxes(c: EmitContext): readonly number[] | undefined {
  if (c.version < 13) return c.attr.has("axes") ? c.attr.ints("axes") : undefined;
  return c.has(1) ? c.numbers(1) : undefined;
}

/** y = x without the given axes of length 1 (all of them, if none are given). */
const squeeze = defineOp({
  op: "Squeeze",
  versions: [1, 11, 13, 21, 23, 24, 25],
  composed: true,
  emit: oneOutput((c) => {
    const dims = c.b.dims(c.x(0));
    const given = givenAxes(c);
    const axes = given && axesOf(given, dims.length, c.where);
    const wrong = axes?.find((i) => dims[i] !== 1);
    if (wrong !== undefined)
      throw new DistillError(
        "E_SHAPE",
        `${c.where}: axis ${wrong} of ${formatShape(dims)} is squeezed, but only axes of length 1 can be`,
      );
    return c.b.reshape(
      c.x(0),
      dims.filter((d, i) => (axes ? !axes.includes(i) : d !== 1)),
    );
  }),
});

/** y = x with axes of length 1 at the given places of y. */
const unsqueeze = defineOp({
  op: "Unsqueeze",
  versions: [1, 11, 13, 21, 23, 24, 25],
  composed: true,
  emit: oneOutput((c) => {
    const dims = [...c.b.dims(c.x(0))];
    const given = givenAxes(c) ?? [];
    const rank = dims.length + given.length;
    for (const axis of axesOf(given, rank, c.where)) dims.splice(axis, 0, 1);
    if (dims.length !== rank)
      throw new DistillError("E_MODEL", `${c.where}: the axes ${formatShape(given)} name one twice`);
    return c.b.reshape(c.x(0), dims);
  }),
});

/** y[i] = x[permuted i];  dx = dy transposed by the inverse permutation. */
const transpose = defineOp({
  op: "Transpose",
  versions: [1, 13, 21, 23, 24, 25],
  emit: oneOutput((c) => {
    const rank = c.b.dims(c.x(0)).length;
    const reversed = Array.from({ length: rank }, (_, i) => rank - 1 - i);
    return c.b.transpose(c.x(0), c.attr.ints("perm", reversed));
  }),
  infer: (c) => {
    const dims = c.dims(0);
    const perm = c.attr.ints("perm");
    if (axesOf(perm, dims.length, c.where).length !== dims.length || perm.length !== dims.length)
      throw new DistillError(
        "E_SHAPE",
        `${c.where}: perm ${formatShape(perm)} does not name each axis of ${formatShape(dims)} once`,
      );
    return [{ dtype: c.type(0).dtype, dims: perm.map((p) => dims[p] as number) }];
  },
  grad: ({ b, dy, attr }) => [() => b.transpose(dy(0), inverse(attr.ints("perm")))],
});

/** The permutation that undoes `perm`. */
export function inverse(perm: readonly number[]): number[] {
  return perm.map((_, i) => perm.indexOf(i));
}

/** y = the inputs one after another along axis;  dxᵢ = the pieces of dy, by one Split for all of them. */
const concat = defineOp({
  op: "Concat",
  versions: [4, 11, 13],
  emit: oneOutput((c) => {
    const xs = Array.from({ length: c.count }, (_, i) => c.x(i));
    return c.b.concat(xs, axisOf(c.attr.int("axis"), c.b.dims(c.x(0)).length, c.where));
  }),
  infer: (c) => {
    const dims = [...c.dims(0)];
    const axis = axisOf(c.attr.int("axis"), dims.length, c.where);
    for (let i = 1; i < c.count; i++) {
      const other = c.dims(i);
      if (other.length !== dims.length || other.some((d, k) => k !== axis && d !== dims[k]))
        throw new DistillError(
          "E_SHAPE",
          `${c.where}: ${formatShape(other)} (input ${i}) does not fit ${formatShape(c.dims(0))} (input 0); all axes but axis ${axis} must be equal`,
        );
      dims[axis]! += other[axis] as number;
    }
    return [{ dtype: sameDType(c), dims }];
  },
  grad: ({ b, dy, dims, count, attr }) => {
    const axis = attr.int("axis");
    let pieces: readonly Value[] | undefined;
    const split = (): readonly Value[] =>
      b.split(
        dy(0),
        Array.from({ length: count }, (_, i) => dims(i)[axis] as number),
        axis,
      );
    return Array.from({ length: count }, (_, i) => () => (pieces ??= split())[i]!);
  },
});

/** yᵢ = pieces of x along axis;  dx = the dyᵢ one after another (zeros for a piece that nothing depends on). */
const split = defineOp({
  op: "Split",
  versions: [2, 11, 13, 18],
  emit: (c) => {
    const dims = c.b.dims(c.x(0));
    const axis = axisOf(c.attr.int("axis", 0), dims.length, c.where);
    const parts = c.version >= 18 ? c.attr.int("num_outputs", c.node.outputs.length) : c.node.outputs.length;
    const total = dims[axis] as number;
    const given =
      c.version >= 13 ? (c.has(1) ? c.numbers(1) : undefined) : c.attr.has("split") && c.attr.ints("split");
    // Without sizes: equal parts, the last one smaller where it does not divide.
    const chunk = Math.ceil(total / parts);
    const sizes =
      given || Array.from({ length: parts }, (_, i) => (i < parts - 1 ? chunk : total - chunk * (parts - 1)));
    return c.b.split(c.x(0), sizes, axis);
  },
  infer: (c) => {
    const { dtype, dims } = c.type(0);
    const axis = axisOf(c.attr.int("axis"), dims.length, c.where);
    const sizes = c.numbers(1);
    if (sizes.some((n) => n < 0) || sizes.reduce((s, n) => s + n, 0) !== dims[axis])
      throw new DistillError(
        "E_SHAPE",
        `${c.where}: the parts ${formatShape(sizes)} do not add up to axis ${axis} of ${formatShape(dims)}`,
      );
    return sizes.map((n) => ({ dtype, dims: dims.with(axis, n) }));
  },
  grad: ({ b, dy, node, attr }) => [
    () =>
      b.concat(
        node.outputs.map((_, i) => dy(i)),
        attr.int("axis"),
      ),
    zero,
  ],
});

/** y = x broadcast to a shape;  dx = dy (the engine sums it down to x's shape). */
const expand = defineOp({
  op: "Expand",
  versions: [8, 13],
  emit: oneOutput((c) => c.b.expand(c.x(0), expandedDims(c.b.dims(c.x(0)), c.numbers(1), c.where))),
  infer: (c) => [{ dtype: c.type(0).dtype, dims: expandedDims(c.dims(0), c.numbers(1), c.where) }],
  grad: ({ dy }) => [() => dy(0), zero],
});

function expandedDims(from: Shape, to: Shape, where: string): Shape {
  const dims = broadcastShapes(from, to);
  if (dims) return dims;
  throw new DistillError(
    "E_SHAPE",
    `${where}: ${formatShape(from)} does not broadcast to ${formatShape(to)}; each axis, counted from the last, must be equal or 1`,
  );
}

/** y = x repeated along each axis;  dx = the sum of dy over the repeats. */
const tile = defineOp({
  op: "Tile",
  versions: [6, 13],
  emit: oneOutput((c) => {
    const repeats = c.numbers(1);
    return repeats.every((r) => r === 1) ? c.x(0) : c.b.node("Tile", [c.x(0), c.b.ints(repeats)]);
  }),
  infer: (c) => {
    const { dtype, dims } = c.type(0);
    const repeats = c.numbers(1);
    if (repeats.length !== dims.length)
      throw new DistillError(
        "E_SHAPE",
        `${c.where}: ${repeats.length} repeats for ${formatShape(dims)}; it needs one for each axis`,
      );
    return [{ dtype, dims: dims.map((d, i) => d * (repeats[i] as number)) }];
  },
  grad: ({ b, dy, dims, numbers }) => [
    () => {
      const repeats = numbers(1);
      const blocks = b.reshape(
        dy(0),
        dims(0).flatMap((d, i) => [repeats[i] as number, d]),
      );
      const axes = repeats.map((_, i) => 2 * i);
      return b.reshape(b.reduceSum(blocks, axes), dims(0));
    },
    zero,
  ],
});

/** y = x on and above (`upper`), or on and below, the k-th diagonal of its last two axes; 0 elsewhere. */
const trilu = defineOp({
  op: "Trilu",
  versions: [14],
  composed: true,
  emit: oneOutput((c) => {
    const dims = c.b.dims(c.x(0));
    const [rows, columns] = [dims.at(-2) ?? 1, dims.at(-1) ?? 1];
    const k = c.has(1) ? (c.numbers(1)[0] ?? 0) : 0;
    const upper = c.attr.int("upper", 1) === 1;
    const kept = Array.from({ length: rows * columns }, (_, i) => {
      const diagonal = (i % columns) - Math.floor(i / columns);
      return Number(upper ? diagonal >= k : diagonal <= k);
    });
    const mask = c.b.constant(tensor("bool", kept, [rows, columns]), "mask");
    return c.b.where(mask, c.x(0), c.b.like(c.x(0), 0));
  }),
});

export const movementOps = [
  reshape,
  flatten,
  squeeze,
  unsqueeze,
  transpose,
  concat,
  split,
  slice,
  pad,
  expand,
  tile,
  trilu,
] as const;
