import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { type AugmentKey, type AugmentOptions, augment } from "../../src/data/augment.ts";
import { imageDataset } from "../../src/data/image-dataset.ts";
import { count, failure } from "./files.ts";

const [C, H, W] = [2, 3, 4];
const size = C * H * W;
/** Every pixel of every sample has a value of its own. */
const batchOf = (samples: readonly number[]) =>
  tensor(
    "float32",
    samples.flatMap((s) => count(size).map((i) => 1 + s * size + i)),
    [samples.length, C, H, W],
  );
const key = (samples: readonly number[], rest: Partial<AugmentKey> = {}): AugmentKey => ({
  seed: 5,
  epoch: 2,
  samples,
  ...rest,
});
const images = (t: Tensor) =>
  count(t.dims[0]!).map((i) => [...(t.data as Float32Array).subarray(i * size, (i + 1) * size)]);

/** The image that the definition gives: pad with zero, cut out at (dy, dx), then mirror; all channels alike. */
function expected(
  image: number[],
  crop: number,
  dy: number,
  dx: number,
  mirrored: boolean,
  zero: number[],
): number[] {
  return count(size).map((i) => {
    const [c, y, x] = [Math.floor(i / (H * W)), Math.floor(i / W) % H, i % W];
    const sy = y + dy - crop;
    const sx = (mirrored ? W - 1 - x : x) + dx - crop;
    return sy < 0 || sy >= H || sx < 0 || sx >= W ? zero[c]! : image[(c * H + sy) * W + sx]!;
  });
}

/** Which of the possible flips and shifts each sample got. */
function choices(options: AugmentOptions, samples: number[], rest: Partial<AugmentKey> = {}): string[] {
  const batch = batchOf(samples);
  const out = augment(batch, options, key(samples, rest));
  const crop = options.crop ?? 0;
  const zero = [rest.zero ?? 0].flat() as number[];
  return images(out).map((image, i) => {
    for (const mirrored of [false, true])
      for (const dy of count(2 * crop + 1))
        for (const dx of count(2 * crop + 1)) {
          const want = expected(images(batch)[i]!, crop, dy, dx, mirrored, [zero[0]!, zero.at(-1)!]);
          if (want.every((x, at) => x === image[at]))
            return `${mirrored ? "mirrored" : "straight"} ${dy - crop} ${dx - crop}`;
        }
    throw new Error(`sample ${samples[i]} is no crop of its image: ${image}`);
  });
}

describe("augment", () => {
  it("mirrors about half of the samples, whole", () => {
    const found = choices({ flip: true }, count(400));
    const mirrored = found.filter((choice) => choice === "mirrored 0 0").length;
    expect(found.filter((choice) => choice === "straight 0 0").length).toBe(400 - mirrored);
    expect(Math.abs(mirrored - 200)).toBeLessThan(40);
  });

  it("crops at every offset, padding each channel with its own value", () => {
    const found = choices({ crop: 2 }, count(600), { zero: [-0.5, -0.75] });
    expect(new Set(found).size).toBe(25);
    expect(found.some((choice) => choice.startsWith("mirrored"))).toBe(false);
  });

  it("does both at once, without one changing the other", () => {
    const samples = count(100);
    const words = (found: string[]) => found.map((choice) => choice.split(" "));
    const both = words(choices({ flip: true, crop: 1 }, samples));
    const flips = words(choices({ flip: true }, samples));
    const crops = words(choices({ crop: 1 }, samples));
    expect(both.map(([flip]) => flip)).toEqual(flips.map(([flip]) => flip));
    expect(both.map(([, ...offset]) => offset)).toEqual(crops.map(([, ...offset]) => offset));
  });

  it("depends on seed, epoch and sample, not on the batch", () => {
    const options = { flip: true, crop: 1 };
    const whole = choices(options, count(60));
    const order = count(60).reverse();
    expect(choices(options, order).reverse()).toEqual(whole);
    expect(order.map((s) => choices(options, [s])[0]).reverse()).toEqual(whole);
    expect(choices(options, count(60), { epoch: 3 })).not.toEqual(whole);
    expect(choices(options, count(60), { seed: 6 })).not.toEqual(whole);
  });

  it("leaves its input alone, and hands it back when there is nothing to do", () => {
    const batch = batchOf([0, 1]);
    const before = [...(batch.data as Float32Array)];
    augment(batch, { flip: true, crop: 1 }, key([0, 1]));
    expect([...(batch.data as Float32Array)]).toEqual(before);
    expect(augment(batch, {}, key([0, 1]))).toBe(batch);
  });

  it("pads after normalisation as if black had been padded before", async () => {
    const raw = new Array<number>(16).fill(0);
    const dataset = imageDataset({ images: tensor("uint8", raw, [1, 4, 4]), mean: 0.3, std: 0.4 });
    const batch = (await dataset.read([0])).inputs[0]!;
    const out = augment(batch, { crop: 3 }, key([0], { zero: dataset.inputs[0]!.zero }));
    expect(out).toEqual(batch);
  });

  it("refuses what is no image, and crops that leave nothing", async () => {
    const flip = { flip: true };
    const rows = tensor("float32", [1, 2], [1, 2]);
    expect(await failure(() => augment(rows, flip, key([0])))).toBe(
      "E_SHAPE: augment: flips and crops need float32 images [n, C, H, W], got float32 [1,2]",
    );
    expect(await failure(() => augment(batchOf([0]), flip, key([0, 1])))).toBe(
      "E_SHAPE: augment: 2 sample indices for a batch of 1",
    );
    expect(await failure(() => augment(batchOf([0]), { crop: 3 }, key([0])))).toBe(
      "E_ARGUMENT: augment: a crop of 3 may cut a whole 3 x 4 image away; choose less than its smaller side",
    );
    expect(await failure(() => augment(batchOf([0]), { crop: -1 }, key([0])))).toBe(
      "E_ARGUMENT: augment: crop is -1, expected a whole number of pixels from 0 on",
    );
    expect(await failure(() => augment(batchOf([0]), flip, key([0], { zero: [1, 2, 3] })))).toBe(
      "E_SHAPE: augment: 3 padding values for 2 channels",
    );
    expect(await failure(() => augment(batchOf([0]), { flips: true } as object, key([0])))).toBe(
      'E_OPTION: augment: unknown option "flips". Did you mean "flip"?',
    );
  });
});
