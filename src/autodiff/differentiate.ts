// The reverse walk: finds the path from the parameters to the loss, asks each op on it for its gradient, sums what
// broadcasting spread, and adds up what meets. Knows no op by name and never looks at a shape but to un-broadcast.
import { DistillError } from "../base/errors.ts";
import { type Node, typeOf, type Value } from "../graph/graph.ts";
import { AttributeReader } from "../ops/attributes.ts";
import { type Builder, type Region, tableKey } from "../ops/builder.ts";
import { type GradContext, type GradEntry, isPrimitive, notDifferentiable, zero } from "../ops/define.ts";

type Unit = Node | Region;

/**
 * The gradient of scalar `loss` with respect to each of `wrt`; undefined where the loss does not depend on it. Messages
 * call a value of `wrt` by its name in `userNames`, where it has one. `ends` is told where the walk ended before it came to
 * a parameter: values to which a node passes no gradient, because it is zero everywhere.
 */
export function differentiate(
  b: Builder,
  loss: Value,
  wrt: readonly Value[],
  userNames?: ReadonlyMap<Value, string>,
  ends?: Map<Value, Node>,
): Map<Value, Value | undefined> {
  const type = typeOf(loss);
  return vectorJacobianProduct(b, [[loss, b.full(type, 1)]], wrt, userNames, ends);
}

/** Σ over the seeds of (∂y/∂x)ᵀ·seed, for every x in `wrt`. */
export function vectorJacobianProduct(
  b: Builder,
  seeds: readonly (readonly [Value, Value])[],
  wrt: readonly Value[],
  userNames: ReadonlyMap<Value, string> = new Map(),
  ends?: Map<Value, Node>,
): Map<Value, Value | undefined> {
  const order = unitsUpTo(
    b,
    seeds.map(([y]) => y),
  );
  const source = new Map<Value, Value>(wrt.map((v) => [v, v]));
  // For each value that a parameter reaches, one such parameter (for messages).
  for (const unit of order) {
    const from = unit.inputs.map((v) => v && source.get(v)).find((v) => v !== undefined);
    if (from) for (const y of unit.outputs) if (y && !source.has(y)) source.set(y, from);
  }
  const pending = new Map<Value, Value[]>();
  const give = (x: Value, dx: Value): void => {
    const list = pending.get(x);
    if (list) list.push(dx);
    else pending.set(x, [dx]);
  };
  const total = (x: Value): Value | undefined => {
    const list = pending.get(x);
    if (!list || list.length === 0) return undefined;
    const sum = list.reduce((a, c) => b.add(a, c));
    pending.set(x, [sum]);
    return sum;
  };
  for (const [y, dy] of seeds) if (source.has(y)) give(y, dy);

  for (const unit of order.reverse()) {
    if (!unit.outputs.some((y) => y && pending.has(y))) continue;
    const needed = unit.inputs.map((x) => x !== undefined && source.has(x));
    if (!needed.includes(true)) continue;
    const node = "op" in unit ? unit : unit.outputs[0]?.producer;
    b.scope(`grad/${node?.name ?? ""}`, () => {
      const dy = (i: number): Value => {
        const y = unit.outputs[i];
        if (!y)
          throw new DistillError(
            "E_NO_GRADIENT",
            `${describe(unit)}: its gradient needs output ${i}, which the node does not have`,
          );
        return total(y) ?? b.full(typeOf(y), 0);
      };
      const entries = "op" in unit ? ruleOf(b, unit, dy, total) : unit.grad(dy);
      unit.inputs.forEach((x, i) => {
        if (!x || !needed[i]) return;
        const entry = entries[i];
        if (entry === zero) {
          if (node) ends?.set(x, node);
          return;
        }
        if (entry === undefined || entry === notDifferentiable)
          throw noGradient(unit, userNames.get(source.get(x) as Value) ?? (source.get(x) as Value).name, i);
        give(x, b.sumTo(entry(), typeOf(x).dims));
      });
    });
  }
  return new Map(wrt.map((x) => [x, total(x)]));
}

function ruleOf(
  b: Builder,
  node: Node,
  dy: (i: number) => Value,
  total: (y: Value) => Value | undefined,
): readonly GradEntry[] {
  const definition = b.table.get(tableKey(node.op, node.domain));
  const where = describe(node);
  if (!definition || !isPrimitive(definition)) return node.inputs.map(() => notDifferentiable);
  if (typeof definition.grad === "string") return node.inputs.map(() => definition.grad as GradEntry);
  const input = (i: number): Value => {
    const v = node.inputs[i];
    if (!v) throw new DistillError("E_MODEL", `${where}: input ${i} is missing`);
    return v;
  };
  const context: GradContext = {
    b,
    node,
    count: node.inputs.length,
    has: (i) => node.inputs[i] !== undefined,
    x: input,
    y: (i) => node.outputs[i] as Value,
    dy,
    hasDy: (i) => node.outputs[i] !== undefined && total(node.outputs[i]) !== undefined,
    dims: (i) => typeOf(input(i)).dims,
    numbers: (i) => b.numbersOf(input(i), where),
    attr: new AttributeReader(node.attributes, where),
  };
  return definition.grad(context);
}

/** Nodes and regions that the given values depend on, in topological order. */
function unitsUpTo(b: Builder, ends: readonly Value[]): Unit[] {
  const unitOf = (v: Value): Unit | undefined => b.regions.get(v) ?? v.producer;
  const order: Unit[] = [];
  const done = new Set<Unit>();
  const stack: { unit: Unit; next: number }[] = [];
  const enter = (v: Value | undefined): void => {
    const unit = v && unitOf(v);
    if (unit && !done.has(unit)) {
      done.add(unit);
      stack.push({ unit, next: 0 });
    }
  };
  for (const end of ends) {
    enter(end);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      if (top.next < top.unit.inputs.length) enter(top.unit.inputs[top.next++]);
      else {
        order.push(top.unit);
        stack.pop();
      }
    }
  }
  return order;
}

function describe(unit: Unit): string {
  const node = "op" in unit ? unit : unit.outputs[0]?.producer;
  return `${node?.op} at node "${node?.name}"`;
}

function noGradient(unit: Unit, parameter: string, input: number): DistillError {
  const node = "op" in unit ? unit : unit.outputs[0]?.producer;
  return new DistillError(
    "E_NO_GRADIENT",
    `no gradient rule for ${node?.op} (input ${input}) at node "${node?.name}", needed by "${parameter}". ` +
      `Freeze it with --freeze '${freezePattern(parameter)}', or add a rule in src/ops.`,
  );
}

/** `layer1.weight` -> `layer1.*`. */
export function freezePattern(name: string): string {
  const cut = name.lastIndexOf(".");
  return cut > 0 ? `${name.slice(0, cut)}.*` : name;
}
