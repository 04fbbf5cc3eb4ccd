// What the constants of a model are for: learned numbers, running statistics, or numbers of the architecture.
import { type DType, isFloat, sizeOf, type Tensor, type TensorData } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { beginningOf } from "../onnx/tensor-proto.ts";
import { type OpTable, tableKey } from "./builder.ts";
import { fixedSlotsOf } from "./define.ts";

export type ConstantRole = "parameter" | "statistics";

/**
 * The role of each constant that the nodes take, of an element type that `counts`. Left out, as numbers of the architecture:
 * - one-element constants (an epsilon, a divisor), unless they lie in a slot that the op declares to hold weights;
 * - what lies in a slot that the op declares fixed (scales of a Resize);
 * - what comes from a Constant node, where the file's weights are initialisers (a window, a mean image);
 * - additive masks: zeros and numbers of -50 and below, which a softmax takes for minus infinity.
 */
export function constantRoles(
  model: Model,
  table: OpTable,
  nodes: readonly Node[],
  counts: (dtype: DType) => boolean = isFloat,
): Map<Value, ConstantRole> {
  const { constants } = model.graph;
  const roles = new Map<Value, ConstantRole>();
  const fixed = new Set<Value>();
  const isWeight = (tensor: Tensor): boolean => counts(tensor.dtype) && sizeOf(tensor.dims) > 1;
  const hasInitialisers = [...constants].some(([x, t]) => !model.constantNodes.has(x) && isWeight(t));
  const mayBeWeight = (x: Value, tensor: Tensor): boolean =>
    !(hasInitialisers && model.constantNodes.has(x)) && !isMask(tensor);
  for (const node of nodes) {
    const definition = table.get(tableKey(node.op, node.domain));
    const fixedSlots = fixedSlotsOf(definition, node, (x) => constants.get(x));
    node.inputs.forEach((x, i) => {
      const tensor = x && constants.get(x);
      if (!x || !tensor || !counts(tensor.dtype) || roles.get(x) === "statistics") return;
      if (definition?.statistics?.includes(i)) roles.set(x, "statistics");
      else if (fixedSlots.includes(i)) fixed.add(x);
      else if ((isWeight(tensor) || definition?.weights?.includes(i)) && mayBeWeight(x, tensor))
        roles.set(x, "parameter");
    });
  }
  for (const x of fixed) if (roles.get(x) === "parameter") roles.delete(x);
  return roles;
}

/** Zeros and numbers far below, both there. A large teacher's weights are not read from their file for it. */
function isMask(tensor: Tensor): boolean {
  if (tensor.dtype !== "float32" && tensor.dtype !== "float64") return false;
  const every = (data: TensorData): boolean => (data as Float32Array).every((v) => v === 0 || v <= -50);
  return every(beginningOf(tensor, 1024)) && every(tensor.data) && tensor.data.some((v) => v !== 0);
}
