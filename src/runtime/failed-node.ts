// Which node ONNX Runtime complains about. Reads its messages: "while running Add node. Name:'/add' …" when it runs a
// model, "Node (/add) Op (Add) …" and "acme:Swoosh(-1) is not a registered function/op" when it loads one.
import type { Node } from "../graph/graph.ts";

/** The node's name; undefined where the error names none. */
export function failedNode(error: unknown): string | undefined {
  const text = error instanceof Error ? error.message : "";
  return (/\bName:'([^']*)'/.exec(text) ?? /\bNode ?\(([^)]*)\) Op \(/.exec(text))?.[1];
}

/** The first of `nodes` whose op the runtime does not know; undefined where the error says nothing of the kind. */
export function unregisteredNode(nodes: readonly Node[], error: unknown): Node | undefined {
  const text = error instanceof Error ? error.message : "";
  const [, domain, op] = /(\S+):(\w+)\([-\d]+\) is not a registered function/.exec(text) ?? [];
  return nodes.find((n) => n.op === op && n.domain === domain);
}
