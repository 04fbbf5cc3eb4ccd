// Edits of a user's model: what changes, what is shared, and what must not be altered.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor, toNumbers } from "../../src/base/tensor.ts";
import { editFile, editModel, isInMainGraph } from "../../src/onnx/edit-model.ts";
import { modelBytes, withWeights } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { smallStudent } from "../compile/compile-model.ts";
import { fixtureBytes } from "../fixtures/models.ts";

const student = (): Model =>
  smallStudent(
    [2, 3],
    { w: tensor("float32", [1, 2, 3]) },
    [
      { op: "Add", inputs: ["x", "w"], output: "a" },
      { op: "Relu", inputs: ["a"], output: "y" },
      { op: "Neg", inputs: ["a"], output: "unused" },
    ],
    { outputs: ["y"] },
  );

async function run(model: Model, name = "y", n = 2): Promise<number[]> {
  const session = await nodeRuntime.load(modelBytes(model));
  const x = tensor("float32", new Float32Array(3 * n).fill(-1), [n, 3]);
  const out = await session.run({ x }, [name]);
  await session.release();
  return toNumbers(out[name] as Tensor);
}

describe("editModel", () => {
  it("adds nodes where they are needed, under the name of a value that others take already", async () => {
    const model = student();
    const edited = editModel(model, {
      constants: new Map([["two", tensor("float32", [2], [])]]),
      nodes: [{ op: "Mul", name: "double", inputs: ["a/raw", "two"], outputs: ["a"] }],
      renamed: new Map([["a", "a/raw"]]),
    });
    expect(edited.graph.nodes.map((n) => n.name)).toEqual(["/a", "double", "/y", "/unused"]);
    expect(await run(edited)).toEqual([0, 2, 4, 0, 2, 4]);
    expect(await run(model)).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it("rewires inputs, and drops what is left out at the end", async () => {
    const constants = new Map([["v", tensor("float32", [5], [])]]);
    const edited = editModel(student(), { constants, rewired: new Map([["a", new Map([[1, "v"]])]]) });
    expect(await run(edited)).toEqual([4, 4, 4, 4, 4, 4]);
  });

  it("opens or sets the batch, and keeps what some outputs need", async () => {
    const open = editModel(student(), { batch: { inputs: ["x"] }, outputs: ["unused"] });
    expect(open.inputs[0]?.dims).toEqual(["?", 3]);
    expect(open.graph.nodes.map((n) => n.op)).toEqual(["Add", "Neg"]);
    expect(await run(open, "unused", 1)).toEqual([-0, -1, -2]);
    expect(editModel(student(), { batch: { inputs: ["x"], size: 7 } }).inputs[0]?.dims).toEqual([7, 3]);
  });

  it("declares initialisers as inputs too, where the format of the file asks for it", () => {
    const old = readModel(fixtureBytes("opset-7.onnx"));
    const edited = editModel(old, { constants: new Map([["extra", tensor("float32", [1], [1])]]) });
    expect(edited.graph.constants.get(edited.graph.find("extra")!)?.data).toEqual(Float32Array.of(1));
    expect(edited.inputs).toEqual(old.inputs);
  });

  it("refuses names that exist, and values that no node computes", () => {
    const one = (name: string): ReadonlyMap<string, Tensor> => new Map([[name, tensor("float32", [1])]]);
    expect(() => editModel(student(), { constants: one("w") })).toThrow(
      'student.onnx: the value "w" exists already',
    );
    expect(() => editModel(student(), { renamed: new Map([["unusd", "b"]]) })).toThrow(
      'student.onnx: no node computes "unusd". Did you mean "unused"?',
    );
  });
});

describe("editFile", () => {
  it("changes the user's file by what is asked for alone, and weights still go back into it", async () => {
    const model = student();
    const edited = editFile(model, {
      constants: new Map([["v", tensor("float32", [0], [1])]]),
      rewired: new Map([["a", new Map([[1, "v"]])]]),
    });
    expect(await run(edited)).toEqual([0, 0, 0, 0, 0, 0]);
    const { bytes } = withWeights(edited, new Map([["v", tensor("float32", [3], [1])]]));
    expect(await run(readModel(bytes))).toEqual([2, 2, 2, 2, 2, 2]);
    expect(isInMainGraph(model, "a")).toBe(true);
    expect(() => editFile(model, { constants: new Map(), rewired: new Map([["b", new Map()]]) })).toThrow(
      'student.onnx: no node of the main graph computes "b"',
    );
  });
});
