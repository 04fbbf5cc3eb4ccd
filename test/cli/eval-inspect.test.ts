import { writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { Graph } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { bandsNpz, cli, refusal, world } from "./helpers.ts";

const parsed = <T>(text: string): T => JSON.parse(text) as T;

describe("eval", () => {
  it("prints figures and the recall of each class", async () => {
    const { at } = world();
    const { code, out, err } = await cli([
      ...["eval", at("student.onnx"), "--data", at("data.npz"), "--teacher", at("teacher.onnx")],
    ]);
    expect([code, err]).toEqual([0, ""]);
    expect(
      out
        .replaceAll(at(""), "")
        .replace(/(?<!top-)\d[\d.,]*/g, "0")
        .replace(/ +/g, " ")
        .replace(/[µm]s at/, "ms at"),
    ).toMatchSnapshot();
  });

  it("--json holds the same, and what it holds adds up", async () => {
    const { at } = world();
    const args = ["eval", at("student.onnx"), "--data", at("data.npz"), "--split", "train", "--json"];
    const { out } = await cli([...args, "--teacher", at("student.onnx")]);
    const found = parsed<{
      samples: number;
      top1: number;
      agreement: number;
      confusion: number[][];
      classes: { samples: number; recall: number }[];
    }>(out);
    expect(found.samples).toBe(256);
    expect(found.agreement).toBe(1);
    const right = found.confusion.reduce((n, row, i) => n + row[i]!, 0);
    expect(found.top1).toBe(right / 256);
    expect(found.classes.reduce((n, c) => n + c.samples, 0)).toBe(256);
    expect(found.classes.reduce((n, c) => n + c.samples * c.recall, 0)).toBeCloseTo(right, 9);
  });

  it("takes all of the data where there is no test part", async () => {
    const { at } = world();
    writeFileSync(at("data.npz"), bandsNpz({ test: 0 }));
    const { out } = await cli(["eval", at("student.onnx"), "--data", at("data.npz"), "--json"]);
    expect(parsed<{ samples: number }>(out).samples).toBe(256);
    expect(await refusal(["eval", at("student.onnx"), "--data", at("data.npz"), "--split", "test"])).toMatch(
      /^1 error: .*no test samples: looked for/,
    );
  });

  it("gives a model made for a fixed batch that batch, the last one filled up", async () => {
    const { at } = world();
    const fixed = (batch: number | "batch") => {
      const graph = new Graph("fixed", [["", 17]]);
      const image = graph.addInput("image", {
        dtype: "float32",
        dims: [batch === "batch" ? 96 : batch, 1, 8, 8],
      });
      const weight = graph.addConstant("w", {
        dtype: "float32",
        dims: [64, 4],
        data: Float32Array.from({ length: 256 }, (_, i) => Math.sin(i * i)),
      });
      const flat = graph.addNode({ op: "Flatten", inputs: [image], outputs: ["flat"] }).outputs[0];
      const gemm = graph.addNode({ op: "Gemm", inputs: [flat, weight], outputs: ["logits"] });
      graph.addOutput(gemm.outputs[0]!);
      return writeGraph(graph);
    };
    // 96 samples are not a multiple of 36.
    writeFileSync(at("36.onnx"), fixed(36));
    writeFileSync(at("96.onnx"), fixed(96));
    const measure = async (name: string) => {
      const { out } = await cli(["eval", at(name), "--data", at("data.npz"), "--json"]);
      const { batch, samples, top1, loss, confusion } = parsed<Record<string, unknown>>(out);
      return { batch, samples, top1, loss, confusion };
    };
    const [small, whole] = [await measure("36.onnx"), await measure("96.onnx")];
    expect([small.batch, small.samples]).toEqual([36, 96]);
    expect(small.confusion).toEqual(whole.confusion);
    expect(small.loss).toBeCloseTo(whole.loss as number, 5);
    expect(await refusal(["eval", at("36.onnx"), "--data", at("data.npz"), "--batch", "8"])).toMatch(
      /^2 error: .*36\.onnx: made for a fixed batch of 36, not 8; leave the batch size out$/,
    );
  });
});

describe("inspect", () => {
  it("remarks on a folded normalisation, and on where the logits are", async () => {
    const { at } = world();
    const graph = new Graph("plain", [["", 17]]);
    const image = graph.addInput("image", { dtype: "float32", dims: [1, 1, 8, 8] });
    const weights = (name: string, dims: number[]) =>
      graph.addConstant(name, {
        dtype: "float32",
        dims,
        data: new Float32Array(dims.reduce((a, b) => a * b)),
      });
    const step = (op: string, inputs: Parameters<Graph["addNode"]>[0]["inputs"], name: string) =>
      graph.addNode({ op, name, inputs, outputs: [name] }).outputs[0];
    const map = step("Conv", [image, weights("k", [4, 1, 3, 3])], "map");
    const flat = step("Flatten", [map], "flat");
    graph.addOutput(step("Softmax", [step("MatMul", [flat, weights("w", [144, 3])], "z")], "probs")!);
    writeFileSync(at("plain.onnx"), writeGraph(graph));
    const { out } = await cli(["inspect", at("plain.onnx")]);
    expect(out.match(/^note: .*$/gm)).toEqual([
      'note: the model\'s output "probs" comes from a Softmax (node "probs"): "z", its input, is taken for the logits',
      "note: 1 convolution and no normalisation: BatchNormalization was probably folded into it on export, and without it training from fresh weights is slow or fails; --insert-batchnorm trains with one after each and folds it back on export",
    ]);
  });

  it("shows a model with shapes, taps and ops", async () => {
    const { at } = world();
    const { code, out, err } = await cli(["inspect", at("student.onnx")]);
    expect([code, err]).toEqual([0, ""]);
    expect(out.replaceAll(at(""), "")).toMatchSnapshot();
  });

  it("--json agrees with the file, and suggests the last value at each resolution", async () => {
    const { at } = world();
    const { out } = await cli(["inspect", at("teacher.onnx"), "--batch", "3", "--json"]);
    const found = parsed<{
      parameters: number;
      batch: number;
      layers: { op: string; shape: number[]; parameters: number }[];
      taps: { name: string; neurons: number; positions: number; suggested: boolean }[];
      ops: { op: string; count: number; gradient: string }[];
    }>(out);
    expect(found.batch).toBe(3);
    expect(found.layers.every((l) => l.shape[0] === 3)).toBe(true);
    expect(found.layers.reduce((n, l) => n + l.parameters, 0)).toBe(found.parameters);
    expect(found.taps.filter((t) => t.suggested)).toEqual([
      expect.objectContaining({ name: "relu1", shape: [3, 6, 8, 8], axis: 1, neurons: 6, positions: 64 }),
      expect.objectContaining({ name: "features", shape: [3, 6, 4, 4], neurons: 6, resolution: [4, 4] }),
      expect.objectContaining({ name: "late", shape: [3, 8, 2, 2], neurons: 8, positions: 4, depth: 1 }),
      expect.objectContaining({ neurons: 8, positions: 1, resolution: [] }),
    ]);
    expect(found.ops.every((o) => o.gradient === "yes")).toBe(true);
  });

  it("shows which values of two models would be compared, and how to ask for them", async () => {
    const { at } = world();
    const args = ["inspect", at("teacher.onnx"), at("student.onnx")];
    const { code, out, err } = await cli(args);
    expect([code, err]).toEqual([0, ""]);
    expect(out.replaceAll(at(""), "")).toMatchSnapshot();
    const found = parsed<{ pairs: { teacher: { name: string }; student: { name: string } }[] }>(
      (await cli([...args, "--json"])).out,
    );
    expect(found.pairs.map((p) => [p.teacher.name, p.student.name])).toEqual([
      ["features", "features"],
      ["late", "late"],
    ]);
    expect(await refusal([...args, "--size", "height=3"])).toMatch(
      /teacher\.onnx and .*student\.onnx: no input leaves a dimension "height" open; open are: batch$/,
    );
  });

  it("tells which ops can and cannot be differentiated, and folds shape arithmetic", async () => {
    const { at } = world();
    const graph = new Graph("mixed", [["", 17]]);
    const x = graph.addInput("x", { dtype: "float32", dims: [4, 4] });
    const one = (op: string, inputs: (typeof x | undefined)[]) =>
      graph.addNode({ op, name: op, inputs, outputs: [op] }).outputs[0]!;
    const shape = one("Shape", [x]);
    const weight = graph.addConstant("weight", tensor("float32", [1, 2, 3, 4]));
    const floor = one("Floor", [one("Relu", [one("Mul", [x, weight])])]);
    graph.addOutput(one("Reshape", [floor, shape]));
    graph.addOutput(one("NonZero", [floor]));
    graph.addOutput(one("Det", [x]));
    writeFileSync(at("mixed.onnx"), writeGraph(graph));
    const { out } = await cli(["inspect", at("mixed.onnx"), "--json"]);
    const { ops } = parsed<{ ops: { op: string; gradient: string; note?: string }[] }>(out);
    expect(Object.fromEntries(ops.map((o) => [o.op, o.gradient]))).toEqual({
      Mul: "yes",
      Relu: "yes",
      Reshape: "yes",
      Floor: "zero",
      Shape: "folded",
      NonZero: "no",
      Det: "front",
    });
    expect(ops.find((o) => o.op === "NonZero")?.note).toBe('first at "NonZero"');
  });

  it("asks for open dimensions, and describes what it can without them", async () => {
    const { at } = world();
    const graph = new Graph("open", [["", 17]]);
    graph.addInput("x", { dtype: "float32", dims: [1, 1, 1, 1] });
    graph.addOutput(graph.addNode({ op: "Relu", inputs: [graph.inputs[0]], outputs: ["y"] }).outputs[0]!);
    writeFileSync(at("open.onnx"), writeGraph(graph));
    expect(await refusal(["inspect", at("open.onnx"), "--size", "height=64"])).toMatch(
      /^2 error: .*open\.onnx: no input leaves a dimension "height" open; open are: none$/,
    );
    const dynamic = at("dynamic.onnx");
    const wide = new Graph("dynamic", [["", 17]]);
    wide.addInput("x");
    wide.addOutput(wide.addNode({ op: "Relu", inputs: [wide.inputs[0]], outputs: ["y"] }).outputs[0]!);
    const dims = ["batch", 3, "height", "width"];
    writeFileSync(dynamic, writeGraph(wide, { declared: [{ name: "x", dtype: "float32", dims }] }));
    const without = await cli(["inspect", dynamic]);
    expect(without.code).toBe(0);
    expect(without.out).toMatch(/\nnote: no shapes, for the model was not run: .*: --size height=<n>\n/);
    const { out } = await cli(["inspect", dynamic, "--size", "height=16", "--size", "width=24"]);
    expect(out).not.toContain("no shapes");
    expect(out).toContain("[2,3,16,24]");
  });

  it("folds a long list of layers, and --all unfolds it", async () => {
    const { at } = world();
    const graph = new Graph("long", [["", 17]]);
    let x = graph.addInput("x", { dtype: "float32", dims: [2, 4] });
    const w = graph.addConstant("w", tensor("float32", new Array(16).fill(0.5), [4, 4]));
    for (let i = 0; i < 20; i++) {
      x = graph.addNode({ op: "MatMul", name: `m${i}`, inputs: [x, w], outputs: [`z${i}`] }).outputs[0]!;
      x = graph.addNode({ op: "Relu", name: `r${i}`, inputs: [x], outputs: [`y${i}`] }).outputs[0]!;
    }
    graph.addOutput(x);
    writeFileSync(at("long.onnx"), writeGraph(graph));
    const folded = (await cli(["inspect", at("long.onnx")])).out;
    expect(folded).toContain("10 more");
    expect(folded).not.toContain("r10 ");
    expect(folded).toContain("and 15 more that can be tapped");
    const all = (await cli(["inspect", at("long.onnx"), "--all"])).out;
    expect(all).not.toContain(" more");
    expect(all).toContain("r10 ");
  });
});
