// The batch size that a model was made for. Models that leave their first dimension open have none.
import type { Model } from "../onnx/model.ts";

/**
 * The first dimension that all inputs share, where every input declares one; undefined where one of them leaves it open (a
 * static first dimension beside it is then no batch).
 */
export function fixedBatchOf(model: Pick<Model, "inputs">): number | undefined {
  const first = model.inputs.map((i) => i.dims[0]);
  const size = first[0];
  return typeof size === "number" && first.every((d) => d === size) ? size : undefined;
}
