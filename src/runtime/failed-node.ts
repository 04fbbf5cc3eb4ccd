// Which node ONNX Runtime complains about. Reads its messages: "while running Add node. Name:'/add' …" when it runs a
// model, "Node (/add) Op (Add) …" when it loads one.

/** The node's name; undefined where the error names none. */
export function failedNode(error: unknown): string | undefined {
  const text = error instanceof Error ? error.message : "";
  return (/\bName:'([^']*)'/.exec(text) ?? /\bNode ?\(([^)]*)\) Op \(/.exec(text))?.[1];
}
