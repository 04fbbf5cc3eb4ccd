import { describe, expect, it } from "vitest";
import { tensor, toNumbers } from "../../src/base/tensor.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { exampleFeeds } from "../../src/runtime/example-feeds.ts";
import { observe } from "../../src/runtime/observe.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { fixtureBytes, fixturePath } from "../fixtures/models.ts";
import { studentFromText } from "../models/graph-text.ts";

describe("observe", () => {
  it("finds every type, and folds shape arithmetic but nothing that touches weights or data", async () => {
    const model = readModel(fixtureBytes("shapes.onnx"));
    const { types, known } = await observe(model, nodeRuntime, exampleFeeds(model, 2));
    const type = (name: string) => model.graph.find(name)?.type;
    expect(type("x")).toEqual({ dtype: "float32", dims: [2, 4] });
    expect(type("w_t")).toEqual({ dtype: "float32", dims: [4, 3] });
    expect(type("z")).toEqual({ dtype: "float32", dims: [2, 3] });
    expect(type("doubled")).toEqual({ dtype: "float32", dims: [2, 3] });
    expect(type("many")).toEqual({ dtype: "bool", dims: [1] });
    expect(types.size).toBe([...model.graph.values()].length);
    const values = Object.fromEntries([...known].map(([v, t]) => [v.name, toNumbers(t)]));
    expect(values).toEqual({
      two: [2],
      zero: [0],
      one: [1],
      minus: [-1],
      shape: [2, 4],
      rows: [2],
      target: [2, -1],
      rows_f: [2],
      root: [Math.fround(Math.SQRT2)],
      many: [1],
    });
  });

  it.each(["torchscript", "dynamo"])(
    "leaves the layers of PyTorch's %s export as nodes",
    async (exporter) => {
      const model = readModel(fixtureBytes(`cnn-${exporter}.onnx`));
      const { known } = await observe(model, nodeRuntime, exampleFeeds(model, 3));
      const left = model.graph.nodes.filter((n) => !n.outputs.every((v) => !v || known.has(v)));
      expect(left.map((n) => n.op).filter((op) => op !== "Identity")).toEqual([
        "Conv",
        "BatchNormalization",
        "Relu",
        "MaxPool",
        "Conv",
        "BatchNormalization",
        "Clip",
        "ReduceMean",
        "Reshape",
        "Gemm",
      ]);
      const reshape = left.find((n) => n.op === "Reshape");
      expect(toNumbers(known.get(reshape!.inputs[1]!)!)).toEqual([3, -1]);
      expect(model.graph.outputs[0]?.type).toEqual({ dtype: "float32", dims: [3, 5] });
    },
  );

  it("does not fold what is made of a learned number, unless whole numbers follow from it", async () => {
    const number = (value: number) => tensor("float32", [value], []);
    const text = `warm = Exp(logit_scale)
open = Tanh(gate)
both = Mul(warm, open)
four = Cast(size) to=7
h = MatMul(x, w)
g = Mul(h, both)
r = Reshape(g, shape)
y = Expand(r, four)`;
    const constants = {
      ...{ logit_scale: number(1.5), gate: number(0.5), size: tensor("float32", [4]) },
      ...{
        w: tensor("float32", [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3], [3, 4]),
        shape: tensor("int64", [-1, 4]),
      },
    };
    const model = studentFromText(text, [-1, 3], constants, 17);
    const { known } = await observe(model, nodeRuntime, exampleFeeds(model, 2));
    const names = [...known.keys()].map((v) => v.name).sort();
    expect(names).toEqual(["four", "gate", "logit_scale", "shape", "size"]);
  });

  it("runs a model with external data, and types that no session gives", async () => {
    const model = await readModelFile(fixturePath("encodings.onnx"));
    const { known } = await observe(model, nodeRuntime, {});
    const name = (n: string) => model.graph.find(n)!;
    expect(known.has(name("float32_raw_out"))).toBe(false);
    expect(known.get(name("int32_external_out"))).toEqual(tensor("int32", [0, -1, -2, -3, -4, -5], [2, 3]));
    expect(known.get(name("int4_out"))).toEqual(tensor("float32", [1, -2, 3]));
    expect(name("int4_out").type).toEqual({ dtype: "float32", dims: [3] });
  });
});

describe("exampleFeeds", () => {
  const model = readModel(fixtureBytes("shapes.onnx"), { source: "m.onnx" });
  const withInputs = (...inputs: typeof model.inputs) => ({ ...model, inputs });

  it("fills open dimensions, the same way for the same seed", () => {
    const inputs = [
      { name: "image", dtype: "float32" as const, dims: ["n", 3, "height", "?"] },
      { name: "mask", dtype: "int64" as const, dims: ["n"] },
      { name: "half", dtype: "float16" as const, dims: ["m", "n"] },
      { name: "anchors", dtype: "bool" as const, dims: [7] },
      { name: "scale", dtype: "float64" as const, dims: [] },
    ];
    const sizes = { height: 4, "image[3]": 5 };
    const feeds = exampleFeeds(withInputs(...inputs), 2, { sizes });
    expect(Object.entries(feeds).map(([k, t]) => [k, t.dtype, t.dims, t.data.length])).toEqual([
      ["image", "float32", [2, 3, 4, 5], 120],
      ["mask", "int64", [2], 2],
      ["half", "float16", [2, 2], 4],
      ["anchors", "bool", [7], 7],
      ["scale", "float64", [], 1],
    ]);
    const image = feeds.image!.data as Float32Array;
    expect(Math.min(...image)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...image)).toBeLessThan(1);
    expect(new Set(image).size).toBeGreaterThan(100);
    expect(exampleFeeds(withInputs(...inputs), 2, { sizes })).toEqual(feeds);
    expect(exampleFeeds(withInputs(...inputs), 2, { sizes, seed: 2 }).image).not.toEqual(feeds.image);
  });

  it("refuses a fixed batch of another size, and open dimensions without a size", () => {
    const fixed = withInputs({ name: "x", dtype: "float32", dims: [4, 3] });
    expect(exampleFeeds(fixed, 4).x?.dims).toEqual([4, 3]);
    expect(() => exampleFeeds(fixed, 8)).toThrow(
      'm.onnx: made for a fixed batch of 4 (input "x" is [4,3]), not 8; use that batch size, or export the model with a dynamic first dimension',
    );
    const open = withInputs({ name: "x", dtype: "float32", dims: ["n", "height", "?"] });
    expect(() => exampleFeeds(open, 1)).toThrow(
      'm.onnx: input "x" [n,height,?] leaves dimension 1 open; give its size as "height"',
    );
    expect(() => exampleFeeds(open, 1, { sizes: { height: 2 } })).toThrow('give its size as "x[2]"');
    expect(() => exampleFeeds(model, 0)).toThrow("batch must be a whole number from 1 on, got 0");
  });
});
