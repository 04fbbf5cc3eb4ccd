// Which constants of a student are trained, which are running statistics, and which stay as they are.
import { DistillError, didYouMean } from "../base/errors.ts";
import { isFloat8, isLowBits } from "../base/low-bits.ts";
import type { Tensor } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import type { OpTable } from "../ops/builder.ts";
import { constantRoles } from "../ops/constant-roles.ts";

export interface Roles {
  readonly trained: readonly Value[];
  readonly statistics: ReadonlySet<Value>;
}

export interface RoleOptions {
  /** Patterns (`*` any characters) of names that are not trained. */
  readonly freeze: readonly string[];
  /** Values that follow from shapes and constants alone. */
  readonly known: ReadonlyMap<Value, Tensor>;
}

/** Trained: float constants that the wanted outputs depend on and that hold learned numbers, unless frozen. */
export function rolesOf(model: Model, table: OpTable, path: readonly Node[], options: RoleOptions): Roles {
  const frozen = frozenNames(options.freeze, model);
  const roles = constantRoles(model, table, path);
  const trained: Value[] = [];
  const statistics = new Set<Value>();
  for (const [x, role] of roles) {
    if (role === "statistics") statistics.add(x);
    if (role === "statistics" || frozen(x.name)) continue;
    const { dtype } = model.graph.constants.get(x) as Tensor;
    if (dtype !== "float32")
      throw new DistillError(
        "E_MODEL",
        `${model.source}: weight "${x.name}"${usedBy(x, path)} is ${dtype}; training needs float32: convert the student, or freeze it with --freeze '${x.name}'`,
      );
    trained.push(x);
  }
  return { trained, statistics };
}

/** Weights that were quantised already, and where the first is used; undefined if there are none. */
export function describeQuantised(model: Model): string | undefined {
  const { nodes } = model.graph;
  const found = new Set(nodes.flatMap((n) => n.inputs.filter((x) => x && isQuantised(model, x)) as Value[]));
  const [first] = found;
  if (!first) return undefined;
  const { dtype } = model.graph.constants.get(first) as Tensor;
  const more = found.size > 1 ? ` and ${found.size - 1} more` : "";
  return `"${first.name}"${usedBy(first, nodes)}${more} holds ${isFloat8(dtype) ? "floats of 8 bits" : "whole numbers"}: train the float32 model that was quantised, and quantise the result`;
}

function isQuantised(model: Model, x: Value): boolean {
  const t = model.graph.constants.get(x);
  return (
    t !== undefined && (t.dtype === "int8" || t.dtype === "uint8" || isLowBits(t.dtype)) && t.dims.length > 1
  );
}

/** ` of MatMul at node "/fc"`: where a constant is used first. */
function usedBy(x: Value, path: readonly Node[]): string {
  const node = path.find((n) => n.inputs.includes(x));
  return node ? ` of ${node.op} at node "${node.name}"` : "";
}

/** Whether one of the patterns (`*` any characters) fits a name; E_NAME for a pattern that fits no constant of the model. */
export function frozenNames(patterns: readonly string[], model: Model): (name: string) => boolean {
  const names = [...model.graph.constants.keys()].map((v) => v.name);
  const tests = patterns.map((pattern) => {
    const test = new RegExp(
      `^${pattern
        .split("*")
        .map((s) => s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
        .join(".*")}$`,
    );
    if (!names.some((n) => test.test(n)))
      throw new DistillError(
        "E_NAME",
        `--freeze '${pattern}' matches no weight of ${model.source}.${didYouMean(pattern.replaceAll("*", ""), names)}`,
      );
    return test;
  });
  return (name) => tests.some((t) => t.test(name));
}
