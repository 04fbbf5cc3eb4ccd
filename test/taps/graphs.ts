// Small models of the kinds that taps are looked for in, written node by node, with their values' types observed.
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { type Attributes, Graph, int, ints, type Value } from "../../src/graph/graph.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { exampleFeeds } from "../../src/runtime/example-feeds.ts";
import { observe } from "../../src/runtime/observe.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { type TapCandidate, tapCandidates } from "../../src/taps/candidates.ts";

export const batch = 2;

export class Draft {
  readonly graph = new Graph("draft", [["", 17]]);
  #weights = 0;

  input(name: string, dims: readonly number[], dtype: "float32" | "int64" = "float32"): Value {
    return this.graph.addInput(name, { dtype, dims });
  }
  weight(...dims: number[]): Value {
    const size = dims.reduce((a, b) => a * b, 1);
    const data = Array.from({ length: size }, (_, i) => Math.sin(i + this.#weights));
    return this.constant(tensor("float32", data, dims));
  }
  constant(value: Tensor): Value {
    return this.graph.addConstant(`constant${this.#weights++}`, value);
  }
  ints(...values: number[]): Value {
    return this.constant(tensor("int64", values));
  }
  node(name: string, op: string, inputs: readonly Value[], attributes: Attributes = {}): Value {
    return this.graph.addNode({ op, name, inputs, outputs: [name], attributes }).outputs[0] as Value;
  }
  conv(name: string, x: Value, from: number, to: number, stride = 1, kernel = 3): Value {
    const pad = (kernel - 1) / 2;
    const attributes = { pads: ints([pad, pad, pad, pad]), strides: ints([stride, stride]) };
    return this.node(name, "Conv", [x, this.weight(to, from, kernel, kernel)], attributes);
  }
  async candidates(...outputs: Value[]): Promise<TapCandidate[]> {
    return candidatesOf(this.model(...outputs));
  }
  model(...outputs: Value[]): Model {
    for (const y of outputs) this.graph.addOutput(y);
    return readModel(writeGraph(this.graph), { source: "draft.onnx" });
  }
}

export async function candidatesOf(model: Model, logits?: string): Promise<TapCandidate[]> {
  const { types, known } = await observe(model, nodeRuntime, exampleFeeds(model, batch));
  return tapCandidates(model, { types, known, batch, logits });
}

/** A transformer encoder on [N, 6, 8]: for each block, attention and feed-forward, each with its residual sum. */
export function transformer(blocks: number): { draft: Draft; output: Value } {
  const d = new Draft();
  let x = d.node("embed", "MatMul", [d.input("x", [batch, 6, 4]), d.weight(4, 8)]);
  // A mask beside the data goes into every block, and is no branch of it.
  const mask = d.node("mask", "Mul", [
    d.node("away", "Sub", [d.constant(tensor("float32", [1], [])), d.input("keep", [batch, 1, 6])]),
    d.constant(tensor("float32", [-1e4], [])),
  ]);
  for (let i = 0; i < blocks; i++) {
    const [q, k, v] = ["q", "k", "v"].map((n) => d.node(`${n}${i}`, "MatMul", [x, d.weight(8, 8)])) as [
      Value,
      Value,
      Value,
    ];
    const kt = d.node(`kt${i}`, "Transpose", [k], { perm: ints([0, 2, 1]) });
    const scores = d.node(`masked${i}`, "Add", [d.node(`scores${i}`, "MatMul", [q, kt]), mask]);
    const mixed = d.node(`mixed${i}`, "MatMul", [
      d.node(`soft${i}`, "Softmax", [scores], { axis: int(-1) }),
      v,
    ]);
    const attended = d.node(`attended${i}`, "Add", [x, d.node(`out${i}`, "MatMul", [mixed, d.weight(8, 8)])]);
    const hidden = d.node(`relu${i}`, "Relu", [d.node(`fc1${i}`, "MatMul", [attended, d.weight(8, 16)])]);
    x = d.node(`block${i}`, "Add", [attended, d.node(`fc2${i}`, "MatMul", [hidden, d.weight(16, 8)])]);
  }
  const pooled = d.node("pooled", "ReduceMean", [x], { axes: ints([1]), keepdims: int(0) });
  return { draft: d, output: d.node("logits", "MatMul", [pooled, d.weight(8, 3)]) };
}
