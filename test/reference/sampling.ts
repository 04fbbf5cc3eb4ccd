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

/** One axis of RoiAlign: the neighbours of place `at`, none where it lies outside. */
function boxNeighbours(at: number, size: number): [number, number][] {
  if (!(at >= -1 && at <= size)) return [];
  const inside = Math.min(Math.max(at, 0), size - 1);
  const low = Math.floor(inside);
  return [
    [low, 1 - (inside - low)],
    [Math.min(low + 1, size - 1), inside - low],
  ];
}

const roiAlign: Operator = (inputs, a) => {
  const [x, rois, batch] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
  const mode = a.string("mode", ["avg", "max"]);
  const half =
    a.string("coordinate_transformation_mode", ["half_pixel", "output_half_pixel"]) === "half_pixel";
  const [rows, columns] = [a.int("output_height", 1), a.int("output_width", 1)];
  const ratio = a.int("sampling_ratio", 0);
  const scale = a.float("spatial_scale", 1);
  const [, channels, height, width] = x.dims as [number, number, number, number];
  const y = zeros(x.dtype, [rois.dims[0]!, channels, rows, columns]);
  let next = 0;
  for (let r = 0; r < rois.dims[0]!; r++) {
    const axis = (i: number, bins: number, size: number) => {
      const [start, end] = [i, i + 2].map((k) => rois.data[4 * r + k]! * scale - (half ? 0.5 : 0));
      const length = half ? end! - start! : Math.max(end! - start!, 1);
      const count = ratio > 0 ? ratio : Math.ceil(length / bins);
      return Array.from({ length: bins }, (_, p) =>
        Array.from({ length: count }, (_, k) =>
          boxNeighbours(start! + (p * length) / bins + ((k + 0.5) * length) / bins / count, size),
        ),
      );
    };
    const [vertical, horizontal] = [axis(1, rows, height), axis(0, columns, width)];
    for (let c = 0; c < channels; c++)
      for (const v of vertical)
        for (const h of horizontal) {
          const first = (batch.data[r]! * channels + c) * height * width;
          const places = v.flatMap((p) =>
            h.map((q) =>
              p.flatMap(([i, wi]) => q.map(([j, wj]) => wi * wj * x.data[first + i * width + j]!)),
            ),
          );
          const total = places.flat().reduce((s, t) => s + t, 0) / Math.max(places.length, 1);
          // A place outside counts as zeros.
          const largest = Math.max(...places.flatMap((terms) => (terms.length > 0 ? terms : [0])));
          y.data[next++] = mode === "avg" ? total : largest;
        }
  }
  return y;
};

export const sampling: OperatorTable = { GridSample: gridSample, RoiAlign: roiAlign };
