// Emits one node of the user's model into the step's graph, through the op table: the single way in.
import { DistillError, didYouMean } from "../base/errors.ts";
import { isLowBits } from "../base/low-bits.ts";
import { withoutLowBits } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import { AttributeReader } from "./attributes.ts";
import { type Builder, type OpTable, tableKey } from "./builder.ts";
import { type Composite, type EmitHooks, isRefusal, type OpDefinition, type Primitive } from "./define.ts";

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
  const where = whereOf(node);
  const definition = definitionOf(b.table, node, opset);
  const version = versionOf(definition, opset) as number;
  const value = (i: number): Value => {
    const v = inputs[i];
    if (!v) throw new DistillError("E_MODEL", `${where}: input ${i} is missing; the model is not valid ONNX`);
    // Numbers of few bits are carried as floats, as those are that a QuantizeLinear makes.
    const constant = b.constantOf(v);
    return constant && isLowBits(constant.dtype) ? b.constant(withoutLowBits(constant), v.name) : v;
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

/**
 * How the table emits `node`.
 *
 * @param neededBy the weight that needs the node, for messages
 * @throws E_OP for an op, or an opset of it, that the table does not have or refuses
 */
export function definitionOf(
  table: OpTable,
  node: Node,
  opset: number,
  neededBy: () => string | undefined = () => undefined,
): Primitive | Composite {
  const definition = table.get(tableKey(node.op, node.domain));
  if (definition && !isRefusal(definition) && versionOf(definition, opset) !== undefined) return definition;
  const weight = neededBy();
  const need = weight === undefined ? "" : `, needed by "${weight}"`;
  if (!definition) throw unknownOp(table, node, need);
  if (isRefusal(definition))
    throw new DistillError(
      "E_OP",
      `${whereOf(node)}${need && `${need},`} cannot be part of a student: ${definition.refused}`,
    );
  throw new DistillError(
    "E_OP",
    `${whereOf(node)}${need}: opset ${opset} is older than ${node.op} of opset ${definition.versions[0]}, the first we know; export the model with a newer opset`,
  );
}

const whereOf = (node: Node): string => `${node.op} at node "${node.name}"`;

/** The newest since-version that is not newer than `opset`. */
export function versionOf(definition: OpDefinition, opset: number): number | undefined {
  return definition.versions.filter((v) => v <= opset).at(-1);
}

function unknownOp(table: OpTable, node: Node, need: string): DistillError {
  const name = tableKey(node.op, node.domain);
  const what = `no rule for op ${name} at node "${node.name}"${need}, so it cannot be part of a student`;
  if (ofOptimizer(node))
    return new DistillError(
      "E_OP",
      `${what}: it is from a file that ONNX Runtime has optimised for a processor; give the original, from the exporter`,
    );
  // An op of the same name in another domain is another op.
  const known = [...table.values()]
    .filter((d) => tableKey("", d.domain) === tableKey("", node.domain))
    .map((d) => d.op);
  const made =
    node.domain === "com.microsoft"
      ? " Where ONNX Runtime put it there when it optimised the model, give the file as it was before that."
      : "";
  return new DistillError(
    "E_OP",
    `${what}.${didYouMean(node.op, known)}${made} Add a rule in src/ops, replace the op in the model, or freeze every weight before it (--freeze): then it runs as it stands.`,
  );
}

/** Ops of layouts that ONNX Runtime chooses for a processor, which no exporter writes. */
export const ofOptimizer = ({ op, domain }: Node): boolean =>
  /(^|\.)(nchwc|nhwc|internal)(\.|$)/.test(domain) || (domain === "com.microsoft" && op.startsWith("Nhwc"));
