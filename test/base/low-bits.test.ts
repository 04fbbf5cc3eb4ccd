// Element types of few bits are what ONNX Runtime reads: each byte of a float of eight, each place in a packed byte.
import { describe, expect, it } from "vitest";
import {
  arrayFromBytes,
  bytesFromArray,
  type NumericDType,
  storedBytes,
  type Tensor,
  toNumbers,
} from "../../src/base/tensor.ts";
import { Graph, int, type Value } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";

const packed = ["int4", "uint4", "int2", "uint2"] as const;
const float8 = ["float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"] as const;

async function readByRuntime(t: Tensor): Promise<number[]> {
  const graph = new Graph("cast", [["", 25]]);
  const x = graph.addConstant("x", t);
  const y = graph.addNode({ op: "Cast", inputs: [x], outputs: ["y"], attributes: { to: int(1) } });
  graph.addOutput(y.outputs[0] as Value);
  const session = await nodeRuntime.load(writeGraph(graph));
  try {
    return toNumbers((await session.run({})).y as Tensor);
  } finally {
    await session.release();
  }
}

/** Every byte once, and a last one that is not full. */
const allBytes = Uint8Array.from({ length: 257 }, (_, i) => i % 256);

describe("numbers", () => {
  it.each([...packed, ...float8])("%s", async (dtype: NumericDType) => {
    const count = (257 * 8) / storedBytes(dtype, 8) - 1;
    const stored = allBytes.subarray(0, storedBytes(dtype, count));
    const t: Tensor = { dtype, dims: [count], data: arrayFromBytes(dtype, stored, count) };
    expect(toNumbers(t)).toEqual(await readByRuntime(t));
    const again = bytesFromArray(dtype, t.data as Uint8Array);
    expect([...again.subarray(0, 256)]).toEqual([...stored.subarray(0, 256)]);
    expect(again.length).toBe(stored.length);
  });
});
