// Which convolutions a runtime with a blocked layout computes in it (compile/block-convolutions.ts). Rules ask here where
// the best form of a gradient depends on it.
import type { Node } from "../graph/graph.ts";

export type BlockedForm = "blocked" | "depthwise" | "few-inputs";

/** How a node can be computed in the blocked layout; undefined where it can't. Whole blocks of outputs are needed. */
export function blockedForm(
  { op, domain, inputs, attributes }: Node,
  block: number,
): BlockedForm | undefined {
  if (op !== "Conv" || domain !== "") return undefined;
  const [x, w] = inputs;
  if (x?.type?.dims.length !== 4 || x.type.dtype !== "float32" || !w?.type) return undefined;
  const channels = x.type.dims[1] as number;
  const [maps, perGroup] = w.type.dims as [number, number];
  const group = attributes.group?.kind === "int" ? attributes.group.value : 1;
  if (maps % block !== 0) return undefined;
  if (group === 1) return channels < block ? "few-inputs" : channels % block === 0 ? "blocked" : undefined;
  return perGroup === 1 && maps === channels ? "depthwise" : undefined;
}
