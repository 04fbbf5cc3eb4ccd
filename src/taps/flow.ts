// How data flows through a model as its weights see it: how many weighted layers lie behind each value, and through which
// values everything flows. Knows no op by name: what a layer is follows from where the weights are.
import { isFloat, sizeOf, type TensorType } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";

export interface Flow {
  /** The nodes that the target depends on and that carry data through weights, in the graph's order. */
  readonly nodes: readonly Node[];
  /** Weighted layers on the longest way from an input to the value. */
  readonly depth: ReadonlyMap<Value, number>;
  /** Values without which nothing reaches the target: the ends of blocks, and every value of a plain chain. */
  readonly cuts: ReadonlySet<Value>;
  /** Cuts in which two or more branches meet. */
  readonly merges: ReadonlySet<Value>;
}

/**
 * A value carries when it depends on an input's elements and on a weight; shape arithmetic, masks and what is computed
 * from weights alone do not. A weight is a float constant of two or more elements, or what is made of such alone.
 * Takes time linear in the graph.
 */
export function flowTo(
  model: Model,
  target: Value,
  types: ReadonlyMap<Value, TensorType>,
  known: ReadonlyMap<Value, unknown>,
): Flow {
  const needed = new Set<Value>([target]);
  const all = model.graph.nodes.toReversed().filter((node) => {
    if (!node.outputs.some((y) => y && needed.has(y) && !known.has(y))) return false;
    for (const x of node.inputs) if (x && !known.has(x)) needed.add(x);
    return true;
  });
  const fromInput = new Set<Value>(model.graph.inputs);
  const weighted = new Set<Value>();
  for (const [value, tensor] of model.graph.constants)
    if (isFloat(tensor.dtype) && sizeOf(tensor.dims) > 1) weighted.add(value);
  const depth = new Map<Value, number>();
  const carriers = new Set<Value>();
  const nodes: Node[] = [];
  for (const node of all.reverse()) {
    const inputs = node.inputs.filter((x) => x !== undefined);
    const data = inputs.some((x) => fromInput.has(x));
    const layer =
      data && inputs.some((x) => weighted.has(x) && !fromInput.has(x) && isMatrix(x, types, model));
    const behind = inputs.reduce((most, x) => Math.max(most, depth.get(x) ?? 0), 0) + (layer ? 1 : 0);
    for (const y of node.outputs) {
      if (!y) continue;
      depth.set(y, behind);
      if (data) fromInput.add(y);
      if (inputs.some((x) => weighted.has(x))) weighted.add(y);
      if (data && weighted.has(y)) carriers.add(y);
    }
    if (node.outputs.some((y) => y && carriers.has(y))) nodes.push(node);
  }
  return { nodes, depth, ...cutsOf(nodes, carriers, target) };
}

/** After a cut is computed nothing else that carries is still to be used, whatever the order of the nodes. */
function cutsOf(
  nodes: readonly Node[],
  carriers: ReadonlySet<Value>,
  target: Value,
): Pick<Flow, "cuts" | "merges"> {
  const lastUse = new Map<Value, number>([[target, nodes.length]]);
  nodes.forEach((node, i) => {
    for (const x of node.inputs) if (x && x !== target) lastUse.set(x, i);
  });
  const cuts = new Set<Value>();
  const merges = new Set<Value>();
  const live = new Set<Value>();
  nodes.forEach((node, i) => {
    const branches = new Set(node.inputs.filter((x) => x && carriers.has(x))).size;
    for (const x of node.inputs) if (x && lastUse.get(x) === i) live.delete(x);
    for (const y of node.outputs) if (y && carriers.has(y) && lastUse.has(y)) live.add(y);
    const [only] = live;
    if (live.size !== 1 || !only || !node.outputs.includes(only)) return;
    cuts.add(only);
    if (branches > 1) merges.add(only);
  });
  return { cuts, merges };
}

/** Two axes of more than one element, or rank 2: a product's or a convolution's weight, and no bias or scale. */
function isMatrix(x: Value, types: ReadonlyMap<Value, TensorType>, model: Model): boolean {
  const dims = (types.get(x) ?? model.graph.constants.get(x))?.dims ?? [];
  return dims.length === 2 || dims.filter((d) => d > 1).length >= 2;
}
