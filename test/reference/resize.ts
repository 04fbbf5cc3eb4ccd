// Reference Resize: nearest and linear, one axis after another. No cubic, no antialias, no region of interest.
// Source: ONNX operator specification, Resize-19.
import { around, axisOf, type NDArray, need, type Operator, type OperatorTable, zeros } from "./array.ts";

const coordinateModes = [
  "half_pixel",
  "half_pixel_symmetric",
  "pytorch_half_pixel",
  "align_corners",
  "asymmetric",
] as const;
const nearestModes = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] as const;
type CoordinateMode = (typeof coordinateModes)[number];
type NearestMode = (typeof nearestModes)[number];

/** Where output index x lies on the input axis. `exact` is the wanted output length, which a scale can make fractional. */
function coordinate(mode: CoordinateMode, x: number, from: number, to: number, scale: number): number {
  switch (mode) {
    case "half_pixel":
      return (x + 0.5) / scale - 0.5;
    case "half_pixel_symmetric": {
      const adjustment = to / (from * scale);
      return (from / 2) * (1 - adjustment) + (x + 0.5) / scale - 0.5;
    }
    case "pytorch_half_pixel":
      return to > 1 ? (x + 0.5) / scale - 0.5 : 0;
    case "align_corners":
      return to > 1 ? (x * (from - 1)) / (to - 1) : 0;
    case "asymmetric":
      return x / scale;
  }
}

const roundNearest: Readonly<Record<NearestMode, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

interface Tap {
  readonly low: number;
  readonly high: number;
  /** Weight of `high`. */
  readonly part: number;
}

function resizeAxis(x: NDArray, axis: number, taps: readonly Tap[]): NDArray {
  const { outer, size, inner } = around(x.dims, axis);
  const y = zeros(
    x.dtype,
    x.dims.map((d, i) => (i === axis ? taps.length : d)),
  );
  for (let o = 0; o < outer; o++)
    taps.forEach(({ low, high, part }, k) => {
      for (let i = 0; i < inner; i++) {
        const at = (index: number): number => x.data[(o * size + index) * inner + i]!;
        y.data[(o * taps.length + k) * inner + i] = (1 - part) * at(low) + part * at(high);
      }
    });
  return y;
}

const resize: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const mode = a.string("mode", ["nearest", "linear"]);
  const coordinates = a.string("coordinate_transformation_mode", coordinateModes);
  const nearest = roundNearest[a.string("nearest_mode", nearestModes)];
  const axes = a
    .ints(
      "axes",
      x.dims.map((_, i) => i),
    )
    .map((axis) => axisOf(axis, x.dims.length));
  a.string("keep_aspect_ratio_policy", ["stretch"]);
  if (a.int("antialias", 0) || a.int("exclude_outside", 0))
    throw new Error("antialias and exclude_outside are not in the reference");
  a.ignore("cubic_coeff_a", "extrapolation_value");
  const scales = inputs[2]?.data.length ? inputs[2].data : undefined;
  const sizes = inputs[3]?.data.length ? inputs[3].data : undefined;
  return axes.reduce((y, axis, i) => {
    const from = x.dims[axis]!;
    const to = sizes?.[i] ?? Math.floor(from * scales![i]!);
    const scale = scales?.[i] ?? to / from;
    if (to === from && scale === 1) return y;
    const inside = (index: number): number => Math.min(Math.max(index, 0), from - 1);
    const taps = Array.from({ length: to }, (_, k): Tap => {
      const at = coordinate(coordinates, k, from, to, scale);
      if (mode === "nearest") return { low: inside(nearest(at)), high: inside(nearest(at)), part: 0 };
      const low = Math.floor(at);
      return { low: inside(low), high: inside(low + 1), part: at - low };
    });
    return resizeAxis(y, axis, taps);
  }, x);
};

export const resizing: OperatorTable = { Resize: resize };
