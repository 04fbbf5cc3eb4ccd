// Where the gradient ends that does not come to a weight: for messages.
import { isFloat } from "../base/tensor.ts";
import type { Graph, Node, Value } from "../graph/graph.ts";

/**
 * The user's node, of `path`, at which the walk back from the loss to `weight` ended: the one that makes integers of floats,
 * if there is one on the way.
 *
 * @param graph the step as emitted; a node of it is named `<user's node>/<op>`
 * @param ends values to which a node passes no gradient (see `differentiate`)
 */
export function endBefore(
  weight: Value,
  graph: Graph,
  ends: ReadonlyMap<Value, Node>,
  path: readonly Node[],
): Node | undefined {
  const reached = new Set([weight]);
  for (const node of graph.nodes) {
    const from = node.inputs.filter((x) => x !== undefined && reached.has(x)) as Value[];
    if (from.length === 0) continue;
    const end = from.map((x) => ends.get(x)).find((n) => n !== undefined);
    if (end) return userNode(end, path);
    if (node.outputs.every((y) => y?.type && !isFloat(y.type.dtype))) return userNode(node, path);
    for (const y of node.outputs) if (y) reached.add(y);
  }
  return undefined;
}

function userNode({ name }: Node, path: readonly Node[]): Node | undefined {
  const within = path.filter((n) => name === n.name || name.startsWith(`${n.name}/`));
  return within.toSorted((a, b) => b.name.length - a.name.length)[0];
}

/** `"fc.weight" (its gradient ends at Hardmax, node "/logits")`; at most five. */
export function describeUnmoved(unmoved: ReadonlyMap<string, Node | undefined>): string {
  const shown = [...unmoved]
    .slice(0, 5)
    .map(([name, end]) => `"${name}"${end ? ` (its gradient ends at ${end.op}, node "${end.name}")` : ""}`);
  const more = unmoved.size - shown.length;
  return `${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
