// Brings the part of the user's student that the loss needs into a step's graph.
import { DistillError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import type { Builder } from "../ops/builder.ts";
import type { EmitHooks } from "../ops/define.ts";
import { emitNode } from "../ops/emit-node.ts";

/** The nodes that `wanted` depend on, in order; not looked past what is known already. */
export function pathTo(
  model: Model,
  wanted: readonly Value[],
  known: { has(value: Value): boolean },
): Node[] {
  const needed = new Set(wanted);
  return model.graph.nodes
    .toReversed()
    .filter((node) => {
      if (!node.outputs.some((y) => y && needed.has(y) && !known.has(y))) return false;
      for (const x of node.inputs) if (x && !known.has(x)) needed.add(x);
      return true;
    })
    .reverse();
}

/** Emits `path`; `given` holds the inputs and the state as values of the builder's graph. Returns every value by the user's. */
export function emitForward(
  b: Builder,
  model: Model,
  path: readonly Node[],
  given: ReadonlyMap<Value, Value>,
  known: ReadonlyMap<Value, Tensor>,
  hooks: EmitHooks,
  /** Another value in place of a node's input. */
  instead: (node: Node, slot: number, x: Value) => Value = (_node, _slot, x) => x,
): Map<Value, Value> {
  const values = new Map(given);
  const emitted = (x: Value): Value => {
    const found = values.get(x);
    if (found) return found;
    const constant = known.get(x) ?? model.graph.constants.get(x);
    if (!constant)
      throw new DistillError(
        "E_MODEL",
        `${model.source}: value "${x.name}" is used but not computed by any node`,
      );
    const made = b.constant(constant, x.name);
    values.set(x, made);
    return made;
  };
  for (const node of path) {
    const opset = model.graph.opsets.get(node.domain) ?? 1;
    const outputs = emitNode(
      b,
      node,
      opset,
      node.inputs.map((x, slot) => x && instead(node, slot, emitted(x))),
      hooks,
    );
    node.outputs.forEach((y, i) => {
      const made = outputs[i];
      if (y && made) values.set(y, made);
    });
  }
  return values;
}
