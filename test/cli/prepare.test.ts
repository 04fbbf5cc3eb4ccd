// Models as exporters leave them, by the command line: fixed batch, folded normalisation, a Softmax at the end.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { int } from "../../src/graph/graph.ts";
import { buildModel, conv, globalAveragePool, linear, relu, sequential } from "../../src/nn/index.ts";
import { editModel } from "../../src/onnx/edit-model.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
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
