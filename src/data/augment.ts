// Random flips and crops of image batches. What happens to a sample depends on (seed, epoch, sample) alone, never on
// its neighbours in the batch, on the batch size or on threads.
import { checkKeys, DistillError } from "../base/errors.ts";
import { randomFor } from "../base/random.ts";
import { formatShape, type Tensor } from "../base/tensor.ts";

export interface AugmentOptions {
  /** Mirror left to right with probability 1/2. Default false. */
  readonly flip?: boolean;
  /** Pad so many pixels on each side, then cut the old size out at random. Default 0: no crop. */
  readonly crop?: number;
  /**
   * How many versions of a sample there are: epoch e shows version e mod variants, so that what a teacher says of them can be
   * kept. Default: another one in each epoch.
   */
  readonly variants?: number;
}

export interface AugmentKey {
  readonly seed: number;
  readonly epoch: number;
  /** The samples' indices in the data set, `[n]`. */
  readonly samples: ArrayLike<number>;
  /** Value of the padding, one or one per channel; give `DatasetInput.zero`. Default 0. */
  readonly zero?: number | readonly number[] | undefined;
}

/**
 * Flips and crops a float32 batch `[n, C, H, W]`, all channels of a sample alike, into a new tensor. The padding is the
 * value a black pixel has after normalisation, (0 - mean) / std: as if raw images had been padded with 0, which is the
 * usual order (crop, flip, to tensor, normalise). Flip and crop draw separate numbers: switching one on does not change
 * the other. Neither wanted: the batch itself comes back.
 *
 * Not a float32 batch of rank 4, or a crop that could cut the whole image away: E_SHAPE, E_ARGUMENT.
 *
 * @example
 * const { inputs } = await dataset.read(samples);
 * const x = augment(inputs[0], { flip: true, crop: 2 }, { seed, epoch, samples, zero: dataset.inputs[0].zero });
 */
export function augment(batch: Tensor, options: AugmentOptions, key: AugmentKey): Tensor {
  checkKeys("augment", options, ["flip", "crop", "variants"]);
  const { flip = false, crop = 0, variants } = options;
  const [n, channels, height, width] = batch.dims;
  if (!Number.isInteger(crop) || crop < 0)
    throw new DistillError(
      "E_ARGUMENT",
      `augment: crop is ${crop}, expected a whole number of pixels from 0 on`,
    );
  if (variants !== undefined && (!Number.isInteger(variants) || variants < 1))
    throw new DistillError(
      "E_ARGUMENT",
      `augment: variants is ${variants}, expected a whole number from 1 on`,
    );
  if (!flip && crop === 0) return batch;
  if (batch.dtype !== "float32" || batch.dims.length !== 4)
    throw new DistillError(
      "E_SHAPE",
      `augment: flips and crops need float32 images [n, C, H, W], got ${batch.dtype} ${formatShape(batch.dims)}`,
    );
  if (n !== key.samples.length)
    throw new DistillError("E_SHAPE", `augment: ${key.samples.length} sample indices for a batch of ${n}`);
  if (crop >= Math.min(height!, width!))
    throw new DistillError(
      "E_ARGUMENT",
      `augment: a crop of ${crop} may cut a whole ${height} x ${width} image away; choose less than its smaller side`,
    );
  const zero = paddings(key.zero ?? 0, channels!);
  const from = batch.data as Float32Array;
  const out = new Float32Array(from.length);
  const plane = height! * width!;
  const version = variants === undefined ? key.epoch : key.epoch % variants;
  for (let i = 0; i < n; i++) {
    const random = randomFor(key.seed, "augment", version, key.samples[i]!);
    const mirrored = random.nextFloat() < 0.5 && flip;
    const dy = random.nextInt(2 * crop + 1) - crop;
    const dx = random.nextInt(2 * crop + 1) - crop;
    for (let c = 0; c < channels!; c++) {
      const base = (i * channels! + c) * plane;
      for (let y = 0; y < height!; y++) {
        for (let x = 0; x < width!; x++) {
          const sy = y + dy;
          const sx = (mirrored ? width! - 1 - x : x) + dx;
          const inside = sy >= 0 && sy < height! && sx >= 0 && sx < width!;
          out[base + y * width! + x] = inside ? from[base + sy * width! + sx]! : zero[c]!;
        }
      }
    }
  }
  return { dtype: "float32", dims: batch.dims, data: out };
}

function paddings(zero: number | readonly number[], channels: number): readonly number[] {
  if (typeof zero === "number") return new Array<number>(channels).fill(zero);
  if (zero.length === 1) return new Array<number>(channels).fill(zero[0]!);
  if (zero.length !== channels)
    throw new DistillError("E_SHAPE", `augment: ${zero.length} padding values for ${channels} channels`);
  return zero;
}
