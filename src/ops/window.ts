// Where the windows of convolutions and pools lie: their attributes read, auto_pad resolved into explicit pads, and
// output sizes. Source: ONNX operator specification, Conv-11, ConvTranspose-11, MaxPool-12, AveragePool-19.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Shape } from "../base/tensor.ts";
import { type Attributes, ints } from "../graph/graph.ts";
import type { AttributeReader } from "./attributes.ts";

/** One number for each spatial axis: output position o sees the inputs o·stride − begin + t·dilation for taps t < kernel. */
export interface Window {
  readonly kernel: Shape;
  readonly strides: Shape;
  readonly dilations: Shape;
  /** Padding before the first and after the last element. */
  readonly begin: Shape;
  readonly end: Shape;
}

/** How many input elements each window reaches over: (kernel − 1)·dilation + 1. */
export function reachOf({ kernel, dilations }: Window): Shape {
  return kernel.map((k, i) => (k - 1) * at(dilations, i) + 1);
}

/**
 * The window of Conv or of a pool over inputs of the given spatial sizes, with explicit pads. `samePads` is how far
 * SAME padding takes a window to reach: as far as it does, unless said.
 */
export function readWindow(
  attr: AttributeReader,
  spatial: Shape,
  kernel: Shape,
  where: string,
  samePads: (window: Window) => Shape = reachOf,
): Window {
  const window = readExplicit(attr, spatial, kernel, where);
  const autoPad = attr.string("auto_pad", "NOTSET");
  if (autoPad === "NOTSET") return window;
  if (autoPad === "VALID") return { ...window, begin: fill(spatial, 0), end: fill(spatial, 0) };
  const reach = samePads(window);
  const total = spatial.map((size, i) => {
    const stride = at(window.strides, i);
    return (Math.ceil(size / stride) - 1) * stride + at(reach, i) - size;
  });
  if (total.some((n, i) => n < 0 && at(window.dilations, i) > 1))
    throw new DistillError(
      "E_OP",
      `${where}: auto_pad "${autoPad}" of dilated windows that lie further apart than they are wide is not supported; write pads instead`,
    );
  const least = total.map((n) => Math.max(0, n));
  return { ...window, ...halves(least, autoPad, where) };
}

/** The window of ConvTranspose, which lies over its *output*, and the output padding. */
export function readTransposedWindow(
  attr: AttributeReader,
  spatial: Shape,
  kernel: Shape,
  where: string,
): { window: Window; outputPadding: Shape } {
  const window = readExplicit(attr, spatial, kernel, where);
  const outputPadding = attr.ints("output_padding", fill(spatial, 0));
  const autoPad = attr.string("auto_pad", "NOTSET");
  const same = autoPad !== "NOTSET" && autoPad !== "VALID";
  const asked = attr.has("output_shape") ? attr.ints("output_shape").slice(-spatial.length) : undefined;
  const unpadded = { ...window, begin: fill(spatial, 0), end: fill(spatial, 0) };
  if (!asked && !same) return { window: autoPad === "VALID" ? unpadded : window, outputPadding };
  const sizes = transposedSizes(spatial, unpadded, outputPadding);
  // SAME takes away what is too much; where the windows do not reach that far, ONNX Runtime adds nothing.
  const wanted = asked ?? sizes.map((size, i) => Math.min(size, at(spatial, i) * at(window.strides, i)));
  const excess = sizes.map((size, i) => size - at(wanted, i));
  return {
    window: {
      ...window,
      ...halves(
        excess.map((e) => Math.max(0, e)),
        same ? autoPad : "SAME_LOWER",
        where,
      ),
    },
    outputPadding: outputPadding.map((p, i) => p + Math.max(0, -at(excess, i))),
  };
}

/** How many positions the window takes along each axis; with `ceil` the last may reach beyond the end, but not start there. */
export function outputSizes(spatial: Shape, window: Window, where: string, ceil = false): Shape {
  const reach = reachOf(window);
  return spatial.map((size, i) => {
    const stride = at(window.strides, i);
    const room = size + at(window.begin, i) + at(window.end, i) - at(reach, i);
    if (room < 0)
      throw new DistillError(
        "E_SHAPE",
        `${where}: a window of ${formatShape(reach)} does not fit on ${formatShape(spatial)}; give it a larger input or more padding`,
      );
    if (!ceil) return Math.floor(room / stride) + 1;
    const last = Math.ceil(room / stride);
    return last * stride >= size + at(window.begin, i) ? last : last + 1;
  });
}

/** ConvTranspose: (size − 1)·stride + outputPadding + reach − begin − end. */
export function transposedSizes(spatial: Shape, window: Window, outputPadding: Shape): Shape {
  return reachOf(window).map(
    (reach, i) =>
      (at(spatial, i) - 1) * at(window.strides, i) +
      at(outputPadding, i) +
      reach -
      at(window.begin, i) -
      at(window.end, i),
  );
}

/** The window with its end padding set so that exactly `positions` fit and the last one ends where the padding does. */
export function paddedTo(window: Window, spatial: Shape, positions: Shape): Window {
  const end = reachOf(window).map((reach, i) => {
    const needed = (at(positions, i) - 1) * at(window.strides, i) + reach - at(window.begin, i);
    return Math.max(at(window.end, i), needed - at(spatial, i));
  });
  return { ...window, end };
}

export function windowAttributes({ kernel, strides, dilations, begin, end }: Window): Attributes {
  return {
    kernel_shape: ints(kernel),
    strides: ints(strides),
    dilations: ints(dilations),
    pads: ints([...begin, ...end]),
  };
}

/** `shape[i]`, for an axis that it is known to have. */
export function at(shape: Shape, i: number): number {
  return shape[i] as number;
}

export function fill(like: Shape, value: number): Shape {
  return like.map(() => value);
}

function readExplicit(attr: AttributeReader, spatial: Shape, kernel: Shape, where: string): Window {
  const rank = spatial.length;
  const pads = attr.ints("pads", [...fill(spatial, 0), ...fill(spatial, 0)]);
  const window = {
    kernel,
    strides: attr.ints("strides", fill(spatial, 1)),
    dilations: attr.ints("dilations", fill(spatial, 1)),
    begin: pads.slice(0, rank),
    end: pads.slice(rank),
  };
  for (const [name, list] of Object.entries(window))
    if (list.length !== rank)
      throw new DistillError(
        "E_SHAPE",
        `${where}: ${name} ${formatShape(list)} does not fit an input of ${rank} spatial axes; one number is needed for each`,
      );
  return window;
}

/** The odd one of an uneven total goes to the end (upper) or to the beginning (lower). */
function halves(total: Shape, autoPad: string, where: string): { begin: Shape; end: Shape } {
  const less = total.map((t) => Math.floor(t / 2));
  const more = total.map((t) => Math.ceil(t / 2));
  if (autoPad === "SAME_UPPER") return { begin: less, end: more };
  if (autoPad === "SAME_LOWER") return { begin: more, end: less };
  throw new DistillError(
    "E_MODEL",
    `${where}: auto_pad is "${autoPad}", expected NOTSET, VALID, SAME_UPPER or SAME_LOWER`,
  );
}
