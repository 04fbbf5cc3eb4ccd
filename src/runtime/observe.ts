// Learns a model's types by running it once with every intermediate value as an output, and folds what does not
// depend on data: shape arithmetic and what is computed from constants that nobody trains. Uses no op's shape rule.
import { isLowBits } from "../base/low-bits.ts";
import type { DType, Tensor, TensorType } from "../base/tensor.ts";
import { isFloat, sizeOf } from "../base/tensor.ts";
import type { Graph, Node, Value } from "../graph/graph.ts";
import { addAllOutputs } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import { tableKey } from "../ops/builder.ts";
import { constantRoles } from "../ops/constant-roles.ts";
import { fixedSlotsOf } from "../ops/define.ts";
import { opTable } from "../ops/index.ts";
import type { Runtime, Tensors } from "./session.ts";

export interface Observation {
  /** Element type and shape of every tensor value for these feeds; also set as `Value.type`. */
  readonly types: ReadonlyMap<Value, TensorType>;
  /**
   * Values that do not depend on the feeds' elements nor on anything trainable, with what they hold **for the shapes
   * of these feeds**: constants other than float ones of two and more elements that may be weights,
   * and what every deterministic op makes of such values (Shape, Size and the like: of the shape of any value). Not what is
   * made of a learned number (exp of a scale, tanh of a gate), unless whole numbers follow from it.
   */
  readonly known: ReadonlyMap<Value, Tensor>;
  /** What the values hold that were asked for. */
  readonly seen: Tensors;
}

/** The input of which an op reads the shape or the element type alone, so that its elements need not be known. */
const unreadInput: Readonly<Record<string, number>> = { Shape: 0, Size: 0, EyeLike: 0, CastLike: 1 };
/** Ops of other domains may do anything. */
const trustedDomains = new Set(["", "com.microsoft"]);

/**
 * Runs the model once on `feeds` and records what flowed. Values inside subgraphs, and values that are no tensors, stay
 * unknown. All intermediate values are in memory at once, so take a small batch.
 *
 * Errors: those of `Runtime.load` and `Session.run`.
 *
 * @example
 * const { known } = await observe(model, nodeRuntime, exampleFeeds(model, 2));
 */
export async function observe(
  model: Model,
  runtime: Runtime,
  feeds: Tensors,
  wanted: readonly string[] = [],
): Promise<Observation> {
  // Without optimisation each value is computed as the model says, and none is fused away.
  const lowBits = lowBitsOf(model.graph);
  const asFloats = new Map([...lowBits.keys()].map((x) => [x, model.graph.freeName(`${x.name}/numbers`)]));
  const session = await runtime.load(addAllOutputs(model, asFloats), {
    optimization: "none",
    externalData: model.externalFiles,
  });
  let results: Record<string, Tensor>;
  try {
    results = { ...(await session.run(feeds)) };
  } finally {
    await session.release();
  }
  const { graph } = model;
  for (const [x, copy] of asFloats) results[x.name] = results[copy] as Tensor;
  const types = new Map<Value, TensorType>();
  for (const value of graph.values()) {
    const found = results[value.name] ?? feeds[value.name] ?? graph.constants.get(value);
    if (!found) continue;
    value.type = { dtype: lowBits.get(value) ?? found.dtype, dims: [...found.dims] };
    types.set(value, value.type);
  }
  const seen = Object.fromEntries(wanted.flatMap((name) => (results[name] ? [[name, results[name]]] : [])));
  return { types, known: foldModel(model, results), seen };
}

/** Values of element types that no session hands out; what they hold is observed as float32. */
function lowBitsOf(graph: Graph): ReadonlyMap<Value, DType> {
  const found = new Map<Value, DType>();
  const dtypeOf = (x: Value): DType | undefined => found.get(x) ?? graph.constants.get(x)?.dtype;
  for (const node of graph.nodes) {
    const definition = opTable.get(tableKey(node.op, node.domain));
    const [first] = node.inputs;
    const readsShape = node.domain === "" && unreadInput[node.op] === 0;
    const own = definition?.makes ? definition.makes(node, dtypeOf) : first && !readsShape && dtypeOf(first);
    if (!own || !isLowBits(own)) continue;
    for (const y of node.outputs) if (y) found.set(y, own);
  }
  return found;
}

function foldModel(model: Model, results: Tensors): Map<Value, Tensor> {
  const { graph } = model;
  const fixed = fixedAlone(graph);
  const constants = [...graph.constants].filter(
    ([x, t]) => !isFloat(t.dtype) || sizeOf(t.dims) === 1 || fixed.has(x),
  );
  const known = fold(graph, constants, results);
  const learned = learnedNumbers(model, known, fixed);
  if (learned.size === 0) return known;
  const without = fold(
    graph,
    constants.filter(([x]) => !learned.has(x)),
    results,
  );
  for (const x of learned) without.set(x, graph.constants.get(x) as Tensor);
  return without;
}

function fold(graph: Graph, constants: Iterable<[Value, Tensor]>, results: Tensors): Map<Value, Tensor> {
  const known = new Map(constants);
  for (const node of graph.nodes) {
    if (!isFoldable(node, known)) continue;
    for (const output of node.outputs) {
      const tensor = output && results[output.name];
      if (tensor) known.set(output, tensor);
    }
  }
  return known;
}

/** Float numbers of one element that are learned, from which floats alone would be folded. */
function learnedNumbers(
  model: Model,
  known: ReadonlyMap<Value, Tensor>,
  fixed: ReadonlySet<Value>,
): Set<Value> {
  const { graph, constantNodes } = model;
  const origins = new Map<Value, Set<Value>>();
  const candidates = new Set<Value>();
  const inWholeNumbers = new Set<Value>();
  for (const node of graph.nodes) {
    const outputs = node.outputs.filter((y) => y !== undefined);
    if (!outputs.some((y) => known.has(y))) continue;
    const from = new Set<Value>();
    for (const x of node.inputs) {
      if (!x) continue;
      const own = graph.constants.get(x);
      if (own && isFloat(own.dtype) && !fixed.has(x) && !constantNodes.has(x)) from.add(x);
      for (const origin of origins.get(x) ?? []) from.add(origin);
    }
    if (from.size === 0) continue;
    const whole = outputs.some((y) => !isFloat(known.get(y)?.dtype ?? "int64"));
    for (const x of from) (whole ? inWholeNumbers : candidates).add(x);
    for (const y of outputs) origins.set(y, from);
  }
  for (const x of inWholeNumbers) candidates.delete(x);
  if (candidates.size === 0) return candidates;
  const roles = constantRoles(model, opTable, graph.nodes);
  return new Set([...candidates].filter((x) => roles.get(x)?.kind === "parameter"));
}

/** Values that end in fixed slots and nowhere else, also by way of other nodes (scales put together by a Concat). */
function fixedAlone(graph: Graph): Set<Value> {
  const elsewhere = new Set<Value>(graph.outputs);
  const inFixed = new Set<Value>();
  for (const node of graph.nodes.toReversed()) {
    const outputs = node.outputs.filter((y) => y !== undefined);
    const all = outputs.some((y) => inFixed.has(y)) && !outputs.some((y) => elsewhere.has(y));
    const slots = fixedSlotsOf(opTable.get(tableKey(node.op, node.domain)), node, (x) =>
      graph.constants.get(x),
    );
    node.inputs.forEach((x, i) => {
      if (x) (all || slots.includes(i) ? inFixed : elsewhere).add(x);
    });
  }
  for (const value of elsewhere) inFixed.delete(value);
  return inFixed;
}

function isFoldable(node: Node, known: ReadonlyMap<Value, Tensor>): boolean {
  if (!trustedDomains.has(node.domain) || opTable.get(tableKey(node.op, node.domain))?.random) return false;
  // A subgraph may take values that are not among the inputs.
  if (Object.values(node.attributes).some((a) => a.kind === "opaque")) return false;
  const unread = node.domain === "" ? unreadInput[node.op] : undefined;
  return node.inputs.every((input, i) => !input || i === unread || known.has(input));
}
