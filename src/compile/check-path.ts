// Refuses a student with a node that no step can hold before anything is emitted, so that the message can say which weight
// needs it.
import { isFloat, sizeOf } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import type { OpTable } from "../ops/builder.ts";
import { definitionOf } from "../ops/emit-node.ts";

/** @throws E_OP for a node of an op, or an opset of it, that the table does not have or refuses. */
export function checkPath(
  model: Model,
  table: OpTable,
  path: readonly Node[],
  trained: readonly Value[],
): void {
  for (const node of path)
    definitionOf(table, node, model.graph.opsets.get(node.domain) ?? 1, () =>
      neededBy(node, path, new Set(trained)),
    );
}

/**
 * A weight whose gradient passes through the node: the nearest of those that its inputs are computed from, or one that is its
 * input; if there are none, the first that meets its result.
 */
export function neededBy(node: Node, path: readonly Node[], trained: ReadonlySet<Value>): string | undefined {
  const weightOf = (n: Node): Value | undefined => n.inputs.find((x) => x && trained.has(x));
  const before = new Set([node]);
  for (const n of before) {
    const weight = n === node ? undefined : weightOf(n);
    if (weight) return weight.name;
    for (const x of n.inputs) if (x?.producer) before.add(x.producer);
  }
  const own = weightOf(node);
  if (own) return own.name;
  const reached = new Set(node.outputs);
  for (const after of path) {
    if (!after.inputs.some((x) => x && reached.has(x))) continue;
    const weight = weightOf(after);
    if (weight) return weight.name;
    for (const y of after.outputs) reached.add(y);
  }
  return undefined;
}

/** What may be trained, before anything is known of shapes and roles: for messages. */
export function likelyWeights(model: Model): Set<Value> {
  const floats = [...model.graph.constants].filter(([, t]) => isFloat(t.dtype) && sizeOf(t.dims) > 1);
  return new Set(floats.map(([x]) => x));
}
