// The front of a student: nodes that no step can hold, but through which no gradient passes, because nothing that is
// trained lies before them. They and what they are computed from run as they stand in the file, in a session of their own,
// and the step is fed what it needs of it. Whatever the runtime has may lie there, in whichever opset.
import { DistillError } from "../base/errors.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { namesInside, opsInside } from "../onnx/subgraphs.ts";
import { type OpTable, tableKey } from "../ops/builder.ts";
import { isRefusal } from "../ops/define.ts";
import { versionOf } from "../ops/emit-node.ts";

export interface Front {
  /** What the step is fed of it. */
  readonly values: readonly Value[];
  /** The nodes that no step can hold, in order. */
  readonly asTheyStand: readonly Node[];
}

export interface FrontOptions {
  readonly table: OpTable;
  /** The nodes that the wanted values depend on, in order. */
  readonly path: readonly Node[];
  readonly wanted: readonly Value[];
  readonly known: { has(value: Value): boolean };
  readonly trained: readonly Value[];
  /** Running statistics, where training moves them. */
  readonly statistics: Iterable<Value>;
}

/**
 * @throws E_OP for a node that would lie in the front but for something before it that changes from step to step: running
 * statistics that training moves, or random numbers.
 */
export function frontOf(model: Model, o: FrontOptions): Front {
  const moved = movedBy(model, o);
  const asTheyStand = o.path.filter(
    (node) => !isHeld(model, o, node) && !moved.weights.has(node) && !o.table.get(keyOf(node))?.random,
  );
  if (asTheyStand.length === 0) return { values: [], asTheyStand };
  for (const node of asTheyStand) {
    const cause = moved.otherwise.get(node);
    if (cause) throw new DistillError("E_OP", `${where(node)}, which no step can hold, comes after ${cause}`);
  }
  const front = withAncestors(model, o, asTheyStand);
  const needed = new Set(o.wanted);
  for (const node of o.path) if (!front.has(node)) for (const x of node.inputs) if (x) needed.add(x);
  const values = [...front].flatMap((node) => node.outputs.filter((y) => y && needed.has(y)) as Value[]);
  return { values, asTheyStand };
}

const keyOf = ({ op, domain }: { readonly op: string; readonly domain: string }): string =>
  tableKey(op, domain);
const where = (node: Node): string => `${node.op} at node "${node.name}"`;

/** What a node is computed from: its inputs, and what its subgraphs take from outside. */
function takenBy(model: Model, node: Node): Value[] {
  const inside = [...new Set(namesInside(node))].map((name) => model.graph.find(name));
  return [...node.inputs, ...inside].filter((x) => x !== undefined);
}

interface Moved {
  /** Nodes after something that is trained. */
  readonly weights: ReadonlySet<Node>;
  /** Nodes after something else that changes from step to step: what, and what to do. */
  readonly otherwise: ReadonlyMap<Node, string>;
}

function movedBy(model: Model, o: FrontOptions): Moved {
  const trained = new Set<Value>(o.trained);
  const causes = new Map<Value, string>();
  for (const x of o.statistics)
    causes.set(
      x,
      `running statistics that training moves ("${x.name}"): keep them as they are with --batch-norm frozen (batchNorm: "frozen")`,
    );
  const weights = new Set<Node>();
  const otherwise = new Map<Node, string>();
  for (const node of model.graph.nodes) {
    const taken = takenBy(model, node);
    const cause =
      taken.map((x) => causes.get(x)).find((c) => c !== undefined) ??
      (isRandom(o.table, node) ? randomness(node) : undefined);
    if (taken.some((x) => trained.has(x))) weights.add(node);
    if (cause) otherwise.set(node, cause);
    for (const y of node.outputs) {
      if (!y || o.known.has(y)) continue;
      if (weights.has(node)) trained.add(y);
      if (cause) causes.set(y, cause);
    }
  }
  return { weights, otherwise };
}

function isRandom(table: OpTable, node: Node): boolean {
  return [node, ...opsInside(node)].some((n) => table.get(keyOf(n))?.random);
}

const randomness = (node: Node): string =>
  `${where(node)}, which draws random numbers, so that no run could be repeated: export the model in evaluation mode, or without it`;

/** Whether a step can hold the node: the table has its op in that opset, and what it takes is numbers. */
function isHeld(model: Model, { table, known }: FrontOptions, node: Node): boolean {
  const definition = table.get(keyOf(node));
  if (!definition || isRefusal(definition)) return false;
  if (versionOf(definition, model.graph.opsets.get(node.domain) ?? 1) === undefined) return false;
  return node.inputs.every(
    (x) => !x?.producer || known.has(x) || (x.type !== undefined && x.type.dtype !== "string"),
  );
}

function withAncestors(model: Model, { known }: FrontOptions, nodes: readonly Node[]): Set<Node> {
  const found = new Set(nodes);
  for (const node of found)
    for (const x of takenBy(model, node)) if (x.producer && !known.has(x)) found.add(x.producer);
  return new Set(model.graph.nodes.filter((n) => found.has(n)));
}
