import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { imageDataset } from "../../src/data/image-dataset.ts";
import { count, failure } from "./files.ts";

const bytes = (dims: number[]) => tensor("uint8", count(dims.reduce((a, b) => a * b)), dims);
const read = async (dataset: ReturnType<typeof imageDataset>, indices: number[]) =>
  (await dataset.read(indices)).inputs[0]!;

describe("imageDataset", () => {
  it("scales, normalises and gives grey images a channel", async () => {
    const dataset = imageDataset({ images: bytes([3, 2, 2]), mean: 0.2, std: 0.4, name: "x" });
    expect(dataset.inputs).toEqual([
      {
        name: "x",
        dims: [1, 2, 2],
        dtype: "float32",
        zero: [Math.fround(-0.2 / 0.4)],
        pixels: { mean: [0.2], std: [0.4], stored: "nhw" },
      },
    ]);
    const batch = await read(dataset, [2, 0]);
    expect(batch.dims).toEqual([2, 1, 2, 2]);
    expect(batch.data).toEqual(Float32Array.from([8, 9, 10, 11, 0, 1, 2, 3], (x) => (x / 255 - 0.2) / 0.4));
  });

  it("turns [N, H, W, 3] and keeps [N, 3, H, W], with a mean and std per channel", async () => {
    const mean = [0.1, 0.2, 0.3];
    const std = [1, 2, 4];
    const last = imageDataset({ images: bytes([2, 2, 2, 3]), mean, std });
    const first = imageDataset({ images: bytes([2, 3, 2, 2]), mean, std });
    const expected = (value: (c: number, p: number) => number) =>
      Float32Array.from(count(12), (i) => {
        const [c, p] = [Math.floor(i / 4), i % 4];
        return (value(c, p) / 255 - mean[c]!) / std[c]!;
      });
    expect(await read(last, [1])).toEqual({
      dtype: "float32",
      dims: [1, 3, 2, 2],
      data: expected((c, p) => 12 + p * 3 + c),
    });
    expect(await read(first, [1])).toEqual({
      dtype: "float32",
      dims: [1, 3, 2, 2],
      data: expected((c, p) => 12 + c * 4 + p),
    });
    expect(last.inputs[0]!.zero).toEqual([-0.1, -0.1, -0.075].map(Math.fround));
  });

  it.each<[number[], "auto" | "nchw" | "nhwc" | "nhw" | "as-is", number[]]>([
    [[2, 4, 5, 1], "auto", [1, 4, 5]],
    [[2, 4, 5, 6], "auto", [4, 5, 6]],
    [[2, 1, 5, 6], "auto", [1, 5, 6]],
    [[2, 7], "auto", [7]],
    [[2, 3, 5, 3], "nhwc", [3, 3, 5]],
    [[2, 3, 5, 3], "nchw", [3, 5, 3]],
    [[2, 4, 5, 4], "nhwc", [4, 4, 5]],
    [[2, 4, 5], "as-is", [4, 5]],
  ])("takes bytes %j, layout %s, as samples %j", async (dims, layout, sample) => {
    const dataset = imageDataset({ images: bytes(dims), layout });
    expect(dataset.inputs[0]!.dims).toEqual(sample);
    const batch = await read(dataset, [0, 1]);
    expect(batch.dims).toEqual([2, ...sample]);
    const sorted = Float32Array.from(batch.data as Float32Array).sort();
    expect(sorted).toEqual(Float32Array.from(count(sorted.length), (x) => x / 255));
  });

  it("leaves the scale and the shape of floats alone", async () => {
    const images = tensor("float32", [1, 2, 3, 4, 5, 6], [1, 2, 3]);
    const batch = await read(imageDataset({ images, mean: 1, std: 2 }), [0]);
    expect(batch).toEqual({
      dtype: "float32",
      dims: [1, 2, 3],
      data: Float32Array.of(0, 0.5, 1, 1.5, 2, 2.5),
    });
  });

  it("refuses what it would have to guess, and numbers that are none", async () => {
    const at = (options: object) => failure(() => imageDataset({ images: bytes([2, 4, 5, 3]), ...options }));
    expect(await at({ images: bytes([2, 3, 4, 3]) })).toBe(
      'E_DATA: images: shape [2,3,4,3] may have its channels first or last; say layout "nchw" or "nhwc"',
    );
    expect(await at({ layout: "nhw" })).toBe(
      'E_DATA: images: layout "nhw" needs an array of rank 3, got [2,4,5,3]',
    );
    expect(await at({ layout: "hwc" })).toBe(
      'E_OPTION: images: unknown layout "hwc"; expected auto, nchw, nhwc, nhw, as-is',
    );
    expect(await at({ mean: [0, 1] })).toBe(
      "E_ARGUMENT: images: mean is [0,1], expected one finite number, or 3: one per channel",
    );
    expect(await at({ std: 0 })).toBe("E_ARGUMENT: images: std is 0, expected numbers other than 0");
    expect(await at({ images: tensor("float32", [1, 2, Number.NaN, 4], [2, 2]), source: "f.npz" })).toBe(
      "E_NOT_FINITE: f.npz: sample 1 holds NaN; drop or repair such samples before training",
    );
    expect(await at({ images: tensor("int64", [1]) })).toBe(
      "E_DATA: images: int64 can't be scaled; use arrayDataset, or save the images as uint8 or float32",
    );
    expect(await failure(() => imageDataset({ images: bytes([2, 2, 2]) }).read([2]))).toBe(
      "E_ARGUMENT: images: there is no sample 2 among 2",
    );
  });
});
