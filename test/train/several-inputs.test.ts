// Models with more than one input: which array of a data set feeds which, and a run in which teacher and student take different ones.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { npzDataset } from "../../src/data/npz-dataset.ts";
import { Graph, int, ints } from "../../src/graph/graph.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { feederFor } from "../../src/train/feeds.ts";
import { randomTensor } from "../compile/compile-model.ts";
import { npzFile } from "../data/files.ts";
import { testRandom } from "../gradient-checker.ts";
import { collect, only } from "./helpers.ts";

const model = (
  ...inputs: [string, "float32" | "int64" | "int32" | "bool" | "float64", (number | string)[]][]
) => ({
  source: "m.onnx",
  inputs: inputs.map(([name, dtype, dims]) => ({ name, dtype, dims })),
});
type Named = Tensor & { name?: string };
const input = (dtype: Tensor["dtype"], dims: number[], name?: string): Named => ({
  ...tensor(dtype as "float32", new Float32Array(dims.reduce((a, b) => a * b)).fill(1), dims),
  ...(name !== undefined && { name }),
});
const feed = (m: ReturnType<typeof model>, ...inputs: Named[]) => {
  const dataset = arrayDataset({ inputs });
  return feederFor(m, dataset)(inputs);
};

describe("which input of a data set feeds which of a model", () => {
  const two = model(["ids", "int64", ["n", 3]], ["mask", "int64", ["n", 3]]);

  it("is told by its name, whatever the order; what is not taken is passed over", () => {
    const [mask, ids, more] = [
      input("int64", [2, 3], "mask"),
      input("int64", [2, 3], "ids"),
      input("float32", [2, 9], "more"),
    ];
    expect(feed(two, mask, more, ids)).toEqual({ ids, mask });
    expect(feed(model(["mask", "int64", ["n", 3]]), mask, ids)).toEqual({ mask });
  });

  it("is told by the order of what has no name, and by what is left on both sides", () => {
    const [a, b] = [input("int64", [2, 3]), input("int64", [2, 3])];
    const fed = feed(two, a, b);
    expect(fed.ids).toBe(a);
    expect(fed.mask).toBe(b);
    const [mask, other] = [input("int64", [2, 3], "mask"), input("int64", [2, 3], "tokens")];
    expect(feed(two, mask, other).ids).toBe(other);
  });

  it("is an error where something is not fed, with what it could be", () => {
    expect(() =>
      feed(
        model(["input_ids", "int64", ["n", 3]], ["attention_mask", "int64", ["n", 3]]),
        input("int64", [2, 3], "input_ids"),
      ),
    ).toThrow(
      'm.onnx: nothing in the data set feeds input "attention_mask", int64 [n,3]; it has input_ids. Add an array of that name (all ones, where no sample is padded)',
    );
    expect(() => feed(two, input("int64", [2, 3], "a"), input("int64", [2, 3], "b"))).toThrow(
      'm.onnx: nothing in the data set feeds input "ids", int64 [n,3]; it has a, b. Add an array of that name',
    );
    expect(() =>
      feed(model(["x", "int64", ["n", 3]]), input("int64", [2, 3]), input("int64", [2, 3])),
    ).toThrow("m.onnx takes 1 inputs (x), the data set has 2");
  });

  it("converts whole numbers to what the model takes, and says where they do not fit", () => {
    const fed = feed(
      model(["a", "int64", ["n", 1]], ["b", "bool", ["n", 1]], ["c", "float32", ["n", 1]]),
      input("int32", [2, 1], "a"),
      input("int64", [2, 1], "b"),
      input("int64", [2, 1], "c"),
    );
    expect(fed.a).toEqual({ dtype: "int64", dims: [2, 1], data: BigInt64Array.of(1n, 1n) });
    expect(fed.b).toEqual({ dtype: "bool", dims: [2, 1], data: Uint8Array.of(1, 1) });
    expect(fed.c).toEqual({ dtype: "float32", dims: [2, 1], data: Float32Array.of(1, 1) });
    const large = { ...tensor("int64", [1]), data: BigInt64Array.of(2n ** 40n), name: "a" };
    expect(() => feed(model(["a", "int32", ["n"]]), large)).toThrow(
      'm.onnx: input "a" takes int32, which does not hold 1099511627776; save the data as int32',
    );
    expect(() => feed(model(["a", "float32", ["n"]]), input("uint8", [2], "a"))).toThrow(
      'm.onnx: input "a" takes float32 [n], the data set gives uint8 samples of []',
    );
  });
});

/** Mean of the embeddings of the tokens, where the mask says so, and a linear classifier; without a mask, of all tokens. */
function bagOfTokens(width: number, seed: number, masked: boolean): Model {
  const graph = new Graph(masked ? "student" : "teacher", [["", 17]]);
  const ids = graph.addInput("input_ids");
  const mask = masked ? graph.addInput("attention_mask") : undefined;
  const constant = (name: string, t: Tensor) => graph.addConstant(name, t);
  const step = (
    op: string,
    inputs: Parameters<Graph["addNode"]>[0]["inputs"],
    output: string,
    attributes = {},
  ) => graph.addNode({ op, name: `/${output}`, inputs, outputs: [output], attributes }).outputs[0];
  let tokens = step("Gather", [constant("embedding", randomTensor(seed, [12, width])), ids], "embedded");
  if (mask) {
    const float = step("Cast", [mask], "mask_float", { to: int(1) });
    tokens = step(
      "Mul",
      [tokens, step("Unsqueeze", [float, constant("last", tensor("int64", [-1]))], "column")],
      "kept",
    );
  }
  const mean = step("ReduceMean", [tokens], "mean", { axes: ints([1]), keepdims: int(0) });
  graph.addOutput(step("MatMul", [mean, constant("head", randomTensor(seed + 1, [width, 3]))], "logits")!);
  const declared = [
    { name: "input_ids", dtype: "int64" as const, dims: ["batch", 6] },
    ...(mask ? [{ name: "attention_mask", dtype: "int64" as const, dims: ["batch", 6] }] : []),
  ];
  return readModel(writeGraph(graph, { declared }), { source: `${graph.name}.onnx` });
}

describe("token ids and attention masks from one .npz file", () => {
  const random = testRandom(1);
  const n = 128;
  const ids = Int32Array.from({ length: n * 6 }, () => Math.floor(random() * 12));
  const labels = Array.from({ length: n }, (_, i) => (ids[i * 6] as number) % 3);
  // The class is told by the first two tokens; the rest are noise, which the mask hides.
  const mask = Int32Array.from({ length: n * 6 }, (_, i) => Number(i % 6 < 2));
  for (let i = 0; i < n; i++) ids[i * 6 + 1] = ids[i * 6] as number;
  const data = npzDataset(
    npzFile({ input_ids_train: [ids, [n, 6]], attention_mask_train: [mask, [n, 6]], y_train: [labels, [n]] }),
  );

  it("teach by the ids alone and learn by both", async () => {
    const events = await collect({
      student: bagOfTokens(4, 1, true),
      teacher: modelBytes(bagOfTokens(8, 3, false)),
      data,
      evaluation: data,
      batch: 32,
      epochs: 12,
      learningRate: 0.02,
      optimizer: { name: "adamw" },
    });
    const steps = only(events, "step");
    expect(steps.at(-1)!.losses.loss).toBeLessThan(0.9 * steps[0]!.losses.loss!);
    const alone = await collect({
      student: bagOfTokens(4, 1, true),
      data,
      evaluation: data,
      batch: 32,
      epochs: 12,
      learningRate: 0.05,
      optimizer: { name: "adamw" },
    });
    // By the mask the first two tokens can be told from the noise.
    expect(only(alone, "done")[0]!.metrics.top1).toBeGreaterThan(0.95);
  });
});
