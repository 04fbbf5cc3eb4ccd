// Models as exporters leave them, by the command line: fixed batch, folded normalisation, a Softmax at the end.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Graph, int, ints } from "../../src/graph/graph.ts";
import { buildModel, conv, globalAveragePool, linear, relu, sequential } from "../../src/nn/index.ts";
import { editModel } from "../../src/onnx/edit-model.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { npzFile } from "../data/files.ts";
import { cli, refusal, trainArgs, world } from "./helpers.ts";

/** A batch of one, no normalisation, probabilities for an output. */
function exported(): Uint8Array {
  const body = sequential(
    conv(6, 3, { padding: 1, stride: 2, bias: false }),
    relu({ name: "features" }),
    conv(8, 3, { padding: 1, stride: 2 }),
    relu(),
    globalAveragePool(),
    linear(4),
  );
  const model = buildModel({ input: { name: "image", dims: [1, 1, 8, 8] }, seed: 1 }, body);
  const softmax = {
    op: "Softmax",
    name: "softmax",
    inputs: ["logits"],
    outputs: ["probs"],
    attributes: { axis: int(1) },
  };
  return modelBytes(editModel(model, { nodes: [softmax], outputs: ["probs"] }));
}

describe("train", () => {
  it("takes token ids and masks from one .npz file", async () => {
    const { at } = world();
    const graph = new Graph("texts", [["", 17]]);
    const [ids, mask] = [graph.addInput("input_ids"), graph.addInput("attention_mask")];
    const constant = (name: string, dims: number[]) =>
      graph.addConstant(name, {
        dtype: "float32",
        dims,
        data: Float32Array.from({ length: dims[0]! * dims[1]! }, (_, i) => Math.sin(i * i)),
      });
    const step = (op: string, inputs: Parameters<Graph["addNode"]>[0]["inputs"], name: string, a = {}) =>
      graph.addNode({ op, name, inputs, outputs: [name], attributes: a }).outputs[0];
    const weighted = step(
      "MatMul",
      [step("Cast", [mask], "m", { to: int(1) }), constant("w", [5, 4])],
      "weighted",
    );
    const embedded = step("Gather", [constant("table", [9, 4]), ids], "embedded");
    const mean = step("ReduceMean", [embedded], "mean", { axes: ints([1]), keepdims: int(0) });
    graph.addOutput(
      step("MatMul", [step("Add", [mean, weighted], "sum"), constant("head", [4, 3])], "logits")!,
    );
    const declared = ["input_ids", "attention_mask"].map((name) => ({
      name,
      dtype: "int64" as const,
      dims: ["batch", 5],
    }));
    writeFileSync(at("student.onnx"), writeGraph(graph, { declared }));
    const array = (n: number, classes: number) => Int32Array.from({ length: n }, (_, i) => (i * 7) % classes);
    const part = (n: number, split: string) => ({
      [`input_ids_${split}`]: [array(n * 5, 9), [n, 5]] as [Int32Array, number[]],
      [`attention_mask_${split}`]: [array(n * 5, 2), [n, 5]] as [Int32Array, number[]],
      [`y_${split}`]: [array(n, 3), [n]] as [Int32Array, number[]],
    });
    writeFileSync(at("texts.npz"), npzFile({ ...part(32, "train"), ...part(16, "test") }));
    const args = [
      "--student",
      at("student.onnx"),
      "--data",
      at("texts.npz"),
      "--batch",
      "16",
      "--epochs",
      "1",
    ];
    const { code, err } = await cli(["train", ...args, "--out", at("texts")]);
    expect([code, err.match(/^student, epoch 1\/1: top-1/m)?.length]).toEqual([0, 1]);
    const { out } = await cli(["eval", at("texts/student.onnx"), "--data", at("texts.npz"), "--json"]);
    expect(JSON.parse(out)).toMatchObject({ samples: 16 });
    writeFileSync(
      at("few.npz"),
      npzFile({ input_ids_train: [array(160, 9), [32, 5]], y_train: [array(32, 3), [32]] }),
    );
    expect(
      await refusal([
        "train",
        ...args.slice(0, 2),
        "--data",
        at("few.npz"),
        "--batch",
        "16",
        "--out",
        at("few"),
      ]),
    ).toMatch(
      /student\.onnx: nothing in the data set feeds input "attention_mask", int64 \[batch,5\]; it has input_ids\. Add an array of that name \(all ones, where no sample is padded\)$/,
    );
  });

  it("prepares the student, says so on stderr and in the report, and leaves the user's own graph", async () => {
    const { at } = world();
    writeFileSync(at("student.onnx"), exported());
    const args = trainArgs(
      at,
      "a",
      "--epochs",
      "1",
      "--lr",
      "0.05",
      "--init",
      "xavier",
      "--insert-batchnorm",
    );
    const { code, err } = await cli(args);
    expect(code).toBe(0);
    const said = [
      'the student\'s output "probs" comes from a Softmax (node "softmax"): "logits", its input, is taken for the logits',
      "the student was made for a batch of 1 and runs in batches of 32 here; its results were compared on 2 samples and are the same",
      "fresh weights (xavier, seed 0) in 5 constants",
      "BatchNormalization after 2 of 2 convolutions while training, folded into their weights in the exported student",
    ];
    const report = readFileSync(at("a/report.html"), "utf8")
      .replaceAll("&#34;", '"')
      .replaceAll("&#39;", "'");
    for (const note of said) {
      expect(err).toContain(`note: ${note}\n`);
      expect(report.includes(note.slice(1)), note).toBe(true);
    }
    expect(readdirSync(at("a"))).toContain("initial.onnx");
    const [before, after] = [
      await readModelFile(at("student.onnx")),
      await readModelFile(at("a/student.onnx")),
    ];
    expect(after.inputs).toEqual(before.inputs);
    expect(after.graph.nodes.map((n) => [n.op, n.name])).toEqual(
      before.graph.nodes.map((n) => [n.op, n.name]),
    );
    expect(await refusal(["train", "--resume", "--out", at("a"), "--init", "kaiming"])).toBe(
      `1 error: ${at("a")} was begun with --init xavier, now it is --init kaiming; resume with the same options, or start a new run`,
    );
  });
});
