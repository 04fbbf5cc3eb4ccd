// Images (or any numeric [N, ...] array) in memory as they came, uint8 mostly; scaled, normalised and put into
// [n, C, H, W] order only when a batch is read, so 60,000 images of 28 x 28 take 47 MB and not 188.
import { checkKeys, DistillError } from "../base/errors.ts";
import { formatShape, type Shape, sizeOf, type Tensor } from "../base/tensor.ts";
import { aboutLabels, checkLength, gatherLabels } from "./array-dataset.ts";
import { checkIndices, type Dataset, type PixelScaling } from "./dataset.ts";
import { type ClassOptions, readLabels } from "./labels.ts";

export interface ScalingOptions {
  /** Subtracted after scaling; one number, or one per channel. Default 0. */
  readonly mean?: number | readonly number[];
  /** Divided by after that; one number, or one per channel; not 0. Default 1. */
  readonly std?: number | readonly number[];
  /**
   * How samples lie in the array. "nchw": `[N, C, H, W]`; "nhwc": `[N, H, W, C]`, turned; "nhw": `[N, H, W]`, given one
   * channel; "as-is": any `[N, ...]`, unchanged. Default "auto": uint8 arrays of rank 3 are "nhw", those of rank 4 are
   * "nhwc" if the last dimension is 1 or 3 and otherwise "nchw"; everything else is "as-is".
   */
  readonly layout?: Layout | "auto";
}
export type Layout = "nchw" | "nhwc" | "nhw" | "as-is";

export interface ImageDatasetOptions extends ScalingOptions, ClassOptions {
  /** `[N, ...]`, not int64. */
  readonly images: Tensor;
  /** `[N]` or `[N, 1]` class indices, of any numeric type; or `[N, ...]`, given to the task as it is. */
  readonly labels?: Tensor;
  /** The model input to feed. */
  readonly name?: string;
  /** Stands in messages; default "images". */
  readonly source?: string;
}

/**
 * A data set of images that yields float32 batches: y = (x/255 - mean) / std for uint8, y = (x - mean) / std for other
 * types, computed in float64 and rounded once. The channel of `mean` and `std` is the first dimension of a sample.
 * Lengths that differ, labels out of range, NaN: E_DATA.
 *
 * @example
 * const dataset = imageDataset({ images, labels, mean: 0.286, std: 0.353 });
 */
export function imageDataset(options: ImageDatasetOptions): Dataset {
  checkKeys("imageDataset", options, [
    "images",
    "labels",
    "name",
    "source",
    "mean",
    "std",
    "layout",
    "classes",
    "classNames",
  ]);
  const { images, name, source = "images" } = options;
  const raw = images.data;
  if (raw instanceof BigInt64Array || raw instanceof BigUint64Array || images.dtype === "string")
    throw new DistillError(
      "E_DATA",
      `${source}: ${images.dtype} can't be scaled; use arrayDataset, or save the images as uint8 or float32`,
    );
  const data = raw as Exclude<typeof raw, readonly string[] | BigInt64Array | BigUint64Array>;
  const length = images.dims[0] ?? 0;
  if (images.dims.length === 0 || data.length !== sizeOf(images.dims))
    throw new DistillError(
      "E_DATA",
      `${source}: ${data.length} elements of shape ${formatShape(images.dims)}, expected [N, ...]`,
    );
  const { dims, channelsLast, stored } = layoutOf(images, options.layout ?? "auto", source);
  const perChannel = channelsLast || typeof options.mean === "object" || typeof options.std === "object";
  const channels = perChannel ? (dims[0] ?? 1) : 1;
  const mean = spread(options.mean ?? 0, channels, "mean", source);
  const std = spread(options.std ?? 1, channels, "std", source);
  if (std.includes(0))
    throw new DistillError("E_ARGUMENT", `${source}: std is 0, expected numbers other than 0`);
  const bytes = images.dtype === "uint8";
  const scaled = (x: number, c: number) => ((bytes ? x / 255 : x) - mean[c]!) / std[c]!;
  const table = bytes && Float32Array.from({ length: 256 * channels }, (_, i) => scaled(i & 255, i >> 8));
  if (images.dtype.startsWith("float")) checkNumbers(data, length, source);

  if (options.labels) checkLength(options.labels.dims[0] ?? 0, length, "the array of labels", source);
  const known = options.labels && readLabels(options.labels, options, source);
  const size = sizeOf(dims);
  const plane = size / channels;
  const step = channelsLast ? channels : 1;
  const spreadTo = (values: readonly number[]) =>
    Array.from({ length: dims[0] as number }, (_, c) => values[c] ?? values[0]!);
  const pixels =
    bytes && dims.length === 3 ? { mean: spreadTo(mean), std: spreadTo(std), stored } : undefined;
  const zero = Array.from({ length: channels }, (_, c) => Math.fround(scaled(0, c)));
  return {
    length,
    inputs: [
      { ...(name !== undefined && { name }), dims, dtype: "float32", zero, ...(pixels && { pixels }) },
    ],
    ...aboutLabels(known),
    read(indices) {
      checkIndices(indices, length, source);
      const out = new Float32Array(indices.length * size);
      let to = 0;
      for (let i = 0; i < indices.length; i++) {
        for (let c = 0; c < channels; c++) {
          let from = indices[i]! * size + (channelsLast ? c : c * plane);
          for (let p = 0; p < plane; p++, from += step)
            out[to++] = table ? table[(c << 8) | data[from]!]! : scaled(data[from]!, c);
        }
      }
      return {
        inputs: [{ dtype: "float32", dims: [indices.length, ...dims], data: out }],
        ...(known && { labels: gatherLabels(known.labels, indices) }),
      };
    },
  };
}

const ranks: Readonly<Record<Layout, number | undefined>> = { nchw: 4, nhwc: 4, nhw: 3, "as-is": undefined };

/** Shape of one sample as the model sees it, and whether its channels lie last in memory. */
function layoutOf(
  { dims, dtype }: Tensor,
  wanted: Layout | "auto",
  source: string,
): { dims: Shape; channelsLast: boolean; stored: PixelScaling["stored"] } {
  if (wanted !== "auto" && !Object.hasOwn(ranks, wanted))
    throw new DistillError(
      "E_OPTION",
      `${source}: unknown layout "${wanted}"; expected auto, ${Object.keys(ranks).join(", ")}`,
    );
  const layout = wanted === "auto" ? guessLayout(dims, dtype, source) : wanted;
  const [n, a, b, c] = dims;
  const rank = ranks[layout];
  if (rank !== undefined && rank !== dims.length)
    throw new DistillError(
      "E_DATA",
      `${source}: layout "${layout}" needs an array of rank ${rank}, got ${formatShape(dims)}`,
    );
  if (layout === "nhw") return { dims: [1, a!, b!], channelsLast: false, stored: "nhw" };
  if (layout === "nhwc") return { dims: [c!, a!, b!], channelsLast: c !== 1, stored: "nhwc" };
  return { dims: dims.slice(n === undefined ? 0 : 1), channelsLast: false, stored: "nchw" };
}

function guessLayout(dims: Shape, dtype: Tensor["dtype"], source: string): Layout {
  if (dtype !== "uint8") return "as-is";
  if (dims.length === 3) return "nhw";
  if (dims.length !== 4) return "as-is";
  const like = (d: number) => d === 1 || d === 3;
  if (like(dims[3]!) && like(dims[1]!))
    throw new DistillError(
      "E_DATA",
      `${source}: shape ${formatShape(dims)} may have its channels first or last; say layout "nchw" or "nhwc"`,
    );
  return like(dims[3]!) ? "nhwc" : "nchw";
}

function spread(
  value: number | readonly number[],
  channels: number,
  what: string,
  source: string,
): readonly number[] {
  const values = typeof value === "number" ? new Array<number>(channels).fill(value) : value;
  if (values.length !== channels || !values.every(Number.isFinite))
    throw new DistillError(
      "E_ARGUMENT",
      `${source}: ${what} is ${JSON.stringify(value)}, expected one finite number, or ${channels}: one per channel`,
    );
  return values;
}

function checkNumbers(data: ArrayLike<number>, length: number, source: string): void {
  for (let i = 0; i < data.length; i++) {
    if (Number.isFinite(data[i])) continue;
    const sample = Math.floor(i / (data.length / length));
    throw new DistillError(
      "E_NOT_FINITE",
      `${source}: sample ${sample} holds ${data[i]}; drop or repair such samples before training`,
    );
  }
}
