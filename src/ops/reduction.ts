// Reductions over axes, cumulative sums, and where extrema are. Axes came as an attribute before opset 18 (ReduceSum: 13) and
// come as an input since; all are emitted with the axes as an input, counted from the front. Ties of ReduceMax and
// ReduceMin share the gradient equally, as torch.amax does.
import { type Shape, sizeOf } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import { type Builder, int } from "./builder.ts";
import { defineOp, type EmitContext, type GradContext, type InferContext, oneNode, zero } from "./define.ts";
import { signMask } from "./gate.ts";
import { axesOf, axisOf, reducedDims, sameAsFirst } from "./infer.ts";

/** The axes of a user's node, whatever its opset; undefined: each element is reduced by itself. */
function axesAsGiven(c: EmitContext, asInputSince: number): number[] | undefined {
  const rank = c.b.dims(c.x(0)).length;
  const given =
    c.version >= asInputSince
      ? c.has(1)
        ? c.numbers(1)
        : []
      : c.attr.has("axes")
        ? c.attr.ints("axes")
        : [];
  if (c.version >= asInputSince && given.length === 0 && c.attr.int("noop_with_empty_axes", 0) === 1)
    return undefined;
  return given.length === 0 ? Array.from({ length: rank }, (_, i) => i) : axesOf(given, rank, c.where);
}

/** The reductions that make something else of a single element. */
const changesOne = new Set(["ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum"]);

/** Each element reduced by itself: |x| for ReduceL1, x² for ReduceSumSquare, x for ReduceSum. */
function alone({ b, x }: EmitContext, op: string): Value {
  if (!changesOne.has(op)) return x(0);
  const dims = b.dims(x(0));
  return b.node(op, [b.reshape(x(0), [...dims, 1]), b.ints([dims.length])], { keepdims: int(0) });
}

function emittedAxes(c: InferContext | GradContext, where: string): number[] {
  const rank = c.dims(0).length;
  const given = c.has(1) ? c.numbers(1) : [];
  return given.length === 0 ? Array.from({ length: rank }, (_, i) => i) : axesOf(given, rank, where);
}

/** What the gradient of a reduction is written with; dy and y with ones at the reduced axes. */
interface Reduced {
  readonly b: Builder;
  readonly x: Value;
  readonly y: () => Value;
  readonly dy: () => Value;
  /** How many elements each result stands for. */
  readonly count: number;
  /** Repeats a value with ones at the reduced axes to x's shape. */
  readonly spread: (v: Value) => Value;
  /** Sums a value of x's shape over the reduced axes, keeping them. */
  readonly sum: (v: Value) => Value;
}

/** A reduction: since-versions, the first with axes as an input, and its gradient (of x's shape). */
const reduction = <const Op extends string>(
  op: Op,
  versions: readonly number[],
  asInputSince: number,
  dx: (r: Reduced) => Value,
) =>
  defineOp({
    op,
    versions,
    emit: (c) => {
      const axes = axesAsGiven(c, asInputSince);
      if (axes === undefined) return [alone(c, op)];
      const keep = int(c.attr.int("keepdims", 1));
      return [c.b.node(op, [c.x(0), axes.length > 0 ? c.b.ints(axes) : undefined], { keepdims: keep })];
    },
    infer: (c) => {
      const keep = c.attr.int("keepdims", 1) === 1;
      return [{ dtype: c.type(0).dtype, dims: reducedDims(c.dims(0), emittedAxes(c, c.where), keep) }];
    },
    grad: (c) => [
      () => {
        const { b } = c;
        const dims: Shape = c.dims(0);
        const axes = emittedAxes(c, op);
        const kept = reducedDims(dims, axes, true);
        return dx({
          b,
          x: c.x(0),
          y: () => b.reshape(c.y(0), kept),
          dy: () => b.reshape(c.dy(0), kept),
          count: sizeOf(dims) / Math.max(1, sizeOf(kept)),
          spread: (v) => b.expand(v, dims),
          sum: (v) => b.reduceSum(v, axes, true),
        });
      },
      zero,
    ],
  });

/** dy to the elements that equal y, shared equally between them. */
function toExtrema({ b, x, y, dy, sum }: Reduced): Value {
  const among = b.cast(b.equal(x, y()), x.type?.dtype ?? "float32");
  return b.mul(among, b.div(dy(), sum(among)));
}

const since18 = [1, 11, 13, 18] as const;

/** y = Σx;  dx = dy. */
const reduceSum = reduction("ReduceSum", [1, 11, 13], 13, ({ dy, spread }) => spread(dy()));

/** y = Σx/n;  dx = dy/n. */
const reduceMean = reduction("ReduceMean", since18, 18, ({ b, dy, count, spread }) =>
  spread(b.scale(dy(), 1 / count)),
);

/** y = max x;  dx = dy where x = y, shared equally between ties. */
const reduceMax = reduction("ReduceMax", [1, 11, 12, 13, 18, 20], 18, toExtrema);

/** y = min x;  dx = dy where x = y, shared equally between ties. */
const reduceMin = reduction("ReduceMin", [1, 11, 12, 13, 18, 20], 18, toExtrema);

/** y = Σ|x|;  dx = dy · sign(x). */
const reduceL1 = reduction("ReduceL1", since18, 18, ({ b, x, dy }) => b.mul(signMask(b, x), dy()));

/** y = √Σx²;  dx = dy · x/y, 0 where y = 0. */
const reduceL2 = reduction("ReduceL2", since18, 18, ({ b, x, y, dy }) => {
  const nought = b.like(x, 0);
  return b.mul(x, b.where(b.equal(y(), nought), nought, b.div(dy(), y())));
});

/** y = Σx²;  dx = 2·dy·x. */
const reduceSumSquare = reduction("ReduceSumSquare", since18, 18, ({ b, x, dy }) =>
  b.mul(x, b.scale(dy(), 2)),
);

/** y = log Σx;  dx = dy/Σx = dy·e⁻ʸ. */
const reduceLogSum = reduction("ReduceLogSum", [...since18, 28], 18, ({ b, y, dy, spread }) =>
  spread(b.mul(dy(), b.exp(b.neg(y())))),
);

/** y = log Σeˣ;  dx = dy·exp(x − y). */
const reduceLogSumExp = reduction("ReduceLogSumExp", [...since18, 28], 18, ({ b, x, y, dy }) =>
  b.mul(b.exp(b.sub(x, y())), dy()),
);

/**
 * y = Πx;  dxᵢ = dy · Π of the others. Zeros are counted and left out of the product, so that it can be divided by xᵢ: what
 * remains is the product of the others where none of the others is zero, and 0 elsewhere.
 */
const reduceProd = reduction("ReduceProd", since18, 18, ({ b, x, y, dy, sum }) => {
  const nought = b.like(x, 0);
  const isZero = b.cast(b.equal(x, nought), x.type?.dtype ?? "float32");
  const filled = b.add(x, isZero);
  const kept = b.dims(y());
  const axes = kept.flatMap((d, i) => (d === 1 ? [i] : []));
  const product = b.node("ReduceProd", [filled, b.ints(axes)], { keepdims: int(1) });
  const otherZeros = b.sub(sum(isZero), isZero);
  return b.where(b.equal(otherZeros, nought), b.div(b.mul(dy(), product), filled), nought);
});

/** Where the extremum is: whole numbers, which carry no gradient, as PyTorch's argmax is detached. */
const argExtremum = <const Op extends string>(op: Op) =>
  defineOp({
    op,
    versions: [1, 11, 12, 13],
    note: "its result is whole numbers: no gradient, as PyTorch's is detached",
    emit: oneNode,
    infer: (c) => {
      const axis = axisOf(c.attr.int("axis", 0), c.dims(0).length, c.where);
      return [{ dtype: "int64", dims: reducedDims(c.dims(0), [axis], c.attr.int("keepdims", 1) === 1) }];
    },
    grad: zero,
  });

/** yₖ = Σ xⱼ over j <= k (exclusive: j < k; reverse: from the end);  dx = the cumulative sum of dy the other way round. */
const cumSum = defineOp({
  op: "CumSum",
  versions: [11, 14],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, x, dy, attr }) => [
    () =>
      b.node("CumSum", [dy(0), x(1)], {
        exclusive: int(attr.int("exclusive", 0)),
        reverse: int(1 - attr.int("reverse", 0)),
      }),
    zero,
  ],
});

/** The k largest (largest=0: smallest) along an axis, and where they were;  dx = dy put back to those places, else 0. */
const topK = defineOp({
  op: "TopK",
  versions: [1, 10, 11, 24],
  emit: ({ b, x, numbers, attr, version }) => {
    const k = version === 1 ? attr.int("k") : (numbers(1)[0] ?? 0);
    const attributes = {
      axis: int(attr.int("axis", -1)),
      largest: int(attr.int("largest", 1)),
      sorted: int(attr.int("sorted", 1)),
    };
    return b.nodes("TopK", [x(0), b.ints([k])], attributes, "", 2);
  },
  infer: (c) => {
    const axis = axisOf(c.attr.int("axis", -1), c.dims(0).length, c.where);
    const k = c.numbers(1)[0] ?? 0;
    const dims = c.dims(0).map((d, i) => (i === axis ? k : d));
    return [
      { dtype: c.type(0).dtype, dims },
      { dtype: "int64", dims },
    ];
  },
  grad: ({ b, x, y, dy, dims, attr }) => [
    () => {
      const nothing = b.full({ dtype: x(0).type?.dtype ?? "float32", dims: dims(0) }, 0);
      return b.node("ScatterElements", [nothing, y(1), dy(0)], { axis: int(attr.int("axis", -1)) });
    },
    zero,
  ],
});

export const reductionOps = [
  reduceSum,
  reduceMean,
  reduceMax,
  reduceMin,
  reduceL1,
  reduceL2,
  reduceSumSquare,
  reduceLogSum,
  reduceLogSumExp,
  reduceProd,
  argExtremum("ArgMax"),
  argExtremum("ArgMin"),
  cumSum,
  topK,
] as const;
