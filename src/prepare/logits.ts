// Which value of a classifier holds its logits. Exporters end a classifier with nothing, a Softmax, a LogSoftmax or a
// Sigmoid, in one node or spelled out, and often a Flatten or Cast behind it; losses want what goes in there. Reads the
// graph, runs nothing.
import { DistillError, didYouMean } from "../base/errors.ts";
import { isFloat, toNumbers } from "../base/tensor.ts";
import { likelyWeights, neededBy } from "../compile/check-path.ts";
import type { Graph, Node, Value } from "../graph/graph.ts";
import { type AddedNode, editModel } from "../onnx/edit-model.ts";
import type { Model } from "../onnx/model.ts";
import { AttributeReader } from "../ops/attributes.ts";
import type { OutputKind } from "../strategies/index.ts";

export interface Logits {
  /** The value that holds the logits, in the model that `withLogits` gives. */
  readonly value: string;
  /** The output that was asked for, or the model's own. */
  readonly output: string;
  /** What makes the output of the logits; undefined where the output holds the logits itself. */
  readonly activation?: { readonly op: string; readonly node: string };
  /** What the output ends in although the task does not expect it; its values are taken as they are. */
  readonly unexpected?: { readonly op: string; readonly node: string };
  /** The nodes behind the activation (a Flatten, a Cast) once more, for the logits. */
  readonly added: readonly AddedNode[];
  /** The axis along which the activation is a softmax, of the value that goes into it; negative: from the end. */
  readonly classes?: { readonly value: string; readonly axis: number };
}

/**
 * The logits behind `output` (default: the first output of floats). For "softmax" (the default), the input of a final
 * Softmax or LogSoftmax, also spelled out (Exp, ReduceSum, Div; Log of a Softmax; x − ReduceLogSumExp(x)); for "sigmoid",
 * that of a final Sigmoid; looked for through Identity, Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Cast, Dropout, Slice,
 * Gather, × 1 and + 0, which are done to the logits too, and through what only rounds or bounds a probability, which is not:
 * QuantizeLinear and DequantizeLinear, Clip, Max, Min and + with constants that leave [0, 1] all but whole. A ZipMap stands
 * for its tensor. For "identity", the output as it is. An activation over the batch (axis 0) is none of these.
 *
 * Errors: E_NAME for an output that does not exist, with the nearest names; E_MODEL for a model without an output of floats.
 *
 * @param who "the student" or "the teacher", for messages
 *
 * @example
 * const { value } = logitsOf(teacher); // "/fc/Gemm_output_0", where the output "probs" is its Softmax
 */
export function logitsOf(
  model: Model,
  output?: string,
  activation: OutputKind = "softmax",
  who = "",
): Logits {
  let found = output === undefined ? firstFloatOutput(model, who) : valueNamed(model, output, who);
  // A map of class names is not a tensor; what it is made of is.
  while (found.producer && isZipMap(found.producer)) found = found.producer.inputs[0] as Value;
  const { views, value } = throughViews(model.graph, found);
  const end = activationAt(model.graph, value);
  if (!end || activation === "identity") return { value: found.name, output: found.name, added: [] };
  const { op, node, axis } = end;
  if (end.kind !== activation)
    return { value: found.name, output: found.name, unexpected: { op, node: node.name }, added: [] };
  const added = viewsAgain(model, views, end.logits, found.name);
  return {
    value: added.at(-1)?.outputs[0] ?? end.logits.name,
    output: found.name,
    activation: { op, node: node.name },
    added,
    ...(axis !== undefined && { classes: { value: end.logits.name, axis } }),
  };
}

/**
 * Refuses the values of a TopK, whose columns stand for no class: E_MODEL.
 *
 * @param who as of `logitsOf`
 */
export function refuseSorted({ graph, source }: Model, { output, activation }: Logits, who = ""): void {
  const found = graph.find(output);
  if (!found || activation) return;
  const { value } = throughViews(graph, found);
  const node = value.producer;
  const from = node?.op === "TopK" && node.domain === "" && node.outputs[0] === value && node.inputs[0];
  if (!from) return;
  throw new DistillError(
    "E_MODEL",
    `${source}: output "${output}" holds the largest numbers of "${from.name}" in falling order (TopK at node "${node?.name}"), so that its columns stand for no class; name the value that holds the logits${flagOf(who)}, "${from.name}" it may be`,
  );
}

const flagOf = (who: string): string =>
  who === "the student" ? " (--student-logits)" : who === "the teacher" ? " (--teacher-logits)" : "";

/** The model in which `logits.value` exists: itself, unless something stands behind the activation. */
export function withLogits(model: Model, logits: Logits): Model {
  return logits.added.length === 0 ? model : editModel(model, { nodes: logits.added });
}

/** One line for the user, where the logits are not the output. */
export function describeLogits(logits: Logits, who: string): string | undefined {
  const { activation, output, value, added } = logits;
  if (activation) {
    const input = added.length === 0 ? `"${value}", its input,` : "its input";
    return `${who}'s output "${output}" comes from a ${activation.op} (node "${activation.node}"): ${input} is taken for the logits`;
  }
  return undefined;
}

/**
 * One line for the user, where the first of several outputs of that rank was taken and the others hold something else.
 *
 * @param asked the output that was asked for
 * @param flag the option that names another
 */
export function describeChoice(
  model: Model,
  asked: string | undefined,
  { output, value }: Logits,
  activation: OutputKind,
  who: string,
  flag: string,
): string | undefined {
  if (asked !== undefined) return undefined;
  const rank = model.outputs.find((o) => o.name === output)?.dims.length;
  const others = model.outputs.filter(
    (o) =>
      o.name !== output &&
      isFloat(o.dtype) &&
      o.dims.length === rank &&
      logitsOf(model, o.name, activation).value !== value,
  );
  if (others.length === 0) return undefined;
  const more = others.length > 3 ? ` and ${others.length - 3} more` : "";
  const names = others.slice(0, 3).map((o) => `"${o.name}"`);
  return `${who}'s output "${output}" is read, the first of several; ${flag} names another (${names.join(", ")}${more})`;
}

function valueNamed(model: Model, name: string, who: string): Value {
  const found = model.graph.find(name);
  if (found) return found;
  const names = [...model.graph.values()].map((v) => v.name);
  throw new DistillError(
    "E_NAME",
    `logits: ${who === "" ? "" : `${who} `}${model.source} has no value "${name}".${didYouMean(name, names)} \`onnx-distill inspect\` lists them.`,
  );
}

/** Classifiers of scikit-learn have the predicted class, an integer, for their first output. */
function firstFloatOutput(model: Model, who: string): Value {
  const declared = new Map(model.outputs.map((o) => [o.name, o.dtype]));
  const found = model.graph.outputs.find((v) => {
    const dtype = declared.get(v.name) ?? v.type?.dtype;
    return dtype === undefined || isFloat(dtype);
  });
  if (found) return found;
  throw new DistillError(
    "E_MODEL",
    `${model.source}: no output holds floats (${model.graph.outputs.map((v) => describeOutput(model, v, declared.get(v.name))).join("; ")}); name the value that holds the logits${flagOf(who)}`,
  );
}

/** `"label" is int64, made by ArgMax of "scores" at node "/top", through which "fc.weight" gets no gradient`. */
function describeOutput(model: Model, { name, producer }: Value, dtype: string | undefined): string {
  const said = `"${name}" is ${dtype}`;
  if (!producer) return said;
  const weight = neededBy(producer, [], likelyWeights(model));
  const from = producer.inputs[0];
  return `${said}, made by ${producer.op}${from ? ` of "${from.name}"` : ""} at node "${producer.name}"${weight === undefined ? "" : `, through which "${weight}" gets no gradient`}`;
}

/** The nodes that pass their first input on, from the last to the first, and what goes into the first. */
function throughViews(graph: Graph, from: Value): { views: Node[]; value: Value } {
  const views: Node[] = [];
  let value = from;
  for (;;) {
    const node = value.producer;
    if (!node || node.outputs[0] !== value) return { views, value };
    const viewed = passedOn(graph, node);
    const x = viewed ?? rounded(graph, node);
    if (!x) return { views, value };
    if (viewed) views.push(node);
    value = x;
  }
}

/** So far may a bound cut into [0, 1], or a number be added, without another probability being meant. */
const slight = 1e-3;
const quantising = new Set(["QuantizeLinear", "DequantizeLinear"]);

/** What goes into a node that only rounds a probability, or keeps it off 0 and 1: nothing that logits must go through too. */
function rounded(graph: Graph, node: Node): Value | undefined {
  const [x] = node.inputs;
  if (quantising.has(node.op) && (node.domain === "" || node.domain === "com.microsoft")) return x;
  if (node.domain !== "") return undefined;
  const numberOf = (v: Value | undefined): number | undefined => {
    const t = v && graph.constants.get(v);
    return t && isFloat(t.dtype) && t.dtype !== "float16" && t.data.length === 1
      ? toNumbers(t)[0]
      : undefined;
  };
  const attr = new AttributeReader(node.attributes, `${node.op} at node "${node.name}"`);
  if (node.op === "Clip") {
    const [, low, high] = node.inputs;
    const least = low ? numberOf(low) : attr.float("min", Number.NEGATIVE_INFINITY);
    const most = high ? numberOf(high) : attr.float("max", Number.POSITIVE_INFINITY);
    return least !== undefined && most !== undefined && least <= slight && most >= 1 - slight ? x : undefined;
  }
  const fits = (
    {
      Max: (v) => v <= slight,
      Min: (v) => v >= 1 - slight,
      Add: (v) => Math.abs(v) <= slight,
    } as Readonly<Record<string, (v: number) => boolean>>
  )[node.op];
  if (!fits || node.inputs.length !== 2) return undefined;
  const [a, b] = node.inputs.map(numberOf);
  if (b !== undefined && fits(b)) return x;
  return a !== undefined && fits(a) ? node.inputs[1] : undefined;
}

const viewOps = new Set([
  "Identity",
  "Reshape",
  "Flatten",
  "Squeeze",
  "Unsqueeze",
  "Transpose",
  "Cast",
  "Dropout",
  "Slice",
  "Gather",
]);
const isZipMap = (node: Node): boolean => node.op === "ZipMap" && node.domain === "ai.onnx.ml";

/** The number with which an op changes nothing. */
const neutral: Readonly<Record<string, number>> = { Mul: 1, Div: 1, Add: 0, Sub: 0 };

function passedOn(graph: Graph, node: Node): Value | undefined {
  if (node.domain !== "") return undefined;
  // Which elements a Slice or a Gather takes must not follow from the data.
  if (viewOps.has(node.op))
    return node.inputs.slice(1).every((x) => !x || graph.constants.has(x)) ? node.inputs[0] : undefined;
  const nothing = neutral[node.op];
  if (nothing === undefined) return undefined;
  const isNeutral = (x: Value | undefined): boolean => {
    const t = x && graph.constants.get(x);
    return t !== undefined && isFloat(t.dtype) && toNumbers(t).every((v) => v === nothing);
  };
  const [a, b] = node.inputs;
  if (isNeutral(b)) return a;
  return node.op === "Mul" || node.op === "Add" ? (isNeutral(a) ? b : undefined) : undefined;
}

interface End {
  readonly kind: OutputKind;
  readonly op: string;
  readonly node: Node;
  readonly logits: Value;
  /** Of a softmax. */
  readonly axis?: number | undefined;
}

function activationAt(graph: Graph, value: Value): End | undefined {
  const node = value.producer;
  const x = node?.inputs[0];
  if (!node || !x || node.domain !== "") return undefined;
  const end = (kind: OutputKind, op: string, logits: Value, axis?: number): End => ({
    ...{ kind, op, node, logits, axis },
  });
  if (node.op === "Sigmoid") return end("sigmoid", "Sigmoid", x);
  if (node.op === "Softmax" || node.op === "LogSoftmax")
    return overClasses(graph, node) ? end("softmax", node.op, x, axisOf(graph, node)) : undefined;
  if (node.op === "Log") {
    const inner = activationAt(graph, throughViews(graph, x).value);
    return inner?.kind === "softmax" && inner.op === "Softmax"
      ? end("softmax", "LogSoftmax", inner.logits, inner.axis)
      : undefined;
  }
  const found = spelledOut(graph, node);
  return found && end("softmax", node.op === "Sub" ? "LogSoftmax" : "Softmax", found.logits, found.axis);
}

/** Exp(z) / ReduceSum(Exp(z)), z − Log(ReduceSum(Exp(z))) and x − ReduceLogSumExp(x); z may be x − ReduceMax(x). */
function spelledOut(graph: Graph, node: Node): Pick<End, "logits" | "axis"> | undefined {
  const [a, b] = node.inputs;
  if (!a || !b) return undefined;
  const made = (v: Value | undefined, op: string): Node | undefined => {
    const by = v?.producer;
    return by?.op === op && by.domain === "" ? by : undefined;
  };
  let axis: number | undefined;
  const sumOf = (v: Value | undefined): Value | undefined => {
    const sum = made(v, "ReduceSum");
    axis = sum && axisOf(graph, sum);
    return sum && overClasses(graph, sum) ? sum.inputs[0] : undefined;
  };
  const unshifted = (z: Value): Value => {
    const x = made(z, "Sub")?.inputs[0];
    const largest = made(made(z, "Sub")?.inputs[1], "ReduceMax");
    return x && largest?.inputs[0] === x ? x : z;
  };
  if (node.op === "Div" || node.op === "Mul") {
    const [e, sum] = node.op === "Div" ? [a, b] : [a, made(b, "Reciprocal")?.inputs[0]];
    const z = made(e, "Exp")?.inputs[0];
    return z && sumOf(sum) === e ? { logits: unshifted(z), axis } : undefined;
  }
  if (node.op !== "Sub") return undefined;
  const whole = made(b, "ReduceLogSumExp");
  if (whole && whole.inputs[0] === a && overClasses(graph, whole))
    return { logits: unshifted(a), axis: axisOf(graph, whole) };
  const e = sumOf(made(b, "Log")?.inputs[0]);
  return e && made(e, "Exp")?.inputs[0] === a ? { logits: unshifted(a), axis } : undefined;
}

/** Whether a node works along the classes: axis 1 or the last, never along the batch. */
function overClasses(graph: Graph, node: Node): boolean {
  const axis = axisOf(graph, node);
  const rank = node.inputs[0]?.type?.dims.length;
  return (
    axis === 1 || axis === -1 || (axis !== undefined && (rank === undefined ? axis > 1 : axis === rank - 1))
  );
}

/** The one axis along which a softmax or a sum runs. */
function axisOf(graph: Graph, node: Node): number | undefined {
  const attr = new AttributeReader(node.attributes, `${node.op} at node "${node.name}"`);
  if (!node.op.startsWith("Reduce")) return attr.int("axis", (graph.opsets.get("") ?? 1) < 13 ? 1 : -1);
  const given = node.inputs[1] && graph.constants.get(node.inputs[1]);
  const axes = given ? toNumbers(given) : attr.ints("axes", []);
  return axes.length === 1 ? axes[0] : undefined;
}

/** The value that an output is a view of. */
export function behindViews(graph: Graph, from: Value): Value {
  for (let value = from; ; ) {
    const { producer } = value;
    const x = producer && producer.outputs[0] === value ? passedOn(graph, producer) : undefined;
    if (!x) return value;
    value = x;
  }
}

/** The views on another value, in the model's order. */
function viewsAgain(model: Model, views: readonly Node[], from: Value, output: string): AddedNode[] {
  const taken = new Set([...model.graph.values()].map((v) => v.name));
  let input = from.name;
  return views.toReversed().map((view, i): AddedNode => {
    const base = i === views.length - 1 ? `${output}/logits` : `${output}/logits/${view.op}`;
    let name = base;
    for (let k = 2; taken.has(name); k++) name = `${base}_${k}`;
    taken.add(name);
    const through = passedOn(model.graph, view);
    const inputs = view.inputs.map((x) => (x === through ? input : (x?.name ?? "")));
    input = name;
    return { op: view.op, domain: view.domain, name, inputs, outputs: [name], attributes: view.attributes };
  });
}
