import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset, split, subset } from "../../src/data/array-dataset.ts";
import { count, failure } from "./files.ts";

const ten = () =>
  arrayDataset({
    inputs: [
      { name: "a", ...tensor("float32", count(20), [10, 2]) },
      { name: "b", ...tensor("int64", count(10), [10]) },
    ],
    labels: count(10).map((i) => i % 3),
    classNames: ["x", "y", "z"],
  });

describe("arrayDataset", () => {
  it("gathers samples of several inputs, in the order asked for", async () => {
    const dataset = ten();
    expect(dataset).toMatchObject({ length: 10, hasLabels: true, classes: 3, classNames: ["x", "y", "z"] });
    expect(dataset.inputs).toEqual([
      { name: "a", dims: [2], dtype: "float32" },
      { name: "b", dims: [], dtype: "int64" },
    ]);
    expect(await dataset.read(Uint32Array.of(9, 0, 9))).toEqual({
      inputs: [
        { dtype: "float32", dims: [3, 2], data: Float32Array.of(18, 19, 0, 1, 18, 19) },
        { dtype: "int64", dims: [3], data: BigInt64Array.of(9n, 0n, 9n) },
      ],
      labels: Int32Array.of(0, 0, 0),
    });
  });

  it("refuses parts that do not fit, and indices that do not exist", async () => {
    const x = tensor("float32", count(6), [3, 2]);
    expect(await failure(() => arrayDataset({ inputs: [x], labels: [0] }))).toBe(
      "E_DATA: data: 3 samples, but labels has 1; they must belong together, one for one",
    );
    expect(await failure(() => arrayDataset({ inputs: [x, { name: "b", ...tensor("int32", [1]) }] }))).toBe(
      "E_DATA: data: 3 samples, but b has 1; they must belong together, one for one",
    );
    expect(await failure(() => arrayDataset({ inputs: [] }))).toBe(
      "E_DATA: data: no inputs; give at least one tensor [N, ...dims]",
    );
    expect(await failure(() => arrayDataset({ inputs: [{ ...x, dims: [4, 2] }] }))).toBe(
      "E_DATA: data: input 0 is a float32 tensor of shape [4,2] with 6 elements; expected numbers, a shape [N, ...dims] and as many elements as it says",
    );
    expect(await failure(() => arrayDataset({ inputs: [x], labels: [0, 1, 2], classes: 2 }))).toBe(
      "E_DATA: data: sample 2 has label 2, but 2 classes leave only 0 to 1; correct the label or the number of classes",
    );
    const names = { labels: [0, 1, 2], classes: 4, classNames: ["a", "b", "c"] };
    expect(await failure(() => arrayDataset({ inputs: [x], ...names }))).toBe(
      "E_DATA: data: 3 class names for 4 classes; name every class, or none",
    );
    for (const index of [3, -1, 0.5])
      expect(await failure(() => arrayDataset({ inputs: [x], source: "s" }).read([index]))).toBe(
        `E_ARGUMENT: s: there is no sample ${index} among 3`,
      );
  });
});

describe("subset and split", () => {
  const firsts = async (dataset: ReturnType<typeof ten>) => {
    const { inputs, labels } = await dataset.read(count(dataset.length));
    const samples = toNumbers(inputs[1]!.data as BigInt64Array);
    expect([...(labels as Int32Array)]).toEqual(samples.map((i) => i % 3));
    return samples;
  };
  const toNumbers = (data: BigInt64Array) => Array.from(data, Number);

  it("takes the samples named, with their labels", async () => {
    const part = subset(subset(ten(), [9, 1, 4, 2]), [2, 0]);
    expect(part).toMatchObject({ length: 2, hasLabels: true, classes: 3, classNames: ["x", "y", "z"] });
    expect(await firsts(part)).toEqual([4, 9]);
    expect(await failure(() => part.read([2]))).toBe("E_ARGUMENT: subset: there is no sample 2 among 2");
    expect(await failure(() => subset(ten(), [10]))).toBe(
      "E_ARGUMENT: subset: there is no sample 10 among 10",
    );
  });

  it("splits into two parts that share nothing and lose nothing, by the seed", async () => {
    const [train, rest] = split(ten(), 0.7, 1);
    expect([train.length, rest.length]).toEqual([7, 3]);
    const samples = [await firsts(train), await firsts(rest)];
    expect(samples.flat().sort((a, b) => a - b)).toEqual(count(10));
    for (const side of samples) expect(side).toEqual([...side].sort((a, b) => a - b));
    expect(await firsts(split(ten(), 0.7, 1)[1])).toEqual(samples[1]);
    const others = await Promise.all(count(5).map((seed) => firsts(split(ten(), 0.7, seed + 2)[1])));
    expect(new Set(others.map(String)).size).toBeGreaterThan(1);
  });

  it("refuses to leave a side empty", async () => {
    for (const fraction of [0, 1, 0.01, Number.NaN])
      expect(await failure(() => split(ten(), fraction, 1))).toBe(
        `E_ARGUMENT: split: a fraction of ${fraction} leaves one side of 10 samples empty; choose one between 0 and 1`,
      );
  });
});
