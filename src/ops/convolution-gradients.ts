// The gradients of a convolution y = w ∗ x, one function for each form they are emitted in. ConvTranspose and the pools
// are made of the same forms. Which form is faster where was measured in ONNX Runtime on CPU.
//
// Shapes: x [N, C, …in], w [K, C/G, …kernel], y and dy [N, K, …out]; P = product of the kernel, L = of out.
import { type Shape, sameShape, sizeOf, tensor } from "../base/tensor.ts";
import { int, ints, typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { at, fill, reachOf, transposedSizes, type Window, windowAttributes } from "./window.ts";

/** dx [N, C, …in] = the adjoint of x ↦ w ∗ x, applied to dy. */
export function convInputGradient(
  b: Builder,
  dy: Value,
  w: Value,
  window: Window,
  group: number,
  spatial: Shape,
): Value {
  const flipped = flippedWindow(window);
  const out = b.dims(dy).slice(2);
  const leavesNone = sameShape(transposedSizes(out, window, fill(out, 0)), spatial);
  return flipped && leavesNone
    ? asFlippedConv(b, dy, w, flipped, group)
    : asConvTranspose(b, dy, w, window, group, spatial);
}

/** Stride 1: the convolution of dy with the kernels flipped and their channels exchanged. About twice as fast. */
function asFlippedConv(b: Builder, dy: Value, w: Value, window: Window, group: number): Value {
  const [maps, perGroup, ...kernel] = b.dims(w) as [number, number, ...number[]];
  const taps = sizeOf(kernel);
  const grouped = b.reshape(w, [group, maps / group, perGroup, taps]);
  const depthwise = maps === group || perGroup === 1;
  const exchanged = depthwise ? grouped : b.transpose(grouped, [0, 2, 1, 3]);
  const flip = b.ints(Array.from({ length: taps }, (_, t) => taps - 1 - t));
  const flipped = taps === 1 ? exchanged : b.gather(exchanged, flip, 3);
  const kernels = b.reshape(flipped, [group * perGroup, maps / group, ...kernel]);
  return b.node("Conv", [dy, kernels], { ...windowAttributes(window), group: int(group) });
}

/** Where the flipped convolution lies, if it can be one: no stride, and no more padding than the kernel reaches. */
function flippedWindow(window: Window): Window | undefined {
  const spare = reachOf(window).map((r) => r - 1);
  const begin = spare.map((s, i) => s - at(window.begin, i));
  const end = spare.map((s, i) => s - at(window.end, i));
  const fits = window.strides.every((s) => s === 1) && [...begin, ...end].every((p) => p >= 0);
  return fits ? { ...window, begin, end } : undefined;
}

/** Any stride; output_padding stands for the inputs after the last window, which get zeros. */
function asConvTranspose(
  b: Builder,
  dy: Value,
  w: Value,
  window: Window,
  group: number,
  spatial: Shape,
): Value {
  const out = b.dims(dy).slice(2);
  const reached = transposedSizes(out, window, fill(out, 0));
  return b.node("ConvTranspose", [dy, w], {
    ...windowAttributes(window),
    group: int(group),
    output_padding: ints(spatial.map((size, i) => size - at(reached, i))),
  });
}

/**
 * dw [K, C/G, …kernel] = Σ_n dy_n · patches(x_n)ᵀ: one batched product over the columns of im2col and a sum over the
 * batch. The longer side of dw leads the product, patches · dyᵀ where that is C/G·P: a product of few rows is slower.
 * Where the target has blocked convolutions, dw is one of them instead.
 */
export function convWeightGradient(
  b: Builder,
  x: Value,
  dy: Value,
  window: Window,
  group: number,
  dims: Shape,
): Value {
  if (group === 1 && fitsExchanged(b, dy, window)) return asExchangedConv(b, x, dy, window);
  const [batch, maps] = b.dims(dy) as [number, number, ...number[]];
  const length = sizeOf(b.dims(dy).slice(2));
  const perGroup = sizeOf(dims.slice(1));
  const columns = patches(b, x, window);
  if (length === 1 && group === 1) {
    const dw = b.matmulT(b.reshape(dy, [batch, maps]), true, b.reshape(columns, [batch, perGroup]), false);
    return b.reshape(dw, dims);
  }
  const groups = group === 1 ? [batch] : [batch, group];
  const dys = b.reshape(dy, [...groups, maps / group, length]);
  const taps = b.reshape(columns, [...groups, perGroup, length]);
  if (perGroup <= maps / group) return b.reshape(b.reduceSum(b.matmulT(dys, false, taps, true), [0]), dims);
  return b.reshape(b.swapLast(b.reduceSum(b.matmulT(taps, false, dys, true), [0])), dims);
}

/**
 * Blocked convolutions want whole blocks of maps and of samples, which zeros may fill up. They read all of dy for each
 * channel of x and row of dw, so it must fit into the processor's caches; a kernel of one element needs no im2col.
 */
function fitsExchanged(b: Builder, dy: Value, window: Window): boolean {
  const { dtype, dims } = typeOf(dy);
  const block = b.target.convolutionBlock;
  if (block === undefined || dtype !== "float32" || dims.length !== 4) return false;
  const [batch, maps] = [at(dims, 0), at(dims, 1)];
  const whole = maps % block === 0 && missing(batch, block) <= 0.3 * batch;
  return whole && sizeOf(window.kernel) > 1 && sizeOf(dims.slice(2)) > 1 && sizeOf(dims) <= nearElements;
}

/** 16 MiB: up to there 1.4 to 1.7 times faster than the product over im2col, at 25 MiB slower. */
const nearElements = 1 << 22;

/** How many are missing to whole blocks. */
function missing(count: number, block: number): number {
  return (block - (count % block)) % block;
}

/**
 * dw with samples and channels exchanged: xᵀ [C, N, …] convolved with dyᵀ [K, N, …out], its strides the dilations and its
 * dilations the strides of y's, is dwᵀ [C, K, …kernel]. x is padded, or cut, to just what the windows see.
 */
function asExchangedConv(b: Builder, x: Value, dy: Value, window: Window): Value {
  const { kernel, strides, dilations, begin } = window;
  const exchange = (v: Value): Value => b.transpose(v, [1, 0, 2, 3]);
  const [batch, , ...out] = b.dims(dy) as [number, number, ...number[]];
  const samples = missing(batch, b.target.convolutionBlock as number);
  const spatial = b.dims(x).slice(2);
  const end = reachOf(window).map(
    (reach, i) => (at(out, i) - 1) * at(strides, i) + reach - at(begin, i) - at(spatial, i),
  );
  const cut = b.pad(exchange(x), [0, 0, 0, 0], [0, samples, ...end.map((e) => Math.min(e, 0))]);
  const seen = padByConv(
    b,
    cut,
    begin,
    end.map((e) => Math.max(e, 0)),
  );
  const whole = b.pad(dy, [0, 0, 0, 0], [samples, 0, 0, 0]);
  const swapped: Window = {
    kernel: out,
    strides: dilations,
    dilations: strides,
    begin: fill(kernel, 0),
    end: fill(kernel, 0),
  };
  return exchange(b.node("Conv", [seen, exchange(whole)], { ...windowAttributes(swapped), group: int(1) }));
}

/** Zeros around [N, C, …] by a depthwise convolution with ones: in the blocked layout several times faster than Pad. */
function padByConv(b: Builder, x: Value, begin: Shape, end: Shape): Value {
  if ([...begin, ...end].every((p) => p === 0)) return x;
  const [, channels, ...spatial] = b.dims(x) as [number, number, ...number[]];
  const one = fill(spatial, 1);
  const ones = b.full({ dtype: typeOf(x).dtype, dims: [channels, 1, ...one] }, 1);
  const window = { kernel: one, strides: one, dilations: one, begin, end };
  return b.node("Conv", [x, ones], { ...windowAttributes(window), group: int(channels) });
}

/** db [K] = Σ dy over batch and positions; in two stages, because the inner one is then contiguous. */
export function convBiasGradient(b: Builder, dy: Value): Value {
  const positions = b.dims(dy).map((_, i) => i);
  return b.reduceSum(b.reduceSum(dy, positions.slice(2)), [0]);
}

/**
 * im2col: [N, C·P, …out], the inputs under tap t of the windows of channel c in map c·P + t. By a depthwise Conv with
 * one-hot kernels, the fastest of the plain ops; padding gives zeros.
 */
export function patches(b: Builder, x: Value, window: Window): Value {
  const [batch, channels, ...spatial] = b.dims(x) as [number, number, ...number[]];
  const taps = sizeOf(window.kernel);
  const unpadded = [...window.begin, ...window.end].every((p) => p === 0);
  if (unpadded && taps === 1 && window.strides.every((s) => s === 1)) return x;
  if (unpadded && sameShape(window.kernel, spatial) && window.dilations.every((d) => d === 1))
    return b.reshape(x, [batch, channels * taps, ...fill(spatial, 1)]);
  return b.node("Conv", [x, oneHotKernels(b, x, window.kernel)], {
    ...windowAttributes(window),
    group: int(channels),
  });
}

/** col2im, the adjoint of `patches`: [N, C·P, …out] summed back into [N, C, …spatial]. */
export function sumPatches(b: Builder, columns: Value, window: Window, spatial: Shape): Value {
  const channels = at(b.dims(columns), 1) / sizeOf(window.kernel);
  const kernels = oneHotKernels(b, columns, window.kernel, channels);
  return convInputGradient(b, columns, kernels, window, channels, spatial);
}

/** [C·P, 1, …kernel]: for each channel the P kernels that have a single one. Of x's element type. */
function oneHotKernels(b: Builder, x: Value, kernel: Shape, channels = at(b.dims(x), 1)): Value {
  const taps = sizeOf(kernel);
  const eye = new Float64Array(taps * taps);
  for (let t = 0; t < taps; t++) eye[t * taps + t] = 1;
  const dtype = typeOf(x).dtype as "float32";
  const one = b.constant(tensor(dtype, eye, [1, taps, 1, ...kernel]), "one_hot");
  // Expanded by the runtime, once, when it folds constants: the graph itself stays small.
  return b.reshape(b.expand(one, [channels, taps, 1, ...kernel]), [channels * taps, 1, ...kernel]);
}
