// Inputs that are nothing but the state in which a recurrent layer begins. Zeros are what the layer takes without them.
// Source: ONNX operators LSTM, GRU, RNN (initial_h, initial_c: "assumed to be 0" where not given).
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { namesInside } from "../onnx/subgraphs.ts";

const stateSlots: Readonly<Record<string, readonly number[]>> = { LSTM: [5, 6], GRU: [5], RNN: [5] };
/** By which an input is cut, joined or laid out anew. */
const layout = new Set([
  ...["Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten"],
  ...["Slice", "Gather", "Split", "Concat"],
]);

/** The layer whose first state the input is; undefined where it goes elsewhere too. */
export function beginsLayer(model: Model, input: string): Node | undefined {
  const { graph } = model;
  const start = graph.find(input);
  if (!start) return undefined;
  let found: Node | undefined;
  const seen = new Set<Value>([start]);
  for (const value of seen) {
    if (graph.outputs.includes(value)) return undefined;
    for (const node of graph.nodes) {
      if ([...namesInside(node)].includes(value.name)) return undefined;
      const slots = node.inputs.flatMap((x, i) => (x === value ? [i] : []));
      if (slots.length === 0) continue;
      if (node.domain !== "") return undefined;
      const states = stateSlots[node.op];
      if (states) {
        if (!slots.every((i) => states.includes(i))) return undefined;
        found ??= node;
      } else if (layout.has(node.op) && (node.op === "Concat" || slots.every((i) => i === 0))) {
        for (const y of node.outputs) if (y) seen.add(y);
      } else return undefined;
    }
  }
  return found;
}
