import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { npzNames, readNpz } from "../../src/data/npz.ts";
import { npzDataset } from "../../src/data/npz-dataset.ts";
import { count, failure, npzFile } from "./files.ts";

const fixture = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../fixtures/npz/${name}.npz`, import.meta.url)));

describe("readNpz", () => {
  const types = fixture("types");

  it("lists the names", () => {
    expect(npzNames(types, "t")).toEqual([
      "u1",
      "i8",
      "f2",
      "f4",
      "f8",
      "b1",
      "scalar",
      "fortran",
      "big",
      "complex",
      "text",
    ]);
  });

  it("reads every kind of number that NumPy wrote", () => {
    const arrays = Object.fromEntries(
      readNpz(types, "t", ["u1", "i8", "f2", "f4", "f8", "b1", "scalar", "fortran"]),
    );
    const grid = count(24);
    expect(arrays).toEqual({
      u1: { dtype: "uint8", dims: [2, 3, 4], data: Uint8Array.from(grid) },
      i8: { dtype: "int64", dims: [2], data: BigInt64Array.of(-(2n ** 53n) - 1n, 7n) },
      f2: { dtype: "float32", dims: [3], data: Float32Array.of(0.5, -2, 65504) },
      f4: { dtype: "float32", dims: [2, 3, 4], data: Float32Array.from(grid, (x) => x / 4) },
      f8: { dtype: "float64", dims: [1], data: Float64Array.of(1 / 3) },
      b1: { dtype: "bool", dims: [2], data: Uint8Array.of(1, 0) },
      scalar: { dtype: "float32", dims: [], data: Float32Array.of(2.5) },
      fortran: { dtype: "int32", dims: [2, 3, 4], data: Int32Array.from(grid) },
    });
  });

  it("refuses what it can't read, and only if asked for it", async () => {
    expect(await failure(() => readNpz(types, "t", ["big"]))).toBe(
      'E_FILE: t: array "big" can\'t be read (Unsupported dtype: >f4); save it as a little-endian array of numbers',
    );
    expect(await failure(() => readNpz(types, "t", ["complex"]))).toBe(
      'E_FILE: t: array "complex" holds elements of NumPy type "c16", expected numbers',
    );
    expect(await failure(() => readNpz(types, "t", ["text"]))).toBe(
      'E_FILE: t: array "text" holds elements of NumPy type "U1", expected numbers',
    );
  });

  it("refuses an archive that is cut short, and an array shorter than its header says", async () => {
    const cut = types.subarray(0, 900);
    expect(await failure(() => readNpz(cut, "t"))).toBe(
      "E_FILE: t: not an .npz file, or cut short or damaged (900 bytes); save it again with numpy.savez",
    );
    const wrong = npzFile({ x: [Uint8Array.from(count(5)), [2, 3]] });
    expect(await failure(() => readNpz(wrong, "t"))).toBe(
      'E_FILE: t: array "x" holds 5 elements, but its header promises [2,3]; save it again',
    );
  });
});

describe("npzDataset", () => {
  const parts = fixture("split");

  it("reads the part asked for, compressed or not", async () => {
    const train = npzDataset(parts, {});
    expect(train).toMatchObject({ length: 5, classes: 3, hasLabels: true });
    expect(train.inputs[0]!.dims).toEqual([1, 2, 2]);
    expect([...((await train.read([0, 3])).labels as Int32Array)]).toEqual([0, 1]);
    const test = npzDataset(parts, { split: "test", mean: 0.5, std: 0.5 });
    const batch = await test.read([0, 1, 2]);
    expect([...(batch.labels as Int32Array)]).toEqual([2, 1, 0]);
    expect(new Set(batch.inputs[0]!.data as Float32Array)).toEqual(new Set([1]));
  });

  it("reads archives without parts, in capitals, without labels", async () => {
    const both = npzFile({ X: [Float32Array.of(1, 2, 3, 4), [2, 2]], Y: [[1, 0], [2]] });
    const dataset = npzDataset(both);
    expect(dataset.inputs[0]!.dims).toEqual([2]);
    expect([...((await dataset.read([1])).labels as Int32Array)]).toEqual([0]);
    expect(npzDataset(npzFile({ images: [Uint8Array.from(count(8)), [2, 2, 2]] })).hasLabels).toBe(false);
  });

  it("passes 64-bit integers on, unscaled", async () => {
    const tokens = npzFile({ x: [BigInt64Array.of(5n, 6n), [2, 1]], y: [[0, 1], [2]] });
    const batch = await npzDataset(tokens).read([1]);
    expect(batch.inputs[0]).toEqual({ dtype: "int64", dims: [1, 1], data: BigInt64Array.of(6n) });
    expect(await failure(() => npzDataset(tokens, { std: 2 }))).toBe(
      'E_OPTION: npz: "x" is int64 and can\'t be scaled; drop mean, std and layout, or save it as uint8 or float32',
    );
  });

  it.each([
    [["data", "target"], undefined],
    [["Data", "Labels"], undefined],
    [["images", "target"], undefined],
    [["arr_0", "arr_1"], undefined],
    [["data", "target", "target_names", "feature_names", "DESCR"], undefined],
    [["X_train", "Y_train", "X_val", "Y_val"], "train"],
    [["trainX", "trainY", "testX"], "train"],
    [["train_x", "train_y"], "train"],
    [["xtest", "ytest", "xtrain", "ytrain"], "test"],
    [["data_train", "target_train"], "train"],
    [["test_data", "test_labels"], "test"],
    [["training_images", "training_labels"], "train"],
    [["images_test", "targets_test", "images_train"], "test"],
  ] as const)("knows what %s are", async (names, split) => {
    const [x, y, ...more] = names;
    const data = npzDataset(
      npzFile({
        ...Object.fromEntries(more.map((name) => [name, [[7], [1]]])),
        [x]: [Float32Array.of(1, 2, 3, 4), [2, 2]],
        [y]: [[1, 0], [2]],
      }),
      split && { split },
    );
    expect(data.inputs).toHaveLength(1);
    expect(data.inputs[0]!.name).toBe(undefined);
    expect([...((await data.read([0, 1])).labels as Int32Array)]).toEqual([1, 0]);
  });

  it("leaves names as usual to inputs where others stand beside them", () => {
    const two = { data: [Float32Array.of(1, 2), [2, 1]], mask: [Float32Array.of(1, 1), [2, 1]] } as const;
    const arrays = { ...two, y: [[1, 0], [2]] } as unknown as Parameters<typeof npzFile>[0];
    expect(npzDataset(npzFile(arrays)).inputs.map((i) => i.name)).toEqual(["data", "mask"]);
    const texts = {
      source: [
        [1, 2],
        [2, 1],
      ],
      target: [
        [1, 2],
        [2, 1],
      ],
      y: [[1, 0], [2]],
    } as unknown as typeof arrays;
    expect(npzDataset(npzFile(texts)).inputs.map((i) => i.name)).toEqual(["source", "target"]);
  });

  it("tells which arrays there are where none is taken for labels", async () => {
    const lacking = npzDataset(
      npzFile({
        x: [
          [1, 2],
          [2, 1],
        ],
        lab: [[1, 0], [2]],
      }),
      { source: "d.npz" },
    );
    expect(lacking).toMatchObject({
      hasLabels: false,
      unlabelled: 'd.npz holds "x", "lab", and none of them is taken for labels ("y", "labels" and the like)',
    });
    const part = npzDataset(npzFile({ x_train: [[1], [1]] }), { source: "d.npz", split: "train" });
    expect(part.unlabelled).toBe(
      'd.npz holds "x_train", and none of them is taken for labels ("y_train", "train_labels" and the like)',
    );
    expect(npzDataset(npzFile({ x: [[1], [1]], y: [[1], [1]] })).unlabelled).toBe(undefined);
  });

  it("says what it looked for", async () => {
    const other = npzFile({ features_test: [[1], [1]], y: [[1], [1]] });
    expect(await failure(() => npzDataset(other, { source: "o.npz" }))).toBe(
      'E_DATA: o.npz: no training samples: looked for "x_train" and "y_train", or "train_images" and "train_labels", or ' +
        '"x" and "y", or "images" and "labels", or "<input>_train" for each input of the model; found "features_test", "y"',
    );
    const whole = npzFile({ x: [[1], [1]], y: [[0], [1]] });
    expect(await failure(() => npzDataset(whole, { source: "w.npz", split: "test" }))).toBe(
      'E_DATA: w.npz: no test samples: looked for "x_test" and "y_test", or "test_images" and "test_labels", or "<input>_test" for each input of the model; found "x", "y"',
    );
  });

  it("reads an input for each array that is named for one", async () => {
    const texts = npzFile({
      input_ids_train: [BigInt64Array.of(1n, 2n, 3n, 4n), [2, 2]],
      Attention_mask_TRAIN: [Int32Array.of(1, 1, 1, 0), [2, 2]],
      weight_train: [Float64Array.of(0.5, 2), [2]],
      input_ids_test: [BigInt64Array.of(9n, 9n), [1, 2]],
      y_train: [[1, 0], [2]],
    });
    const dataset = npzDataset(texts);
    expect(dataset.inputs).toEqual([
      { name: "input_ids", dims: [2], dtype: "int64" },
      { name: "Attention_mask", dims: [2], dtype: "int32" },
      { name: "weight", dims: [], dtype: "float32" },
    ]);
    const { inputs, labels } = await dataset.read([1]);
    expect(inputs.map((t) => Array.from(t.data as ArrayLike<number | bigint>, Number))).toEqual([
      [3, 4],
      [1, 0],
      [2],
    ]);
    expect(labels).toEqual(Int32Array.of(0));
    expect(npzDataset(texts, { split: "test" })).toMatchObject({ length: 1, hasLabels: false });
    expect(await failure(() => npzDataset(texts, { mean: 1 }))).toBe(
      'E_OPTION: npz: "input_ids_train" is int64 and can\'t be scaled; drop mean, std and layout, or save it as uint8 or float32',
    );
  });

  it("reads bare names where there are no parts, scales images and leaves masks", async () => {
    const masked = npzFile({
      image: [Uint8Array.of(0, 255, 255, 0), [1, 2, 2]],
      mask: [Uint8Array.of(1, 0), [1, 2]],
      labels: [[1], [1]],
    });
    const dataset = npzDataset(masked, { mean: 0.5, std: 0.5 });
    const { inputs } = await dataset.read([0]);
    expect(inputs.map((t) => [t.dtype, t.dims, [...(t.data as Float32Array)]])).toEqual([
      ["float32", [1, 1, 2, 2], [-1, 1, 1, -1]],
      ["uint8", [1, 2], [1, 0]],
    ]);
    expect(dataset.inputs.map((i) => i.name)).toEqual(["image", "mask"]);
  });

  it("refuses inputs of different lengths", async () => {
    const odd = npzFile({ a_train: [[1, 2], [2]], b_train: [[1], [1]], y_train: [[1, 0], [2]] });
    expect(await failure(() => npzDataset(odd))).toBe(
      "E_DATA: npz: 2 samples, but b has 1; they must belong together, one for one",
    );
  });

  const labelled = (y: Parameters<typeof npzFile>[0][string][0], shape: number[]) =>
    npzFile({ x: [Float32Array.of(1, 2), [2, 1]], y: [y, shape] });

  it("keeps labels that are no class indices as they are, with or without a number of classes", async () => {
    const read = async (y: Parameters<typeof labelled>[0], shape: number[], options = {}) => {
      const dataset = npzDataset(labelled(y, shape), options);
      expect((await dataset.read([1])).labels).toEqual(await dataset.readLabels!([1]));
      return { classes: dataset.classes, labels: await dataset.readLabels!([1, 0]) };
    };
    expect(await read(Float32Array.of(0, 0.5), [2])).toEqual({
      classes: undefined,
      labels: { dtype: "float32", dims: [2], data: Float32Array.of(0.5, 0) },
    });
    expect(await read(BigInt64Array.of(0n, -1n), [2])).toEqual({
      classes: undefined,
      labels: { dtype: "int32", dims: [2], data: Int32Array.of(-1, 0) },
    });
    expect(await read(BigInt64Array.of(1n, -100n, 2n, 3n), [2, 2], { classes: 7 })).toEqual({
      classes: 7,
      labels: { dtype: "int32", dims: [2, 2], data: Int32Array.of(2, 3, 1, -100) },
    });
    expect(await read(Float64Array.of(1, 2, 3, 4), [2, 1, 2])).toEqual({
      classes: undefined,
      labels: { dtype: "float32", dims: [2, 1, 2], data: Float32Array.of(3, 4, 1, 2) },
    });
  });

  it("refuses labels that cannot be what they are said to be", async () => {
    expect(await failure(() => npzDataset(labelled([0, 0.5], [2]), { classes: 3 }))).toBe(
      "E_DATA: npz: sample 1 has label 0.5; labels are class indices: whole numbers from 0 on",
    );
    expect(await failure(() => npzDataset(labelled([0, -1], [2]), { classNames: ["a"] }))).toBe(
      "E_DATA: npz: sample 1 has label -1; labels are class indices: whole numbers from 0 on",
    );
    expect(await failure(() => npzDataset(labelled([0, 1, Number.NaN, 3], [2, 2])))).toBe(
      "E_NOT_FINITE: npz: sample 1 has label NaN; drop or repair such samples before training",
    );
    expect(await failure(() => npzDataset(labelled(BigInt64Array.of(0n, 1n, 2n, 2n ** 40n), [2, 2])))).toBe(
      "E_DATA: npz: sample 1 has label 1099511627776; labels are kept as 32-bit whole numbers",
    );
  });
});
