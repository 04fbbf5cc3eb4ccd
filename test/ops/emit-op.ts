// Emits one node as it would stand in a user's model, whatever its opset's spelling, for tests of the op families.
import type { Attributes, Node, Value } from "../../src/graph/graph.ts";
import type { Builder } from "../../src/ops/builder.ts";
import type { EmitHooks } from "../../src/ops/define.ts";
import { emitNode, inferenceHooks } from "../../src/ops/emit-node.ts";

export interface EmitOptions {
  readonly domain?: string;
  /** Opset of the node's domain; default 21, and 1 for com.microsoft. */
  readonly opset?: number;
  /** How many outputs the node names; default 1. */
  readonly outputs?: number;
  /** Default: frozen statistics, no dropout. */
  readonly hooks?: EmitHooks;
}

export function emitOp(
  b: Builder,
  op: string,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes = {},
  options: EmitOptions = {},
): readonly (Value | undefined)[] {
  const domain = options.domain ?? "";
  const outputs = Array.from({ length: options.outputs ?? 1 }, (_, i) => ({
    id: i,
    name: `y${i}`,
    type: undefined,
    producer: undefined,
  }));
  const node: Node = { op, domain, name: "node", inputs, outputs, attributes };
  return emitNode(
    b,
    node,
    options.opset ?? (domain === "" ? 21 : 1),
    inputs,
    options.hooks ?? inferenceHooks,
  );
}
