// How large a model is: its learned numbers and its bytes. Counts what the file holds; runs nothing.
import { type DType, isFloat, sizeOf } from "../base/tensor.ts";
import { fileSize, isOnDisk } from "../base/value-info.ts";
import type { Node, Value } from "../graph/graph.ts";
import { modelBytes } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import { type ConstantRole, constantRoles } from "../ops/constant-roles.ts";
import { opTable } from "../ops/index.ts";

export interface ModelSize {
  /** Learned numbers: float and 8-bit constants, without running statistics and what stays as it is (see `constantRoles`). */
  readonly parameters: number;
  /** Constants that hold them. */
  readonly tensors: number;
  /** Running statistics of normalisations: in the file, not learned by descent. */
  readonly statistics: number;
  /** The file and its external data. */
  readonly bytes: number;
}

/**
 * Sizes of a model.
 *
 * @example
 * modelSize(await readModelFile("student.onnx")).parameters; // 11034
 */
export function modelSize(model: Model): ModelSize {
  let parameters = 0;
  let tensors = 0;
  let statistics = 0;
  for (const [value, role] of learnedConstants(model)) {
    const n = sizeOf(model.graph.constants.get(value)?.dims ?? [0]);
    if (role.kind === "statistics") statistics += n;
    else if (role.kind === "parameter") {
      parameters += n;
      tensors++;
    }
  }
  const external = model.externalFiles.reduce((n, f) => n + fileSize(f), 0);
  // A model whose weights were left in its own file has that file among the external ones.
  const own = model.externalFiles.some((f) => isOnDisk(f) && f.own) ? 0 : modelBytes(model).length;
  return { parameters, tensors, statistics, bytes: own + external };
}

/** Learned numbers of the constants that `node` takes; one that several nodes share counts at each. */
export function parametersOf(
  node: Node,
  roles: ReadonlyMap<Value, ConstantRole>,
  model: Model,
  counts: (x: Value) => boolean = () => true,
): number {
  return [...new Set(node.inputs)].reduce(
    (n, x) =>
      x && roles.get(x)?.kind === "parameter" && counts(x)
        ? n + sizeOf(model.graph.constants.get(x)?.dims ?? [0])
        : n,
    0,
  );
}

/** What each learned constant is, 8-bit ones of a quantised model included. */
export function learnedConstants(model: Model): Map<Value, ConstantRole> {
  const counts = (dtype: DType): boolean => isFloat(dtype) || dtype === "int8" || dtype === "uint8";
  return constantRoles(model, opTable, model.graph.nodes, counts);
}
