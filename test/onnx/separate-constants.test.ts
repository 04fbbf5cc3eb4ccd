// Equal initialisers that an exporter merged are of their own again: in the graph that is trained, and in the file that
// comes out. What is tied on purpose stays tied.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, StringStringEntryProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { withWeights } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { separatedConstants } from "../../src/onnx/model-origin.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { compileModel, randomTensor, smallStudent } from "../compile/compile-model.ts";

const f32 = (...values: number[]): Tensor => tensor("float32", values);
const ones = f32(1, 1, 1);
const zeros = f32(0, 0, 0);
const x = randomTensor(1, [2, 3]);

const trainedBy = async (model: Model): Promise<string[]> =>
  (await compileModel(model, 2)).weights.flatMap((p) => p.tensors.map((t) => t.name)).sort();

async function outputOf(bytes: Uint8Array, input: Tensor = x): Promise<Float32Array> {
  const session = await nodeRuntime.load(bytes);
  const { y } = await session.run({ x: input });
  await session.release();
  return y?.data as Float32Array;
}

/** x · scale, then twice LayerNorm; all ones and zeros merged, with Identities as TorchScript's exporter leaves them. */
const merged = (): Model =>
  smallStudent([2, 3], { "a.weight": ones, "a.bias": zeros, w: randomTensor(2, [3, 3]) }, [
    { op: "Identity", inputs: ["a.weight"], output: "b.weight" },
    { op: "Identity", inputs: ["a.bias"], output: "b.bias" },
    { op: "Identity", inputs: ["b.bias"], output: "c.bias" },
    { op: "LayerNormalization", inputs: ["x", "a.weight", "a.bias"], output: "a" },
    { op: "MatMul", inputs: ["a", "w"], output: "product" },
    { op: "Add", inputs: ["product", "c.bias"], output: "c" },
    { op: "LayerNormalization", inputs: ["c", "b.weight", "b.bias"], output: "y" },
  ]);

describe("behind Identities", () => {
  it("each is a constant under the name that the Identity kept, and trains by itself", async () => {
    const model = merged();
    expect(separatedConstants(model)).toEqual(["b.weight", "b.bias", "c.bias"]);
    expect(model.graph.nodes.map((n) => n.op)).toEqual([
      "LayerNormalization",
      "MatMul",
      "Add",
      "LayerNormalization",
    ]);
    expect(await trainedBy(model)).toEqual(["a.bias", "a.weight", "b.bias", "b.weight", "c.bias", "w"]);
  });

  it("is written back as an initialiser in the Identity's place, and only if weights are written", async () => {
    const model = merged();
    const same = withWeights(model, new Map()).bytes;
    expect(
      fromBinary(ModelProtoSchema, same).graph?.node.filter((n) => n.opType === "Identity"),
    ).toHaveLength(3);
    const { bytes } = withWeights(model, new Map([["b.weight", f32(2, 3, 4)]]));
    const { node, initializer } = fromBinary(ModelProtoSchema, bytes).graph!;
    expect(node.some((n) => n.opType === "Identity")).toBe(false);
    expect(initializer.map((t) => t.name)).toEqual([
      "a.weight",
      "a.bias",
      "w",
      "b.weight",
      "b.bias",
      "c.bias",
    ]);
    const again = readModel(bytes);
    expect(separatedConstants(again)).toEqual([]);
    expect(again.graph.constants.get(again.graph.find("a.weight")!)?.data).toEqual(ones.data);
    const [plain, scaled] = [await outputOf(same), await outputOf(bytes)];
    scaled.forEach((v, i) => {
      expect(v).toBeCloseTo((plain[i] as number) * [2, 3, 4][i % 3]!, 5);
    });
  });

  it("a weight whose elements differ is tied on purpose", () => {
    const model = smallStudent([2, 3], { embedding: randomTensor(3, [3, 3]) }, [
      { op: "Identity", inputs: ["embedding"], output: "head" },
      { op: "MatMul", inputs: ["x", "embedding"], output: "h" },
      { op: "MatMul", inputs: ["h", "head"], output: "y" },
    ]);
    expect(separatedConstants(model)).toEqual([]);
    expect(model.graph.nodes[0]?.op).toBe("Identity");
  });

  it("an Identity that is an output stays", () => {
    const model = smallStudent(
      [2, 3],
      { bias: zeros },
      [
        { op: "Identity", inputs: ["bias"], output: "shown" },
        { op: "Add", inputs: ["x", "bias"], output: "y" },
      ],
      { outputs: ["y", "shown"] },
    );
    expect(separatedConstants(model)).toEqual([]);
  });
});

describe("taken directly, as a simplifier leaves them", () => {
  const batchNorm = (output: string, inputs: readonly string[]) => ({
    op: "BatchNormalization",
    inputs,
    output,
  });
  /** Two BatchNormalizations of which each is all ones and zeros. */
  const normalised = (): Model =>
    smallStudent([2, 3], { ones, zeros }, [
      batchNorm("a", ["x", "ones", "zeros", "zeros", "ones"]),
      batchNorm("y", ["a", "ones", "zeros", "zeros", "ones"]),
    ]);

  it("scale and variance, bias and mean of one node and of two come apart", async () => {
    const model = normalised();
    const names = model.graph.nodes.flatMap((n) => n.inputs.slice(1).map((v) => v?.name));
    expect(new Set(names).size).toBe(8);
    expect(names.slice(0, 2)).toEqual(["ones", "zeros"]);
    const compiled = await compileModel(model, 2);
    const count = (packs: typeof compiled.weights) => packs.flatMap((p) => p.tensors).length;
    expect([count(compiled.weights), count(compiled.statistics)]).toEqual([4, 4]);
    const written = withWeights(model, new Map([[names[4] as string, f32(2, 2, 2)]])).bytes;
    const [plain, scaled] = [await outputOf(withWeights(model, new Map()).bytes), await outputOf(written)];
    scaled.forEach((v, i) => {
      expect(v).toBeCloseTo(2 * (plain[i] as number), 5);
    });
  });

  it("one layer that is used twice stays one: it has a weight in common", async () => {
    const model = smallStudent([2, 3], { w: randomTensor(4, [3, 3]), bias: zeros }, [
      { op: "Gemm", inputs: ["x", "w", "bias"], output: "a" },
      { op: "Gemm", inputs: ["a", "w", "bias"], output: "y" },
    ]);
    expect(separatedConstants(model)).toEqual([]);
    expect(await trainedBy(model)).toEqual(["bias", "w"]);
  });

  it("not numbers of one element, nor what only one node takes", () => {
    const model = smallStudent([2, 3], { half: f32(0.5), bias: zeros }, [
      { op: "Mul", inputs: ["x", "half"], output: "a" },
      { op: "Mul", inputs: ["a", "half"], output: "b" },
      { op: "Add", inputs: ["b", "bias"], output: "y" },
    ]);
    expect(separatedConstants(model)).toEqual([]);
  });
});

describe("in files of dynamo's exporter, by the operations that nodes are parts of", () => {
  /** A file of BatchNormalizations with what the exporter says of each, and of the program's parameters and buffers. */
  function traced(
    constants: Readonly<Record<string, Tensor>>,
    entries: readonly string[],
    nodes: readonly { output: string; inputs: readonly string[]; takes: string }[],
  ): Model {
    const plain = smallStudent(
      [2, 3],
      constants,
      nodes.map(({ output, inputs }) => ({ op: "BatchNormalization", inputs, output })),
    );
    const proto = fromBinary(ModelProtoSchema, withWeights(plain, new Map()).bytes);
    const entry = (key: string, value: string) => create(StringStringEntryProtoSchema, { key, value });
    proto.graph!.metadataProps = [
      entry(
        "pkg.torch.export.ExportedProgram.graph_signature",
        `# inputs\n${entries.join("\n")}\nx: USER_INPUT\n`,
      ),
    ];
    proto.graph!.node.forEach((node, i) => {
      const text = `%bn : [num_users=1] = call_function[target=torch.ops.aten._native_batch_norm_legit_no_training.default](args = (${nodes[i]!.takes}, 0.1, 1e-05), kwargs = {})`;
      node.metadataProps = [entry("pkg.torch.onnx.fx_node", text)];
    });
    return readModel(toBinary(ModelProtoSchema, proto), { source: "traced.onnx" });
  }
  const layer = (name: string, learned = true): string[] => [
    ...(learned
      ? [
          `p_${name}_weight: PARAMETER target='${name}.weight'`,
          `p_${name}_bias: PARAMETER target='${name}.bias'`,
        ]
      : []),
    `b_${name}_running_mean: BUFFER target='${name}.running_mean' persistent=True`,
    `b_${name}_running_var: BUFFER target='${name}.running_var' persistent=True`,
  ];
  const inputsOf = (model: Model) => model.graph.nodes.map((n) => n.inputs.slice(1).map((v) => v?.name));

  it("a BatchNormalization's scale and variance, offset and mean, in one layer and in the next", async () => {
    const takes = (n: string) =>
      `%x, %p_${n}_weight, %p_${n}_bias, %b_${n}_running_mean, %b_${n}_running_var`;
    const inputs = ["a.weight", "a.bias", "a.bias", "a.weight"];
    const model = traced(
      { "a.weight": ones, "a.bias": zeros },
      [...layer("a"), ...layer("b")],
      [
        { output: "h", inputs: ["x", ...inputs], takes: takes("a") },
        { output: "y", inputs: ["h", ...inputs], takes: takes("b") },
      ],
    );
    const all = (n: string) => [`${n}.weight`, `${n}.bias`, `${n}.running_mean`, `${n}.running_var`];
    expect(inputsOf(model)).toEqual([all("a"), all("b")]);
    expect(await trainedBy(model)).toEqual(["a.bias", "a.weight", "b.bias", "b.weight"]);
  });

  it("ones and zeros of one that learns no scale and offset are not its statistics", async () => {
    const [mean, variance] = ["a.running_mean", "a.running_var"] as const;
    const model = traced(
      { [mean]: zeros, [variance]: ones, "c.weight": ones },
      ["p_c_weight: PARAMETER target='c.weight'", ...layer("a", false)],
      [
        {
          output: "y",
          inputs: ["x", variance, mean, mean, variance],
          takes: "%x, None, None, %b_a_running_mean, %b_a_running_var",
        },
      ],
    );
    expect(inputsOf(model)).toEqual([[`${variance}_constant`, `${mean}_constant`, mean, variance]]);
  });
});
