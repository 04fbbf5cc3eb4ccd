// Node's runtime in a worker thread, held to the same runtime in this one.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { Graph } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import {
  createNodeRuntime,
  nodeRuntime,
  startThread,
  type ThreadRuntime,
} from "../../src/runtime/ort-node.ts";
import { OwnTensor } from "../../src/runtime/own-tensor.ts";
import type { Runtime } from "../../src/runtime/session.ts";

/** y = a · b, z = −a, of any length. */
function model(): Uint8Array {
  const type = { dtype: "float32", dims: ["n"] as unknown as number[] } as const;
  const graph = new Graph("product", [["", 17]]);
  const [a, b] = [graph.addInput("a", type), graph.addInput("b", type)];
  for (const [op, inputs, output] of [
    ["Mul", [a, b], "y"],
    ["Neg", [a], "z"],
  ] as const)
    graph.addOutput(graph.addNode({ op, inputs, outputs: [output], types: [type] }).outputs[0]!);
  return writeGraph(graph);
}

/** x·x·x… of a square matrix: a run of some seconds, or as many as are wanted. */
function longModel(size: number, times: number): Uint8Array {
  const type = { dtype: "float32", dims: [size, size] } as const;
  const graph = new Graph("long", [["", 17]]);
  const x = graph.addInput("x", type);
  let y = x;
  for (let i = 0; i < times; i++)
    y = graph.addNode({ op: "MatMul", inputs: [y, x], outputs: [`y${i}`], types: [type] }).outputs[0]!;
  graph.addOutput(y);
  return writeGraph(graph);
}

const own = (...values: number[]): OwnTensor =>
  new OwnTensor("float32", [values.length], Float32Array.from(values));

let thread: ThreadRuntime;
beforeAll(async () => {
  thread = (await startThread(nodeRuntime))!;
});
afterAll(() => thread.release());

describe("a runtime in a worker thread", () => {
  it("runs to the same numbers, and leaves what it is fed as it was", async () => {
    const session = await thread.load(model());
    expect(session.inputs).toEqual([
      { name: "a", dtype: "float32", dims: ["n"] },
      { name: "b", dtype: "float32", dims: ["n"] },
    ]);
    const whole = Float32Array.from([1, 2, 3, 4]);
    const a: Tensor = { dtype: "float32", dims: [2], data: whole.subarray(1, 3) };
    for (const b of [tensor("float32", [5, 6]), own(5, 6)]) {
      expect(await session.run({ a, b })).toEqual({
        y: tensor("float32", [10, 18]),
        z: tensor("float32", [-2, -3]),
      });
      expect(b.data).toEqual(Float32Array.of(5, 6));
    }
    expect(whole).toEqual(Float32Array.of(1, 2, 3, 4));
    // Another length finds no memory of its own size from the runs before.
    expect(await session.run({ a: tensor("float32", [2]), b: tensor("float32", [4]) }, ["y"])).toEqual({
      y: tensor("float32", [8]),
    });
    await session.release();
    await session.release();
  });

  it("takes an OwnTensor's memory for the time of a run, also of one that fails", async () => {
    const session = await thread.load(model());
    const [a, into] = [own(1, 2), own(0, 0)];
    const running = session.run({ a, b: tensor("float32", [3, 4]) }, ["y", "z"], { y: into });
    expect([a.data.length, into.data.length]).toEqual([0, 0]);
    const { y, z } = await running;
    expect(y).toBe(into);
    expect(into.data).toEqual(Float32Array.of(3, 8));
    expect(z!.data).toEqual(Float32Array.of(-1, -2));
    await expect(session.run({ a, b: tensor("float32", [1, 2, 3]) })).rejects.toMatchObject({
      code: "E_RUNTIME",
    });
    expect(a.data).toEqual(Float32Array.of(1, 2));
    const twin = new OwnTensor("float32", [2], a.data);
    expect((await session.run({ a, b: twin }, ["y"])).y!.data).toEqual(Float32Array.of(1, 4));
    expect(twin.data).toBe(a.data);
    await session.release();
  });

  it("writes into no memory that may be somebody else's", async () => {
    const session = await thread.load(model());
    const given = tensor("float32", [0, 0]);
    const part = new OwnTensor("float32", [2], new Float32Array(3).subarray(1));
    for (const into of [given, part]) {
      const { y } = await session.run({ a: own(1, 2), b: own(3, 4) }, ["y"], { y: into });
      expect(y).toEqual(tensor("float32", [3, 8]));
      expect(into.data).toEqual(Float32Array.of(0, 0));
    }
    await session.release();
  });

  it("fails in the same words", async () => {
    const words = async (runtime: Runtime): Promise<unknown[]> => {
      const found: unknown[] = [];
      const note = (error: { code?: string; message: string }) => found.push([error.code, error.message]);
      await runtime.load(Uint8Array.of(1, 2, 3)).catch(note);
      const session = await runtime.load(model());
      const [a, b] = [tensor("float32", [1, 2]), tensor("float32", [1, 2])];
      await session.run({ a }).catch(note);
      await session.run({ a, b, c: a }).catch(note);
      await session.run({ a, b }, ["x"]).catch(note);
      await session.run({ a, b: tensor("float32", [1, 2, 3]) }).catch(note);
      await session.run({ a, b: tensor("int32", [1, 2]) }).catch(note);
      await session.run({ a, b: { ...b, dims: [3] } }).catch(note);
      await session.run({ a, b: { ...b, dtype: "bfloat16" } }).catch(note);
      await session.release();
      await session.run({ a, b }).catch(note);
      return found;
    };
    const here = await words(nodeRuntime);
    expect(here).toHaveLength(9);
    expect(await words(thread)).toEqual(here);
  });

  it("leaves the event loop free while it computes", async () => {
    const session = await thread.load(longModel(512, 60));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const began = performance.now();
    const x = new OwnTensor("float32", [512, 512], new Float32Array(512 * 512));
    await session.run({ x });
    const took = performance.now() - began;
    clearInterval(timer);
    await session.release();
    // It would be one in this thread.
    expect(ticks).toBeGreaterThan(Math.min(10, took / 20));
  });

  it("ends with its release, and is of Node's own runtimes alone", async () => {
    const other = (await startThread(createNodeRuntime({ threads: 1 })))!;
    const session = await other.load(model());
    await other.release();
    await expect(session.run({ a: own(1), b: own(2) })).rejects.toMatchObject({
      code: "E_RUNTIME",
      message: "onnxruntime-node, running the model: the worker thread has ended with code 0",
    });
    await session.release();
    await other.release();
    expect(await startThread({ ...nodeRuntime })).toBeUndefined();
  });
});
