// Reference GridSample: every place by itself, its neighbours by the definition of the interpolation. Source: ONNX operator
// specification, GridSample-20.
import { type NDArray, need, type Operator, type OperatorTable, strides, zeros } from "./array.ts";

/** Where a neighbour outside is read instead; undefined: it counts as zero. */
function inside(i: number, size: number, padding: string, align: boolean): number | undefined {
  if (i >= 0 && i < size) return i;
  if (padding === "zeros") return undefined;
  if (padding === "border") return i < 0 ? 0 : size - 1;
  if (size === 1) return 0;
  let at = i;
  while (at < 0 || at >= size) {
    if (at < 0) at = align ? -at : -1 - at;
    else at = align ? 2 * (size - 1) - at : 2 * size - 1 - at;
  }
  return at;
}

function cubic(distance: number): number {
  const d = Math.abs(distance);
  const a = -0.75;
  if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
  return d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0;
}

const roundHalfToEven = (x: number): number => {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
};

/** Neighbours on one axis with their weights. */
function neighbours(place: number, mode: string): [number, number][] {
  if (mode === "nearest") return [[roundHalfToEven(place), 1]];
  const low = Math.floor(place);
  if (mode === "linear")
    return [
      [low, 1 - (place - low)],
      [low + 1, place - low],
    ];
  return [-1, 0, 1, 2].map((o) => [low + o, cubic(place - low - o)]);
}

const gridSample: Operator = (inputs, a) => {
  const [x, grid] = [need(inputs, 0), need(inputs, 1)];
  const mode = a.string("mode", ["linear", "nearest", "cubic"]);
  const padding = a.string("padding_mode", ["zeros", "border", "reflection"]);
  const align = a.int("align_corners", 0) === 1;
  const [n, channels, ...space] = x.dims as [number, number, ...number[]];
  const out = grid.dims.slice(1, -1);
  const points = out.reduce((p, q) => p * q, 1);
  const y = zeros(x.dtype, [n, channels, ...out]);
  const [perSample, perChannel, ...steps] = strides(x.dims) as [number, number, ...number[]];
  for (let s = 0; s < n; s++)
    for (let p = 0; p < points; p++) {
      const axes = space.map((size, i) => {
        const g = grid.data[(s * points + p) * space.length + (space.length - 1 - i)]!;
        return neighbours(align ? ((g + 1) / 2) * (size - 1) : ((g + 1) * size - 1) / 2, mode);
      });
      for (let c = 0; c < channels; c++)
        y.data[(s * channels + c) * points + p] = sum(
          axes,
          space,
          padding,
          align,
          (place) => place.reduce((at, i, k) => at + i * steps[k]!, s * perSample + c * perChannel),
          x,
        );
    }
  return y;
};

function sum(
  axes: readonly (readonly [number, number][])[],
  space: readonly number[],
  padding: string,
  align: boolean,
  offset: (place: readonly number[]) => number,
  x: NDArray,
  place: readonly number[] = [],
): number {
  const k = place.length;
  if (k === axes.length) return x.data[offset(place)]!;
  return axes[k]!.reduce((total, [i, weight]) => {
    const at = inside(i, space[k]!, padding, align);
    if (at === undefined || weight === 0) return total;
    return total + weight * sum(axes, space, padding, align, offset, x, [...place, at]);
  }, 0);
}

export const sampling: OperatorTable = { GridSample: gridSample };
