// How samples of images are laid before a model: with channels first, as data sets give them, or otherwise, as some models
// take them; and as bytes, where a model scales them itself.
import { newArray, type Tensor } from "../base/tensor.ts";
import type { ValueInfo } from "../base/value-info.ts";
import { type DatasetInput, knownSize, type PixelScaling } from "../data/dataset.ts";

/** `[C, H, W]`, `[H, W, C]` or `[H, W]`. */
export type Placement = PixelScaling["stored"];

/** The sizes of a sample of `[C, H, W]`, laid so. */
const placed: Readonly<Record<Placement, (dims: DatasetInput["dims"]) => DatasetInput["dims"] | undefined>> =
  {
    nchw: (dims) => dims,
    nhwc: ([c, h, w]) => [h as number, w as number, c as number],
    nhw: ([c, h, w]) => (c === 1 ? [h as number, w as number] : undefined),
  };

export function dimsPlaced(given: DatasetInput, as: Placement): DatasetInput["dims"] {
  return placed[as](given.dims) ?? given.dims;
}

/** Whether the model's input holds the bytes of pixels as they are. */
export const takesPixels = (given: DatasetInput, { dtype }: ValueInfo): boolean =>
  given.pixels !== undefined && (dtype === "uint8" || wider.has(dtype));

const wider: ReadonlySet<string> = new Set(["uint16", "uint32", "uint64", "int16", "int32", "int64"]);

/**
 * The first way to lay the samples in which the input takes them; undefined: none. Bytes that are taken as they are come
 * first as they lie in the data, everything else with channels first.
 */
export function placementOf(given: DatasetInput, input: ValueInfo): Placement | undefined {
  const { pixels } = given;
  const fits = (as: Placement): boolean => fitting(placed[as](given.dims), input);
  if (!pixels) return fits("nchw") ? "nchw" : undefined;
  const first = takesPixels(given, input) ? pixels.stored : "nchw";
  return [first, "nchw" as const, "nhwc" as const, "nhw" as const].find(fits);
}

function fitting(dims: DatasetInput["dims"] | undefined, input: ValueInfo): boolean {
  const wanted = input.dims.slice(1);
  return (
    wanted.length === dims?.length &&
    wanted.every((d, k) => typeof d === "string" || d === (knownSize(dims[k]) ?? d))
  );
}

/** A batch `[n, C, H, W]`, laid otherwise. */
export function laid(t: Tensor, as: Placement): Tensor {
  if (as === "nchw") return t;
  const [n, c, h, w] = t.dims as [number, number, number, number];
  const data = t.data as Float32Array;
  if (as === "nhw") return { dtype: t.dtype, dims: [n, h, w], data };
  const out = newArray(t.dtype, data.length) as Float32Array;
  const plane = h * w;
  for (let i = 0; i < n; i++)
    for (let k = 0; k < c; k++)
      for (let p = 0; p < plane; p++) out[(i * plane + p) * c + k] = data[(i * c + k) * plane + p] as number;
  return { dtype: t.dtype, dims: [n, h, w, c], data: out };
}

/** The bytes that became a batch `[n, C, H, W]` of scaled images: 255 · (x · std + mean). */
export function toBytes(t: Tensor, { mean, std }: PixelScaling): Tensor {
  const [n, c, h, w] = t.dims as [number, number, number, number];
  const from = t.data as Float32Array;
  const data = new Uint8Array(from.length);
  const plane = h * w;
  for (let at = 0, i = 0; i < n * c; i++) {
    const [m, s] = [mean[i % c] as number, std[i % c] as number];
    for (const end = at + plane; at < end; at++) data[at] = Math.round(255 * ((from[at] as number) * s + m));
  }
  return { dtype: "uint8", dims: t.dims, data };
}
