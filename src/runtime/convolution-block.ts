// Asks a runtime for the block of its blocked convolution layout, which depends on the processor: ReorderInput fills the
// channels of what it is given up to whole blocks.
import { tensor } from "../base/tensor.ts";
import { Graph } from "../graph/graph.ts";
import { writeGraph } from "../onnx/write-graph.ts";
import type { Runtime } from "./session.ts";

/** undefined where the runtime has no such layout. */
export async function probeConvolutionBlock(load: Runtime["load"]): Promise<number | undefined> {
  const domain = "com.microsoft.nchwc";
  const channels = 4; // ReorderInput takes multiples of four only.
  const graph = new Graph("probe", [
    ["", 21],
    [domain, 1],
  ]);
  const x = graph.addInput("x", { dtype: "float32", dims: [1, channels, 1, 1] });
  const { outputs } = graph.addNode({
    op: "ReorderInput",
    domain,
    inputs: [x],
    outputs: ["y"],
    types: [undefined],
  });
  if (outputs[0]) graph.addOutput(outputs[0]);
  try {
    const session = await load(writeGraph(graph), { threads: 1 });
    const { y } = await session.run({
      x: tensor("float32", new Float32Array(channels), [1, channels, 1, 1]),
    });
    await session.release();
    const block = y?.dims[1] as number;
    return block > 1 ? block : undefined;
  } catch {
    return undefined;
  }
}
