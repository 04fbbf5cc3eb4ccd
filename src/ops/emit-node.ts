// Emits one node of the user's model into the step's graph, through the op table: the single way in.
import { DistillError, didYouMean } from "../base/errors.ts";
import type { Node, Value } from "../graph/graph.ts";
import { AttributeReader } from "./attributes.ts";
import { type Builder, tableKey } from "./builder.ts";
import { type EmitHooks, isRefusal, type OpDefinition } from "./define.ts";

/** Hooks for graphs that are not trained: frozen statistics, no dropout. */
export const inferenceHooks: EmitHooks = {
  runningStatistics: () => undefined,
  dropoutMask: () => undefined,
};

/**
 * Appends the meaning of `node` (of a model with the given opset in the node's domain) to the builder's graph, its inputs
 * already there. Returns the node's outputs.
 * @throws E_OP for an op, or an opset of it, that the table does not have.
 */
export function emitNode(
  b: Builder,
  node: Node,
  opset: number,
  inputs: readonly (Value | undefined)[],
  hooks: EmitHooks,
): readonly (Value | undefined)[] {
  const where = `${node.op} at node "${node.name}"`;
  const definition = b.table.get(tableKey(node.op, node.domain));
  if (!definition) throw unknownOp(b, node);
  if (isRefusal(definition))
    throw new DistillError("E_OP", `${where} cannot be part of a student: ${definition.refused}`);
  const version = versionOf(definition, opset);
  if (version === undefined)
    throw new DistillError(
      "E_OP",
      `${where}: opset ${opset} is older than ${node.op} of opset ${definition.versions[0]}, the first we know; export the model with a newer opset`,
    );
  const value = (i: number): Value => {
    const v = inputs[i];
    if (!v) throw new DistillError("E_MODEL", `${where}: input ${i} is missing; the model is not valid ONNX`);
    return v;
  };
  return b.scope(node.name, () =>
    definition.emit({
      b,
      node,
      version,
      count: inputs.length,
      has: (i) => inputs[i] !== undefined,
      x: value,
      numbers: (i) => b.numbersOf(value(i), where),
      attr: new AttributeReader(node.attributes, where),
      where,
      hooks,
    }),
  );
}

/** The newest since-version that is not newer than `opset`. */
export function versionOf(definition: OpDefinition, opset: number): number | undefined {
  return definition.versions.filter((v) => v <= opset).at(-1);
}

function unknownOp(b: Builder, node: Node): DistillError {
  const name = tableKey(node.op, node.domain);
  return new DistillError(
    "E_OP",
    `no rule for op ${name} at node "${node.name}", so it cannot be part of a student.${didYouMean(name, b.table.keys())} Add a rule in src/ops, or replace the op in the model.`,
  );
}
