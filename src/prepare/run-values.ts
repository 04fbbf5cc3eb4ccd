// Runs a model for values inside it. Knows no op.
import type { Node } from "../graph/graph.ts";
import { editModel } from "../onnx/edit-model.ts";
import { modelBytes } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import type { Runtime, Tensors } from "../runtime/session.ts";

/** Names of what the nodes compute. */
export const valuesOf = (nodes: readonly Node[]): string[] =>
  nodes.flatMap((n) => n.outputs.flatMap((y) => (y ? [y.name] : [])));

/** Runs the model for the named values, once for each feeds. Values that are no tensors are left out. */
export async function runFor(
  names: readonly string[],
  model: Model,
  runtime: Runtime,
  feeds: readonly Tensors[],
): Promise<Tensors[]> {
  if (names.length === 0) return feeds.map(() => ({}));
  const session = await runtime.load(modelBytes(editModel(model, { outputs: names })), {
    optimization: "none",
    externalData: model.externalFiles,
  });
  try {
    const found: Tensors[] = [];
    for (const f of feeds) found.push({ ...f, ...(await session.run(f)) });
    return found;
  } finally {
    await session.release();
  }
}
