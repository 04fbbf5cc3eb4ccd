// What a model's graph tells of an output: which of its axes count samples and classes, and whether its values can be
// probabilities. Reads the graph, runs nothing.
import type { Graph, Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { toldAxis } from "../taps/neuron-layout.ts";
import type { ToldAxes, ToldValues } from "../tasks/index.ts";
import { behindViews, type Logits } from "./logits.ts";

/**
 * Of `logits.value`, which has that rank. Classes lie along the axis of the softmax, or that which the last convolution or
 * matrix product makes, followed through transposes and (where shapes are known) reshapes; samples along the axis that the file
 * names as it names the first of an input, and in front where nothing moves the first axis.
 *
 * @param model that in which the value exists
 */
export function axesTold(model: Model, logits: Logits, rank: number): ToldAxes {
  const { graph } = model;
  const value = graph.find(logits.value);
  const weights = weightsOf(graph);
  return {
    classAxis: value && classAxisOf(graph, value, logits, rank, weights),
    batchAxis:
      declaredBatch(model, logits.output) ?? (value && keepsFirstAxis(value, weights) ? 0 : undefined),
  };
}

export function valuesTold(model: Model, { value, activation, unexpected }: Logits): ToldValues {
  const { graph } = model;
  const found = graph.find(value);
  const end = found && behindViews(graph, found).producer;
  return {
    beforeActivation: activation !== undefined,
    linear: end !== undefined && isLinear(end, weightsOf(graph)),
    ...(unexpected && { unexpected: `${unexpected.op} (node "${unexpected.node}")` }),
  };
}

function classAxisOf(
  graph: Graph,
  value: Value,
  { classes }: Logits,
  rank: number,
  weights: ReadonlySet<Value>,
): number | undefined {
  const known = new Map<Value, number | undefined>();
  const of = (axis: number, rankThere: number): number => (axis < 0 ? axis + rankThere : axis);
  if (classes) {
    if (classes.value === value.name) return of(classes.axis, rank);
    const there = graph.find(classes.value);
    if (there?.type) known.set(there, of(classes.axis, there.type.dims.length));
  }
  // A softmax that is no end of a classifier, over the first axis say, is one over classes all the same.
  const end = value.producer;
  const axis = end?.attributes.axis;
  if (end && softmaxes.has(end.op) && end.domain === "" && axis?.kind === "int") return of(axis.value, rank);
  return toldAxis(value, rank, known, (x) => weights.has(x));
}

const softmaxes = new Set(["Softmax", "LogSoftmax"]);

/** Constants, and what is made of constants alone. */
function weightsOf(graph: Graph): ReadonlySet<Value> {
  const found = new Set(graph.constants.keys());
  for (const node of graph.nodes)
    if (node.inputs.every((x) => !x || found.has(x))) for (const y of node.outputs) if (y) found.add(y);
  return found;
}

/** The axis of a declared output that is named as the first of an input is, and no other axis. */
function declaredBatch(model: Model, output: string): number | undefined {
  const dims = model.outputs.find((o) => o.name === output)?.dims;
  if (!dims) return undefined;
  const names = model.inputs.map((i) => i.dims[0]).filter((d) => typeof d === "string");
  const at = dims.flatMap((d, i) => (typeof d === "string" && names.includes(d) ? [i] : []));
  return at.length === 1 ? at[0] : undefined;
}

/** Ops that may put another axis in front, whatever their attributes. */
const movers = new Set([
  "Einsum",
  "LSTM",
  "GRU",
  "RNN",
  "Scan",
  "Loop",
  "If",
  "Gather",
  "GatherND",
  "Reshape",
]);

function keepsFirstAxis(value: Value, weights: ReadonlySet<Value>): boolean {
  const seen = new Set<Node>();
  const open: (Value | undefined)[] = [value];
  while (open.length > 0) {
    const node = open.pop()?.producer;
    if (!node || seen.has(node)) continue;
    seen.add(node);
    const data = node.inputs.filter((x) => x && !weights.has(x));
    if (data.length === 0) continue;
    if (movesFirstAxis(node, weights)) return false;
    open.push(...data);
  }
  return true;
}

function movesFirstAxis(node: Node, weights: ReadonlySet<Value>): boolean {
  if (node.op === "Transpose") {
    const { perm } = node.attributes;
    return perm?.kind !== "ints" || perm.value[0] !== 0;
  }
  const [a, c] = node.inputs;
  if (node.op === "MatMul" || node.op === "Gemm") {
    const turned = node.attributes.transA;
    return (a && c && weights.has(a) && !weights.has(c)) || (turned?.kind === "int" && turned.value === 1);
  }
  return movers.has(node.op) && !(node.op === "Gather" && a && weights.has(a));
}

/** A matrix product or a convolution, also with its bias in a node of its own. */
function isLinear(node: Node, weights: ReadonlySet<Value>): boolean {
  if (linear.has(node.op)) return true;
  if (node.op !== "Add") return false;
  const [data, ...more] = node.inputs.filter((x) => x && !weights.has(x));
  return more.length === 0 && data?.producer !== undefined && linear.has(data.producer.op);
}

const linear = new Set([
  "Gemm",
  "MatMul",
  "Conv",
  "ConvTranspose",
  "MatMulInteger",
  "QLinearMatMul",
  "QLinearConv",
]);
