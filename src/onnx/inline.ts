// Model-local functions and If nodes of known condition, written out in the main graph: each call becomes the function's
// nodes, each such If the nodes of its branch. Interprets no op but If and Constant. The walk itself is in inliner.ts.
import type { GraphProto } from "onnx-buf";
import type { Tensor } from "../base/tensor.ts";
import { type Condition, type Inlined, Inliner } from "./inliner.ts";
import { dtypeOf, isConstant, shallow } from "./proto.ts";
import { decodeTensor, isExternal } from "./tensor-proto.ts";

export type { Condition, Inlined };

/**
 * The model with its functions and the Ifs of known condition written out; the same message where there are none.
 * Untouched: subgraphs that stay (their calls run as before),
 * and functions made for another opset than the model's.
 *
 * Errors: E_MODEL for a function that calls itself.
 */
export function inlined(given: Inlined, condition: Condition): Inlined {
  let now = given;
  // What a function or a branch holds may be known only once it is written out.
  for (;;) {
    const next = once(now, condition);
    if (next === now) return now;
    now = next;
  }
}

function once(given: Inlined, condition: Condition): Inlined {
  const { proto } = given;
  const graph = proto.graph as GraphProto;
  let constants: Map<string, boolean> | undefined;
  const inliner = new Inliner(given, (name) => {
    constants ??= constantConditions(graph);
    return constants.get(name) ?? condition(name);
  });
  const nodes = inliner.expandMain();
  if (!inliner.changed) return given;
  const g = shallow(graph);
  g.node = nodes;
  g.initializer = [...graph.initializer, ...inliner.initializers];
  const copy = shallow(proto);
  copy.graph = g;
  copy.opsetImport = inliner.opsetImport();
  return { proto: copy, provenance: { places: inliner.places, originals: inliner.originals } };
}

/** Constants of the main graph that are one bool. */
function constantConditions(graph: GraphProto): Map<string, boolean> {
  const held = graph.initializer.map((t) => [t.name, t] as const);
  for (const node of graph.node) {
    const t = isConstant(node) ? node.attribute[0]?.t : undefined;
    if (t) held.push([node.output[0] ?? "", t]);
  }
  const found = new Map<string, boolean>();
  for (const [name, t] of held) {
    if (dtypeOf(t.dataType) !== "bool" || isExternal(t)) continue;
    const { data } = decodeTensor(t, `"${name}"`, () => ({ path: "", data: new Uint8Array() })) as Tensor;
    if (data.length === 1) found.set(name, Number(data[0]) !== 0);
  }
  return found;
}
