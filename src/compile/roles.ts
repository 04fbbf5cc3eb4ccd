// Which constants of a student are trained, which are running statistics, and which stay as they are.
import { DistillError, didYouMean } from "../base/errors.ts";
import { isFloat, type Tensor } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { type OpTable, tableKey } from "../ops/builder.ts";

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

/**
 * Trained: float initialisers that the wanted outputs depend on, unless frozen. A one-element constant is taken for a
 * number of the architecture (an epsilon, a divisor) unless it lies in a slot that the op declares to hold weights;
 * one in a slot that the op declares fixed is never trained.
 */
export function rolesOf(model: Model, table: OpTable, path: readonly Node[], options: RoleOptions): Roles {
  const frozen = matcher(options.freeze, model);
  const statistics = new Set<Value>();
  const candidates = new Set<Value>();
  const fixed = new Set<Value>();
  for (const node of path) {
    const definition = table.get(tableKey(node.op, node.domain));
    node.inputs.forEach((x, i) => {
      const tensor = x && model.graph.constants.get(x);
      if (!x || !tensor || !isFloat(tensor.dtype)) return;
      if (definition?.statistics?.includes(i)) statistics.add(x);
      else if (definition?.fixed?.includes(i)) fixed.add(x);
      else if (tensor.data.length > 1 || definition?.weights?.includes(i)) candidates.add(x);
    });
  }
  const trained: Value[] = [];
  for (const x of candidates) {
    if (statistics.has(x) || fixed.has(x) || frozen(x.name)) continue;
    const { dtype } = model.graph.constants.get(x) as Tensor;
    if (dtype !== "float32")
      throw new DistillError(
        "E_MODEL",
        `${model.source}: weight "${x.name}" is ${dtype}; training needs float32: convert the student, or freeze it with --freeze '${x.name}'`,
      );
    trained.push(x);
  }
  return { trained, statistics };
}

function matcher(patterns: readonly string[], model: Model): (name: string) => boolean {
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
