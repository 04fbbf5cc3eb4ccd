import { describe, expect, it } from "vitest";
import { type DType, type NumericDType, newArray, type Tensor, tensor } from "../../src/base/tensor.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { createNodeRuntime, nodeRuntime } from "../../src/runtime/ort-node.ts";
import { fixtureBytes, fixturePath } from "../fixtures/models.ts";

/** y = x · x and z = −x, both [n]. */
function squareModel(n: number): Uint8Array {
  const graph = new Graph("square", [["", 17]]);
  const x = graph.addInput("x", { dtype: "float32", dims: [n] });
  const node = (op: string, inputs: Value[], output: string) =>
    graph.addOutput(
      graph.addNode({ op, inputs, outputs: [output], types: [{ dtype: "float32", dims: [n] }] }).outputs[0]!,
    );
  node("Mul", [x, x], "y");
  node("Neg", [x], "z");
  return writeGraph(graph);
}

function identityModel(dtype: DType): Uint8Array {
  const graph = new Graph("same", [["", 17]]);
  const x = graph.addInput("x", { dtype, dims: [3] });
  graph.addOutput(graph.addNode({ op: "Identity", inputs: [x], outputs: ["y"] }).outputs[0]!);
  return writeGraph(graph);
}

const x = tensor("float32", [1, 2, -3]);

describe("onnxruntime-node", () => {
  it("runs, lists inputs and outputs, and fetches what is asked for", async () => {
    const session = await nodeRuntime.load(squareModel(3));
    expect(session.inputs).toEqual([{ name: "x", dtype: "float32", dims: [3] }]);
    expect(session.outputs.map((o) => o.name)).toEqual(["y", "z"]);
    expect(await session.run({ x })).toEqual({
      y: tensor("float32", [1, 4, 9]),
      z: tensor("float32", [-1, -2, 3]),
    });
    expect(Object.keys(await session.run({ x }, ["z"]))).toEqual(["z"]);
    expect(await session.run({ x }, [])).toEqual({});
    await session.release();
    await session.release();
    await expect(session.run({ x })).rejects.toMatchObject({
      code: "E_RUNTIME",
      message: "onnxruntime-node: this session has been released; load the model again",
    });
  });

  it("lists open dimensions by name", async () => {
    const session = await nodeRuntime.load(fixtureBytes("shapes.onnx"));
    expect(session.inputs).toEqual([{ name: "x", dtype: "float32", dims: ["n", 4] }]);
    await session.release();
  });

  it("writes outputs into the tensors given, and returns those", async () => {
    for (const n of [3, 100_000]) {
      const session = await createNodeRuntime({ threads: 2 }).load(squareModel(n));
      const feed: Tensor = { dtype: "float32", dims: [n], data: new Float32Array(n).fill(3) };
      const y: Tensor = { dtype: "float32", dims: [n], data: new Float32Array(n) };
      const z: Tensor = { dtype: "float32", dims: [n], data: new Float32Array(n) };
      const got = await session.run({ x: feed }, ["y"], { y, z });
      expect(got.y).toBe(y);
      expect(y.data[0]).toBe(9);
      expect(y.data[n - 1]).toBe(9);
      expect(z.data[0]).toBe(0);
      // A view into a larger buffer, as packed state has it.
      const packed = new Float32Array(2 * n);
      const part: Tensor = { dtype: "float32", dims: [n], data: packed.subarray(n) };
      await session.run({ x: feed }, ["y"], { y: part });
      expect([packed[0], packed[n - 1], packed[n], packed[2 * n - 1]]).toEqual([0, 0, 9, 9]);
      // The input's own memory, as an optimizer's state is stepped in place.
      await session.run({ x: feed }, ["z"], { z: feed });
      expect([feed.data[0], feed.data[n - 1]]).toEqual([-3, -3]);
      await session.release();
    }
  });

  it.each(
    "float32 float64 float16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool".split(
      " ",
    ) as NumericDType[],
  )("carries %s both ways without copying out of place", async (dtype) => {
    const session = await nodeRuntime.load(identityModel(dtype));
    const feed = tensor(dtype, [0, 1, 1]);
    const { y } = await session.run({ x: feed });
    expect({ ...y }).toEqual(feed);
    const into: Tensor = { dtype, dims: [3], data: newArray(dtype, 3) };
    expect((await session.run({ x: feed }, ["y"], { y: into })).y).toBe(into);
    expect(into).toEqual(feed);
    await session.release();
  });

  it("carries strings and scalars", async () => {
    const session = await nodeRuntime.load(identityModel("string"));
    const feed: Tensor = { dtype: "string", dims: [3], data: ["a", "", "ü"] };
    expect((await session.run({ x: feed })).y).toEqual(feed);
    await session.release();
  });

  it("gives the model its external files", async () => {
    const model = await readModelFile(fixturePath("encodings.onnx"));
    const session = await nodeRuntime.load(modelBytes(model), { externalData: model.externalFiles });
    const { float64_external_out: out } = await session.run({}, ["float64_external_out"]);
    expect([...(out!.data as Float64Array)].map((v) => v + 0)).toEqual([0, -1, -2, -3, -4, -5]);
    await session.release();
  });

  it("runs each optimisation level", async () => {
    for (const optimization of ["none", "basic", "all"] as const) {
      const session = await createNodeRuntime({ optimization }).load(squareModel(3), { threads: 1 });
      expect((await session.run({ x })).y).toEqual(tensor("float32", [1, 4, 9]));
      await session.release();
    }
  });

  it("says in one line what is wrong", async () => {
    const session = await nodeRuntime.load(squareModel(3));
    const run = (...args: Parameters<typeof session.run>) => session.run(...args);
    await expect(run({})).rejects.toMatchObject({
      code: "E_NAME",
      message: `the model's input "x" is not fed`,
    });
    await expect(run({ x, xx: x })).rejects.toMatchObject({
      message: 'the model has no input "xx". Did you mean "x"?',
    });
    await expect(run({ x }, ["yy"])).rejects.toMatchObject({
      code: "E_NAME",
      message: 'the model has no output "yy". Did you mean "y"?',
    });
    const wrong = await run({ x: tensor("float32", [1, 2]) }).catch((e: unknown) => e);
    expect(wrong).toMatchObject({ code: "E_RUNTIME" });
    expect((wrong as Error).message).toMatch(
      /^onnxruntime-node, running the model: [^\n]*x[^\n]*Got: 2 Expected: 3[^\n]*$/,
    );
    expect((wrong as Error).cause).toBeInstanceOf(Error);
    await expect(
      run({ x: { dtype: "float32", dims: [3], data: new Float64Array(3) } }),
    ).rejects.toMatchObject({
      code: "E_RUNTIME",
      message: expect.stringMatching(
        /^onnxruntime-node, "x" as float32\[3\]: A float32 tensor's data must be/,
      ),
    });
    await session.release();
    await expect(nodeRuntime.load(new Uint8Array([1, 2, 3]))).rejects.toMatchObject({
      code: "E_RUNTIME",
      message: expect.stringMatching(/^onnxruntime-node, loading the model: [^\n]*$/),
    });
    expect(() => createNodeRuntime({ thread: 2 } as object)).toThrow(
      'createNodeRuntime: unknown option "thread". Did you mean "threads"?',
    );
  });

  it("says which node failed", async () => {
    const graph = new Graph("g", [["", 17]]);
    const inputs = [
      graph.addInput("a", { dtype: "float32", dims: [2] }),
      graph.addInput("shape", { dtype: "int64", dims: [1] }),
    ];
    const node = graph.addNode({ op: "Reshape", name: "form", inputs, outputs: ["r"] });
    graph.addOutput(node.outputs[0]!);
    const session = await nodeRuntime.load(writeGraph(graph));
    const feeds = { a: tensor("float32", [1, 2]), shape: tensor("int64", [3]) };
    await expect(session.run(feeds)).rejects.toMatchObject({
      message:
        "onnxruntime-node, running the model: Non-zero status code returned while running Reshape node. Name:'form' Status Message: input_shape_size == requested_shape_size was false. The input tensor cannot be reshaped to the requested shape. Input shape:{2}, requested shape:{3}",
    });
    await session.release();
  });

  it("drops the place in the runtime's sources from its messages", async () => {
    const graph = new Graph("new", [["", 28]]);
    const value = graph.addInput("x", { dtype: "float32", dims: [1] });
    graph.addOutput(graph.addNode({ op: "Neg", inputs: [value], outputs: ["y"] }).outputs[0]!);
    const bytes = writeGraph(graph);
    expect(readModel(bytes).graph.opsets.get("")).toBe(28);
    const error = (await nodeRuntime.load(bytes).catch((e: unknown) => e)) as Error;
    expect(error.message).toMatch(/^onnxruntime-node, loading the model: ONNX Runtime only \*guarantees\*/);
  });
});
