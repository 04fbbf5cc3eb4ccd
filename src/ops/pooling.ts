// Pools: MaxPool, AveragePool, LpPool, their global forms, and MaxUnpool, which the gradient of MaxPool is made of.
// Of equal maxima the first in row-major order gets the gradient, as in PyTorch (max_pool2d, adaptive_max_pool2d).
// Source: ONNX operator specification, MaxPool-12, AveragePool-19, GlobalAveragePool-1, GlobalMaxPool-1, MaxUnpool-11.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Shape, sameShape, sizeOf, tensor } from "../base/tensor.ts";
import { type Attributes, int, string, typeOf, type Value } from "../graph/graph.ts";
import type { AttributeReader } from "./attributes.ts";
import type { Builder } from "./builder.ts";
import { convInputGradient, patches, sumPatches } from "./convolution-gradients.ts";
import { defineOp, notDifferentiable } from "./define.ts";
import {
  at,
  fill,
  outputSizes,
  paddedTo,
  reachOf,
  readWindow,
  transposedSizes,
  type Window,
  windowAttributes,
} from "./window.ts";

/** Less than any activation, and finite: the one-hot convolution multiplies it by zero. */
const lowest = -3e38;

/** y = max over each window;  dx = dy at the first maximum of its window, summed over windows. */
const maxPool = defineOp({
  op: "MaxPool",
  versions: [1, 8, 10, 11, 12, 22],
  emit: (c) => {
    const wantsIndices = c.node.outputs[1] !== undefined;
    if (wantsIndices && c.attr.int("storage_order", 0) !== 0)
      throw new DistillError(
        "E_OP",
        `${c.where}: storage_order 1 (column-major Indices) is not supported; export the model with storage_order 0`,
      );
    const pool = readPool(c.attr, c.b.dims(c.x(0)), c.where);
    return c.b.nodes("MaxPool", [c.x(0)], poolAttributes(pool), "", wantsIndices ? 2 : 1);
  },
  infer: (c) => {
    const dims = [...c.dims(0).slice(0, 2), ...readPool(c.attr, c.dims(0), c.where).out];
    return [
      { dtype: c.type(0).dtype, dims },
      { dtype: "int64", dims },
    ];
  },
  grad: ({ b, node, x, dy, dims, attr }) => {
    const { window, spatial, out } = readPool(attr, dims(0), "MaxPool");
    return [
      () => {
        if (!b.target.maxPoolIndices) return maxPoolGradientByPatches(b, x(0), dy(0), window, out);
        const indices = b.outputOf(node, 1);
        return tiles(window, out, spatial)
          ? b.node("MaxUnpool", [dy(0), indices], unpoolAttributes(window))
          : addAt(b, indices, dy(0), dims(0));
      },
    ];
  },
});

/** y = mean over each window;  dx = the adjoint of the sum over windows, applied to dy / count. */
const averagePool = defineOp({
  op: "AveragePool",
  versions: [7, 10, 11, 19, 22],
  emit: (c) => {
    const x = c.x(0);
    const pool = readPool(c.attr, c.b.dims(x), c.where);
    const { window, spatial, out, ceil } = pool;
    const includePad = c.attr.int("count_include_pad", 0);
    if (!ceil || includePad === 0)
      return [c.b.node("AveragePool", [x], { ...poolAttributes(pool), count_include_pad: int(includePad) })];
    // Declared padding counts, but what ceil_mode adds beyond it does not: the former becomes part of the input.
    const padded = c.b.pad(x, [0, 0, ...window.begin], [0, 0, ...window.end]);
    const bare = { ...window, begin: fill(spatial, 0), end: fill(spatial, 0) };
    const beyond = paddedTo(bare, c.b.dims(padded).slice(2), out);
    return [c.b.node("AveragePool", [padded], { ...windowAttributes(beyond), count_include_pad: int(0) })];
  },
  infer: (c) => {
    const { out } = readPool(c.attr, c.dims(0), c.where);
    return [{ dtype: c.type(0).dtype, dims: [...c.dims(0).slice(0, 2), ...out] }];
  },
  grad: ({ b, dy, dims, attr }) => {
    const { window, spatial, out } = readPool(attr, dims(0), "AveragePool");
    const channels = at(dims(0), 1);
    return [
      () => {
        const taps = sizeOf(window.kernel);
        const share =
          attr.int("count_include_pad", 0) === 1
            ? b.scale(dy(0), 1 / taps)
            : shareAmongSeen(b, dy(0), window, spatial, out);
        const ones = b.full({ dtype: typeOf(dy(0)).dtype, dims: [channels, 1, ...window.kernel] }, 1);
        return convInputGradient(b, share, ones, paddedTo(window, spatial, out), channels, spatial);
      },
    ];
  },
});

/** y = mean over all positions;  dx = dy / L everywhere. */
const globalAveragePool = defineOp({
  op: "GlobalAveragePool",
  versions: [1, 22],
  emit: (c) => [c.b.node("GlobalAveragePool", [c.x(0)])],
  infer: (c) => [{ dtype: c.type(0).dtype, dims: globalDims(c.dims(0), c.where) }],
  grad: ({ b, dy, dims }) => [() => b.expand(b.scale(dy(0), 1 / sizeOf(dims(0).slice(2))), dims(0))],
});

/** y = max over all positions;  dx = dy at the first maximum (PyTorch's adaptive_max_pool; its amax is ReduceMax). */
const globalMaxPool = defineOp({
  op: "GlobalMaxPool",
  versions: [1, 22],
  emit: (c) => [c.b.node("GlobalMaxPool", [c.x(0)])],
  infer: (c) => [{ dtype: c.type(0).dtype, dims: globalDims(c.dims(0), c.where) }],
  grad: ({ b, x, dy, dims }) => [
    () => {
      const [batch, channels, ...spatial] = dims(0) as [number, number, ...number[]];
      const rows = b.reshape(x(0), [batch, channels, sizeOf(spatial)]);
      return b.reshape(toFirstMaximum(b, rows, b.reshape(dy(0), [batch, channels, 1])), dims(0));
    },
  ],
});

/** y = 0 but for y[indices] = x, on the inputs that the windows cover;  dx = dy[indices]. */
const maxUnpool = defineOp({
  op: "MaxUnpool",
  versions: [9, 11, 22],
  emit: (c) => {
    const dims = c.b.dims(c.x(0));
    const window = readWindow(c.attr, dims.slice(2), c.attr.ints("kernel_shape"), c.where);
    const out = coveredDims(dims, window);
    // What indices mean in a larger output is read differently by different runtimes.
    if (c.has(2) && !sameShape(c.numbers(2), out))
      throw new DistillError(
        "E_OP",
        `${c.where}: output_shape ${formatShape(c.numbers(2))} is not the ${formatShape(out)} that its windows cover; only that is supported`,
      );
    return [c.b.node("MaxUnpool", [c.x(0), c.x(1)], unpoolAttributes(window))];
  },
  infer: (c) => {
    const spatial = c.dims(0).slice(2);
    const window = readWindow(c.attr, spatial, c.attr.ints("kernel_shape"), c.where);
    return [{ dtype: c.type(0).dtype, dims: coveredDims(c.dims(0), window) }];
  },
  grad: ({ b, x, dy }) => [
    () => b.gather(b.reshape(dy(0), [sizeOf(b.dims(dy(0)))]), x(1), 0),
    notDifferentiable,
  ],
});

/** y = (Σ |x|ᵖ over each window)^(1/p), 0 where nothing is but zeros; p = 2 by default. Padding adds nothing. */
const lpPool = defineOp({
  op: "LpPool",
  versions: [2, 11, 18, 22],
  composed: true,
  emit: ({ b, x, attr, where }) => {
    const { window, spatial, out } = readPool(attr, b.dims(x(0)), where);
    const p = attr.int("p", 2);
    // Windows that reach beyond the end are cut there or padded with zeros: the same sum. Padded first, so that ONNX Runtime
    // does not draw the padding into a pool that allows less of it.
    const around = paddedTo(window, spatial, out);
    const padded = power(b, b.pad(x(0), [0, 0, ...around.begin], [0, 0, ...around.end]), p);
    const bare = { ...around, begin: fill(spatial, 0), end: fill(spatial, 0) };
    const mean = b.node("AveragePool", [padded], { ...windowAttributes(bare), count_include_pad: int(0) });
    return [root(b, b.scale(mean, sizeOf(window.kernel)), p)];
  },
});

/** y = (Σ |x|ᵖ over all positions)^(1/p); p = 2 by default. */
const globalLpPool = defineOp({
  op: "GlobalLpPool",
  versions: [2, 22],
  composed: true,
  emit: ({ b, x, attr, where }) => {
    const dims = globalDims(b.dims(x(0)), where);
    const p = attr.int("p", 2);
    const axes = dims.map((_, i) => i).slice(2);
    return [root(b, b.reduceSum(power(b, x(0), p), axes, true), p)];
  },
});

/** |x|ᵖ for a whole p. */
function power(b: Builder, x: Value, p: number): Value {
  if (p === 2) return b.square(x);
  return p === 1 ? b.abs(x) : b.pow(b.abs(x), b.like(x, p));
}

/** x^(1/p) for x >= 0, without a gradient at 0, where its slope is infinite. */
function root(b: Builder, x: Value, p: number): Value {
  if (p === 1) return x;
  const nothing = b.equal(x, b.like(x, 0));
  const safe = b.where(nothing, b.like(x, 1), x);
  const y = p === 2 ? b.sqrt(safe) : b.pow(safe, b.like(x, 1 / p));
  return b.where(nothing, b.like(x, 0), y);
}

export const poolingOps = [
  maxPool,
  averagePool,
  lpPool,
  globalLpPool,
  globalAveragePool,
  globalMaxPool,
  maxUnpool,
] as const;

/** A pool's window and where it lies. */
interface Pool {
  readonly window: Window;
  readonly spatial: Shape;
  readonly out: Shape;
  /** Whether the last window reaches beyond the padding. */
  readonly ceil: boolean;
}

function readPool(attr: AttributeReader, dims: Shape, where: string): Pool {
  const spatial = dims.slice(2);
  // ONNX Runtime pads for SAME as if there were no dilations; the specification counts them.
  const window = readWindow(attr, spatial, attr.ints("kernel_shape"), where, (w) => w.kernel);
  // With SAME padding the number of windows is fixed already, if none reaches beyond it.
  const dilated = !sameShape(reachOf(window), window.kernel);
  const same = attr.string("auto_pad", "NOTSET").startsWith("SAME") && !dilated;
  const floor = outputSizes(spatial, window, where);
  const out = outputSizes(spatial, window, where, attr.int("ceil_mode", 0) === 1 && !same);
  return { window, spatial, out, ceil: out.some((size, i) => size !== floor[i]) };
}

function poolAttributes({ window, ceil }: Pool): Attributes {
  return { ...windowAttributes(window), ...(ceil ? { ceil_mode: int(1) } : {}) };
}

function unpoolAttributes(window: Window): Attributes {
  const { dilations: _, ...attributes } = windowAttributes(window);
  return attributes;
}

/** Whether the windows cover the input exactly, each element once. */
function tiles(window: Window, out: Shape, spatial: Shape): boolean {
  const apart = reachOf(window).every((reach, i) => reach <= at(window.strides, i));
  return apart && sameShape(transposedSizes(out, window, fill(out, 0)), spatial);
}

/** What windows at [N, C, …positions] cover: [N, C, …]. */
function coveredDims(dims: Shape, window: Window): Shape {
  const positions = dims.slice(2);
  return [...dims.slice(0, 2), ...transposedSizes(positions, window, fill(positions, 0))];
}

/** Zeros of shape `dims`, with each of dy added at its flat index. */
function addAt(b: Builder, indices: Value, dy: Value, dims: Shape): Value {
  const flat = (v: Value): Value => b.reshape(v, [sizeOf(b.dims(v))]);
  const zeros = b.full({ dtype: typeOf(dy).dtype, dims: [sizeOf(dims)] }, 0);
  const added = b.node("ScatterElements", [zeros, flat(indices), flat(dy)], {
    axis: int(0),
    reduction: string("add"),
  });
  return b.reshape(added, dims);
}

/** Without Indices: the first maximum among the patches of each window gets dy, then col2im. */
function maxPoolGradientByPatches(b: Builder, x: Value, dy: Value, window: Window, out: Shape): Value {
  const [batch, channels, ...spatial] = b.dims(x) as [number, number, ...number[]];
  const around = paddedTo(window, spatial, out);
  const padded = b.pad(x, [0, 0, ...around.begin], [0, 0, ...around.end], lowest);
  const bare = { ...around, begin: fill(spatial, 0), end: fill(spatial, 0) };
  const columns = b.reshape(patches(b, padded, bare), [batch, channels, sizeOf(window.kernel), sizeOf(out)]);
  const dColumns = toFirstMaximum(b, columns, b.reshape(dy, [batch, channels, 1, sizeOf(out)]));
  const maps = channels * sizeOf(window.kernel);
  return sumPatches(b, b.reshape(dColumns, [batch, maps, ...out]), around, spatial);
}

/** Zeros like x, with dy (of size 1 along axis 2) where x has its first maximum along axis 2. */
function toFirstMaximum(b: Builder, x: Value, dy: Value): Value {
  const first = b.node("ArgMax", [x], { axis: int(2), keepdims: int(1), select_last_index: int(0) });
  return b.node("ScatterElements", [b.full(typeOf(x), 0), first, dy], {
    axis: int(2),
    reduction: string("none"),
  });
}

/** dy / count, where count is the number of real inputs under each window. */
function shareAmongSeen(b: Builder, dy: Value, window: Window, spatial: Shape, out: Shape): Value {
  const perAxis = out.map((positions, i) =>
    Array.from({ length: positions }, (_, o) => {
      const start = o * at(window.strides, i) - at(window.begin, i);
      const taps = Array.from(
        { length: at(window.kernel, i) },
        (_, t) => start + t * at(window.dilations, i),
      );
      return taps.filter((p) => p >= 0 && p < at(spatial, i)).length;
    }),
  );
  const counts = perAxis.reduce((all, axis) => all.flatMap((n) => axis.map((m) => n * m)), [1]);
  if (counts.every((n) => n === counts[0])) return b.scale(dy, 1 / (counts[0] as number));
  const dtype = typeOf(dy).dtype as "float32";
  const shares = tensor(
    dtype,
    counts.map((n) => 1 / n),
    out,
  );
  return b.mul(dy, b.constant(shares, "shares"));
}

function globalDims(dims: Shape, where: string): Shape {
  if (dims.length >= 3) return [...dims.slice(0, 2), ...fill(dims.slice(2), 1)];
  throw new DistillError(
    "E_SHAPE",
    `${where}: input ${formatShape(dims)} has no spatial axes; expected [N, C, …]`,
  );
}
