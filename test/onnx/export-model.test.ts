import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { beforeAll, describe, expect, it } from "vitest";
import { type Tensor, tensor, toNumbers } from "../../src/base/tensor.ts";
import { addAllOutputs, modelBytes, withOutputs, withWeights } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import type { ExternalFile, Tensors } from "../../src/runtime/session.ts";
import { fixtureBytes, fixturePath, torchFacts } from "../fixtures/models.ts";

async function run(
  bytes: Uint8Array,
  feeds: Tensors,
  externalData: readonly ExternalFile[] = [],
): Promise<Record<string, Tensor>> {
  const session = await nodeRuntime.load(bytes, { externalData });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

const weightOf = (model: Model, name: string): Tensor => model.graph.constants.get(model.graph.find(name)!)!;

/** All constants of the model as new weights with the values that they have. */
const unchanged = (model: Model): Map<string, Tensor> =>
  new Map([...model.graph.constants].map(([value, t]) => [value.name, t]));

describe("withWeights", () => {
  it.each(["cnn-torchscript", "cnn-dynamo", "mlp-torchscript", "mlp-dynamo"])(
    "writes %s back to the same outputs, and as PyTorch computed them",
    async (name) => {
      const { input, logits } = torchFacts(name.startsWith("cnn") ? "cnn" : "mlp");
      const model = readModel(fixtureBytes(`${name}.onnx`));
      const before = await run(modelBytes(model), { input });
      for (const [i, v] of toNumbers(before.logits!).entries())
        expect(v).toBeCloseTo(logits.data[i] as number, 4);
      const { bytes, externalFiles } = withWeights(model, unchanged(model));
      expect(externalFiles).toEqual([]);
      expect(await run(bytes, { input })).toEqual(before);
    },
  );

  it("puts in new values, in whatever encoding the old ones were", async () => {
    const model = await readModelFile(fixturePath("encodings.onnx"));
    const weights = new Map<string, Tensor>();
    const names = ["raw", "typed", "external", "constant"].map((kind) => `float32_${kind}`);
    names.forEach((name, i) => {
      weights.set(
        name,
        tensor(
          "float32",
          [0, 1, 2, 3, 4, 5].map((v) => v + 10 * i),
          [2, 3],
        ),
      );
    });
    weights.set("float16_typed", tensor("float16", [1, 2, 3, 4, 5, 6], [2, 3]));
    weights.set("value_floats", tensor("float32", [8, 9]));
    weights.set("value_float", tensor("float32", [7], []));
    weights.set("value_int", tensor("int64", [6], []));
    weights.set("strings", { dtype: "string", dims: [2], data: ["zwei", "three"] });
    const { bytes, externalFiles } = withWeights(model, weights);
    expect(externalFiles).toEqual([]);
    const before = await run(modelBytes(model), {}, model.externalFiles);
    const after = await run(bytes, {});
    expect(Object.keys(after)).toEqual(Object.keys(before));
    for (const [name, old] of Object.entries(before)) {
      const expected = weights.get(name.replace(/_out$/, "")) ?? old;
      expect({ ...after[name]! }, name).toEqual({ ...expected });
    }
  });

  it("keeps metadata, functions, names and fields that nobody knows", async () => {
    // Field 1000 of type bytes, "kept", at the end of the model.
    const unknown = [0xc2, 0x3e, 4, 0x6b, 0x65, 0x70, 0x74];
    const original = fixtureBytes("shapes.onnx");
    const model = readModel(Uint8Array.from([...original, ...unknown]));
    const { bytes } = withWeights(model, new Map([["w", weightOf(model, "w")]]));
    // The same values in the same encoding: the very same file.
    expect(bytes).toEqual(modelBytes(model));
    expect([...bytes.slice(-7)]).toEqual(unknown);
    const changed = tensor("float32", new Array(12).fill(1), [3, 4]);
    const other = withWeights(model, new Map([["w", changed]])).bytes;
    expect(other.length).toBe(bytes.length);
    expect(new TextDecoder("latin1").decode(other)).toContain("a,b,c");
    const x = tensor("float32", [1, 2, 3, 4, 5, 6, 7, 8], [2, 4]);
    const { out } = await run(other, { x });
    // Two rows, so `If` doubles; `Twice` doubles again; then 1/√2.
    const row = (sum: number) => (4 * sum) / Math.SQRT2;
    for (const [i, v] of toNumbers(out!).entries()) expect(v).toBeCloseTo(row(i < 3 ? 10 : 26), 4);
  });

  it("does not alter the model that was read", () => {
    const model = readModel(fixtureBytes("cnn-dynamo.onnx"));
    const first = withWeights(model, unchanged(model)).bytes;
    const zeros = tensor("float32", new Array(5).fill(0));
    expect(withWeights(model, new Map([["head.bias", zeros]])).bytes).not.toEqual(first);
    expect(withWeights(model, unchanged(model)).bytes).toEqual(first);
    expect(withWeights(model, new Map()).bytes).toEqual(fixtureBytes("cnn-dynamo.onnx"));
  });

  it("leaves external data outside where one file could not hold it", async () => {
    const location = "encodings.bin";
    const huge = new Uint8Array(1.95e9); // Zeros that are never touched take no memory.
    huge.set(fixtureBytes(location));
    const proto = fromBinary(ModelProtoSchema, fixtureBytes("encodings.onnx"));
    const large = proto.graph!.initializer.find((t) => t.name === "float64_external")!;
    large.dims = [BigInt(huge.length / 8)];
    large.externalData = large.externalData.filter((e) => e.key === "location");
    const model = readModel(toBinary(ModelProtoSchema, proto), { source: "h.onnx", external: () => huge });
    const six = tensor("float32", [1, 2, 3, 4, 5, 6], [2, 3]);
    const { bytes, externalFiles } = withWeights(model, new Map([["float32_external", six]]));
    expect(externalFiles.map((f) => f.data === huge)).toEqual([true]);
    const again = readModel(bytes, { external: () => huge });
    expect(weightOf(again, "float32_external")).toEqual(six);
    expect(weightOf(again, "float64_external").dims).toEqual([huge.length / 8]);
  });

  it("refuses names and tensors that do not fit", () => {
    const model = readModel(fixtureBytes("cnn-dynamo.onnx"), { source: "s.onnx" });
    const set = (name: string, t: Tensor) => () => withWeights(model, new Map([[name, t]]));
    const five = tensor("float32", [1, 2, 3, 4, 5]);
    expect(set("head.bia", five)).toThrow('s.onnx: no weight "head.bia". Did you mean "head.bias"');
    expect(set("logits", five)).toThrow(
      's.onnx: "logits" is computed by node Gemm "node_linear", not a weight.',
    );
    expect(set("input", five)).toThrow('s.onnx: "input" is an input, not a weight.');
    expect(set("head.bias", tensor("float32", [1]))).toThrow(
      's.onnx: weight "head.bias" is float32[5], got float32[1]',
    );
    expect(set("head.bias", tensor("float64", [1, 2, 3, 4, 5]))).toThrow("is float32[5], got float64[5]");
  });
});

describe("withOutputs", () => {
  let model: Model;
  beforeAll(() => {
    model = readModel(fixtureBytes("cnn-torchscript.onnx"), { source: "t.onnx" });
  });

  it("adds named values after the model's own outputs", async () => {
    const relu = model.graph.nodes.find((n) => n.op === "Relu")?.outputs[0]?.name as string;
    const { input } = torchFacts("cnn");
    const plain = await run(modelBytes(model), { input });
    const tapped = await run(withOutputs(model, [relu, "logits", relu]), { input });
    expect(Object.keys(tapped)).toEqual(["logits", relu]);
    expect(tapped[relu]!.dims).toEqual([2, 4, 16, 16]);
    expect(tapped.logits).toEqual(plain.logits);
    expect(withOutputs(model, ["logits"])).toBe(modelBytes(model));
  });

  it("offers the nearest names", () => {
    expect(() => withOutputs(model, ["/conv1/Conv_output"])).toThrow(
      't.onnx: no value "/conv1/Conv_output"; a tap must be a value that a node computes. Did you mean "/conv1/Conv_output_0"',
    );
    expect(() => withOutputs(model, ["input"])).toThrow('t.onnx: "input" is an input; a tap');
    expect(() => withOutputs(model, ["head.weight"])).toThrow('t.onnx: "head.weight" is a constant; a tap');
  });
});

it("addAllOutputs shows every computed value of the main graph", async () => {
  const model = readModel(fixtureBytes("shapes.onnx"));
  const x = tensor("float32", [1, 2, 3, 4], [1, 4]);
  const all = await run(addAllOutputs(model), { x });
  const computed = model.graph.nodes.flatMap((n) => n.outputs.map((v) => v?.name));
  expect(Object.keys(all).sort()).toEqual(computed.sort());
  expect(toNumbers(all.target!)).toEqual([1, -1]);
});

it("refuses a model that it did not read", () => {
  const model = readModel(fixtureBytes("shapes.onnx"));
  expect(() => modelBytes({ ...model, source: "copy" })).toThrow("copy: not a model that readModel returned");
});
