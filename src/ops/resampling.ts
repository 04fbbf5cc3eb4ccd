// Ops that change the resolution of a map: Resize and its ancestor Upsample, DepthToSpace and SpaceToDepth.
// Sizes are static, so nearest is a choice of known indices, and linear and cubic are products with known matrices, one
// axis after another. Sizes and places are computed as ONNX Runtime does, in float32: floor(10 · 0.7) is 7 there, and which of
// two neighbours is the nearest hangs on the last bit. PyTorch computes in float32 too, but rounds at other steps.
// Left out, with an error: regions of interest (tf_crop_and_resize). Source: ONNX specification, Resize-19.
import { DistillError } from "../base/errors.ts";
import { formatShape, type NumericDType, type Shape, sizeOf, tensor } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { defineOp, type EmitContext, oneOutput } from "./define.ts";
import { axisOf } from "./infer.ts";
import { type Interpolation, resizeWeights } from "./resize-weights.ts";
import { pickAlong } from "./slice.ts";

/** How an output index becomes a place on the input axis, and that place an index or weights. */
interface Sampling {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly interpolation: Interpolation;
}

/** y[i] = x at the place of i, nearest, linear or cubic;  the gradient is that of the slices, gathers or products made. */
const resize = defineOp({
  op: "Resize",
  versions: [10, 11, 13, 18, 19],
  note: "nearest, linear, cubic, also antialiased; not tf_crop_and_resize",
  fixed: [1, 2],
  composed: true,
  emit: oneOutput((c) => {
    if (c.version === 10) return resample(c, targetOf(c, c.numbers(1), undefined), simple(c));
    const mode = c.attr.string("mode", "nearest");
    const antialias = c.attr.int("antialias", 0) === 1;
    if (antialias && mode === "nearest")
      throw new DistillError(
        "E_OP",
        `${c.where}: antialias is for the modes linear and cubic, not for nearest`,
      );
    const numbers = (i: number) => (c.has(i) ? c.numbers(i) : []);
    return resample(c, targetOf(c, numbers(2), numbers(3)), {
      mode,
      coordinates: c.attr.string("coordinate_transformation_mode", "half_pixel"),
      nearest: c.attr.string("nearest_mode", "round_prefer_floor"),
      interpolation: {
        kernel: mode === "cubic" ? "cubic" : "linear",
        a: c.attr.float("cubic_coeff_a", -0.75),
        excludeOutside: c.attr.int("exclude_outside", 0) === 1,
        antialias,
      },
    });
  }),
});

/** Resize under its name before opset 10. */
const upsample = defineOp({
  op: "Upsample",
  versions: [7, 9],
  fixed: [1],
  composed: true,
  emit: oneOutput((c) => {
    const scales = c.version === 7 ? c.attr.floats("scales") : c.numbers(1);
    return resample(c, targetOf(c, scales, undefined), simple(c));
  }),
});

/** Before opset 11: no half pixels, and indices cut off (rounded up where it makes an axis shorter). */
const simple = (c: EmitContext): Sampling => ({
  mode: c.attr.string("mode", "nearest"),
  coordinates: "asymmetric",
  nearest: "simple",
  interpolation: { kernel: "linear", a: 0, excludeOutside: false, antialias: false },
});

const f32 = Math.fround;

interface AxisTarget {
  readonly axis: number;
  readonly size: number;
  readonly scale: number;
}

function targetOf(
  c: EmitContext,
  scales: readonly number[],
  sizes: readonly number[] | undefined,
): AxisTarget[] {
  const dims = c.b.dims(c.x(0));
  const given = scales.length > 0 ? scales : (sizes ?? []);
  const axes = c.version >= 18 && c.attr.has("axes") ? c.attr.ints("axes") : dims.map((_, i) => i);
  if (given.length !== axes.length)
    throw new DistillError(
      "E_SHAPE",
      `${c.where}: ${given.length} scales or sizes for ${axes.length} axes of ${formatShape(dims)}`,
    );
  const kept = scales.length > 0 ? undefined : commonScale(c, axes, given);
  return axes.map((a, i) => {
    const axis = axisOf(a, dims.length, c.where);
    const from = dims[axis] as number;
    const number = given[i] as number;
    if (kept !== undefined) return { axis, size: Math.floor(f32(f32(from * kept) + 0.5)), scale: kept };
    return scales.length > 0
      ? { axis, size: Math.floor(f32(from * f32(number))), scale: f32(number) }
      : { axis, size: number, scale: f32(number / from) };
  });
}

/** One scale for all axes, where the aspect ratio is to be kept: the smallest ("not_larger") or largest that sizes ask for. */
function commonScale(c: EmitContext, axes: readonly number[], sizes: readonly number[]): number | undefined {
  const policy = c.attr.string("keep_aspect_ratio_policy", "stretch");
  if (policy === "stretch") return undefined;
  const dims = c.b.dims(c.x(0));
  const scales = axes.map((a, i) =>
    f32((sizes[i] as number) / (dims[axisOf(a, dims.length, c.where)] as number)),
  );
  return policy === "not_larger" ? Math.min(...scales) : Math.max(...scales);
}

function resample(c: EmitContext, target: readonly AxisTarget[], sampling: Sampling): Value {
  const { mode } = sampling;
  if (mode !== "nearest" && mode !== "linear" && mode !== "cubic")
    throw new DistillError(
      "E_OP",
      `${c.where}: mode "${mode}" is not supported; use nearest, linear or cubic`,
    );
  const rule = mode === "nearest" ? nearestAxis : interpolatedAxis;
  let y = c.x(0);
  const dims = c.b.dims(y);
  // Where every size stays, ONNX Runtime copies, whatever the scales.
  if (target.every((t) => t.size === dims[t.axis])) return y;
  for (const t of target) {
    const from = dims[t.axis] as number;
    // Antialiased, an axis whose size stays is copied there, too, whatever its scale.
    if (t.size === from && (t.scale === 1 || sampling.interpolation.antialias)) continue;
    const places = Array.from({ length: t.size }, (_, i) => placeOf(c, sampling.coordinates, i, from, t));
    y = rule(c, y, t, from, places, sampling);
  }
  return y;
}

function placeOf(c: EmitContext, mode: string, i: number, from: number, { size, scale }: AxisTarget): number {
  const middle = f32((i + 0.5) / scale);
  switch (mode) {
    case "half_pixel":
      return f32(middle - 0.5);
    case "half_pixel_symmetric": {
      // Added up in doubles there, other than in the modes around it.
      const share = f32(size / f32(from * scale));
      return f32(f32((from / 2) * f32(1 - share)) + (i + 0.5) / scale - 0.5);
    }
    case "pytorch_half_pixel":
      return size > 1 ? f32(middle - 0.5) : 0;
    case "align_corners":
      return size > 1 ? f32((i * (from - 1)) / (size - 1)) : 0;
    case "asymmetric":
      return f32(i / scale);
    case "tf_half_pixel_for_nn":
      return middle;
    default:
      throw new DistillError(
        "E_OP",
        `${c.where}: coordinate_transformation_mode "${mode}" is not supported; use half_pixel, align_corners or asymmetric`,
      );
  }
}

type AxisRule = (
  c: EmitContext,
  x: Value,
  target: AxisTarget,
  from: number,
  places: readonly number[],
  sampling: Sampling,
) => Value;

/** What ONNX Runtime takes for a tie between two neighbours. */
const tie = 1e-6;

const nearestAxis: AxisRule = (c, x, { axis, scale }, from, places, { nearest }) => {
  const round: Readonly<Record<string, (x: number) => number>> = {
    round_prefer_floor: (p) => Math.floor(p) + Number(p - Math.floor(p) - 0.5 >= tie),
    round_prefer_ceil: (p) => Math.floor(p) + Number(p - Math.floor(p) - 0.5 > -tie),
    floor: Math.floor,
    ceil: Math.ceil,
    simple: scale < 1 ? Math.ceil : Math.floor,
  };
  const rule = round[nearest];
  if (!rule) throw new DistillError("E_OP", `${c.where}: nearest_mode "${nearest}" is not known`);
  const indices = places.map((p) => Math.min(Math.max(rule(p), 0), from - 1));
  return pickAlong(c.b, x, axis, indices);
};

const interpolatedAxis: AxisRule = (c, x, { axis, scale }, from, places, { interpolation }) =>
  combineAlong(c.b, x, axis, resizeWeights(places, from, scale, interpolation), places.length);

/** y[…, k, …] = Σᵢ weights[k, i] · x[…, i, …]. */
function combineAlong(b: Builder, x: Value, axis: number, weights: Float64Array, count: number): Value {
  const { dtype, dims } = typeOf(x);
  const from = dims[axis] as number;
  const outer = sizeOf(dims.slice(0, axis));
  const inner = sizeOf(dims.slice(axis + 1));
  const matrix = b.constant(tensor(dtype as NumericDType, weights, [count, from]), "weights");
  const y =
    inner === 1
      ? b.matmulT(b.reshape(x, [outer, from]), false, matrix, true)
      : b.matmul(matrix, b.reshape(x, [outer, from, inner]));
  return b.reshape(y, dims.with(axis, count));
}

/** Moves blocks of channels into blocks of pixels: [N, C·s², H, W] → [N, C, H·s, W·s]. */
const depthToSpace = defineOp({
  op: "DepthToSpace",
  versions: [1, 11, 13, 28],
  composed: true,
  emit: oneOutput(({ b, x, attr, where }) => {
    const [n, channels, h, w] = imageDims(b.dims(x(0)), where);
    const s = attr.int("blocksize");
    const depth = channels / (s * s);
    const columnFirst = attr.string("mode", "DCR") === "CRD";
    const blocks = b.reshape(x(0), columnFirst ? [n, depth, s, s, h, w] : [n, s, s, depth, h, w]);
    const moved = b.transpose(blocks, columnFirst ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]);
    return b.reshape(moved, [n, depth, h * s, w * s]);
  }),
});

/** Moves blocks of pixels into blocks of channels: [N, C, H·s, W·s] → [N, C·s², H, W]. */
const spaceToDepth = defineOp({
  op: "SpaceToDepth",
  versions: [1, 13, 28],
  composed: true,
  emit: oneOutput(({ b, x, attr, where }) => {
    const [n, channels, h, w] = imageDims(b.dims(x(0)), where);
    const s = attr.int("blocksize");
    const blocks = b.reshape(x(0), [n, channels, h / s, s, w / s, s]);
    return b.reshape(b.transpose(blocks, [0, 3, 5, 1, 2, 4]), [n, channels * s * s, h / s, w / s]);
  }),
});

function imageDims(dims: Shape, where: string): [number, number, number, number] {
  if (dims.length === 4) return dims as unknown as [number, number, number, number];
  throw new DistillError("E_SHAPE", `${where}: expected a [N, C, H, W] map, got ${formatShape(dims)}`);
}

export const resamplingOps = [resize, upsample, depthToSpace, spaceToDepth] as const;
