// A model -> what `inspect` tells of it, as plain data. Runs the model once for the shapes; a model that cannot be run is
// described all the same, without them.
import { DistillError } from "../base/errors.ts";
import type { Shape, TensorType } from "../base/tensor.ts";
import type { ValueInfo } from "../base/value-info.ts";
import { type ConstantEntry, type RoleRow, roleRows } from "../compile/role-table.ts";
import { roleEntries } from "../compile/roles.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { modelOrigin } from "../onnx/model-origin.ts";
import { namesInside } from "../onnx/subgraphs.ts";
import { tableKey } from "../ops/builder.ts";
import { isPrimitive, isRefusal, notDifferentiable, zero } from "../ops/define.ts";
import { versionOf } from "../ops/emit-node.ts";
import { opTable } from "../ops/index.ts";
import type { Fix } from "../prepare/fixed-inputs.ts";
import { bareConvolutions, describeBareConvolutions } from "../prepare/normalization.ts";
import { findTies, tieEntries } from "../prepare/tied-weights.ts";
import { exampleFeeds } from "../runtime/example-feeds.ts";
import { observeBranches } from "../runtime/observe-branches.ts";
import type { Runtime, Tensors } from "../runtime/session.ts";
import { type TapCandidate, tapCandidates } from "../taps/candidates.ts";
import type { TaskName } from "../tasks/index.ts";
import { fitInputs } from "../train/fit-inputs.ts";
import { learnedConstants, modelSize, parametersOf } from "../train/model-figures.ts";
import { describeOutput, outputOf, tasksTaking } from "./describe-output.ts";

/** yes: has a rule; zero: its gradient is zero; no: declared not differentiable; folded, front: need not be asked. */
export type Gradient = "yes" | "zero" | "no" | "unknown" | "folded" | "front";

export interface ModelDescription {
  readonly model: string;
  readonly bytes: number;
  readonly irVersion: number;
  readonly producer: string;
  readonly opsets: Readonly<Record<string, number>>;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Tasks that take logits of the rank of the first output of floats; none where it is not known. */
  readonly tasks: readonly TaskName[];
  readonly parameters: number;
  readonly tensors: number;
  readonly statistics: number;
  /** Which float constants a training would train, tie, or leave as they are, and why; for a run see --freeze and --train. */
  readonly roles: readonly RoleRow[];
  /** Samples in the run that showed the shapes. */
  readonly batch: number;
  readonly layers: readonly Layer[];
  /** In the graph's order. */
  readonly taps: readonly TapCandidate[];
  readonly ops: readonly OpUse[];
  readonly notes: readonly string[];
}

export interface Layer {
  readonly op: string;
  readonly name: string;
  /** Name of the first output. */
  readonly output: string;
  readonly shape?: Shape;
  readonly parameters: number;
  readonly gradient: Gradient;
}

export interface OpUse {
  readonly op: string;
  readonly count: number;
  readonly gradient: Gradient;
  /** Why it is unknown, or where it stands. */
  readonly note?: string;
}

export interface DescribeOptions {
  readonly runtime: Runtime;
  /** Default: 2, or the batch that the model was made for. */
  readonly batch?: number;
  readonly sizes?: Readonly<Record<string, number>>;
  /** Inputs that are one value for all samples. */
  readonly fix?: Fix;
}

/** Made-up inputs feed every input that is not fixed. */
const noData = { inputs: [], read: () => ({ inputs: [] }) };

export async function describeModel(given: Model, o: DescribeOptions): Promise<ModelDescription> {
  const { model: fed, notes: told } = await fitInputs(given, noData, o.fix);
  let model = fed;
  const fixed = model.inputs.every((i) => typeof i.dims[0] === "number")
    ? model.inputs[0]?.dims[0]
    : undefined;
  const batch = o.batch ?? (typeof fixed === "number" ? fixed : 2);
  const notes = [...told];
  let types: ReadonlyMap<Value, TensorType> = new Map();
  let known: ReadonlyMap<Value, unknown> = new Map();
  let seen: Tensors = {};
  try {
    const feeds = exampleFeeds(model, batch, o.sizes ? { sizes: o.sizes } : {});
    const output = outputOf(model);
    ({ model, types, known, seen } = await observeBranches(model, o.runtime, feeds, output ? [output] : []));
  } catch (error) {
    if (!(error instanceof DistillError)) throw error;
    const open = /give its size as "(.*)"$/.exec(error.message)?.[1];
    const mend = open === undefined ? "" : `: --size ${open}=<n>`;
    notes.push(`no shapes, for the model was not run: ${error.message}${mend}`);
  }
  const bare = describeBareConvolutions(bareConvolutions(model));
  notes.push(...describeOutput(model, seen, batch), ...(bare ? [bare] : []));
  const roles = learnedConstants(model);
  const learned = afterConstants(model, roles);
  const gradientOf = (node: Node): Gradient =>
    node.outputs.length > 0 && node.outputs.every((y) => !y || known.has(y))
      ? "folded"
      : gradientRule(node, model, learned);
  // A node that asks for a weight's shape alone is not where the weight belongs.
  const used = new Set(model.graph.nodes.filter((n) => gradientOf(n) !== "folded").flatMap((n) => n.inputs));
  const layers = model.graph.nodes.map((node): Layer => {
    const gradient = gradientOf(node);
    const shape = node.outputs[0] && types.get(node.outputs[0])?.dims;
    return {
      op: tableKey(node.op, node.domain),
      name: node.name,
      output: node.outputs[0]?.name ?? "",
      ...(shape && { shape }),
      parameters: parametersOf(node, roles, model, (x) => gradient !== "folded" || !used.has(x)),
      gradient,
    };
  });
  const { parameters, tensors, statistics, bytes } = modelSize(model);
  const { irVersion, producer } = modelOrigin(model);
  const read = model.graph.find(outputOf(model) ?? "");
  return {
    model: model.source,
    bytes,
    irVersion,
    producer,
    opsets: Object.fromEntries([...model.graph.opsets].map(([d, v]) => [d === "" ? "ai.onnx" : d, v])),
    inputs: given.inputs,
    outputs: model.outputs,
    tasks: tasksTaking(
      model,
      (read && types.get(read)?.dims) ?? model.outputs.find((v) => v.name === read?.name)?.dims ?? [],
    ),
    parameters,
    tensors,
    statistics,
    roles: roleRows(
      entriesOf(
        model,
        model.graph.nodes.filter((n) => gradientOf(n) !== "folded"),
      ),
    ),
    batch,
    layers,
    taps: tapCandidates(model, { types, known, batch }),
    ops: opsOf(model, layers),
    notes,
  };
}

function entriesOf(model: Model, nodes: readonly Node[]): ConstantEntry[] {
  const tied = tieEntries(model, findTies(model));
  const names = new Set(tied.map((e) => e.name));
  return [...roleEntries(model, opTable, nodes).filter((e) => !names.has(e.name)), ...tied];
}

/** The nodes that something learned lies before. */
function afterConstants(model: Model, learned: { has(x: Value): boolean }): Set<Node> {
  const values = new Set<Value>();
  const nodes = new Set<Node>();
  for (const node of model.graph.nodes) {
    const inside = [...namesInside(node)].map((name) => model.graph.find(name));
    if (![...node.inputs, ...inside].some((x) => x && (learned.has(x) || values.has(x)))) continue;
    nodes.add(node);
    for (const y of node.outputs) if (y) values.add(y);
  }
  return nodes;
}

function gradientRule(node: Node, model: Model, learned: ReadonlySet<Node>): Gradient {
  const definition = opTable.get(tableKey(node.op, node.domain));
  const old = definition && versionOf(definition, model.graph.opsets.get(node.domain) ?? 1) === undefined;
  if ((!definition || isRefusal(definition) || old) && !definition?.random && !learned.has(node))
    return "front";
  if (!definition) return "unknown";
  if (isRefusal(definition)) return "no";
  if (!isPrimitive(definition)) return "yes";
  if (definition.grad === notDifferentiable) return "no";
  return definition.grad === zero ? "zero" : "yes";
}

function opsOf(model: Model, layers: readonly Layer[]): OpUse[] {
  const uses = new Map<string, { op: string; count: number; gradient: Gradient; note?: string }>();
  model.graph.nodes.forEach((node, i) => {
    const { op, gradient } = layers[i] as Layer;
    const definition = opTable.get(op);
    const opset = model.graph.opsets.get(node.domain) ?? 1;
    const old =
      definition !== undefined &&
      versionOf(definition, opset) === undefined &&
      gradient !== "folded" &&
      gradient !== "front";
    const kind: Gradient = old ? "unknown" : gradient;
    const key = `${kind} ${op}`;
    const use = uses.get(key);
    if (use) {
      use.count++;
      return;
    }
    const first = kind === "unknown" || kind === "no" ? `first at "${node.name}"` : undefined;
    const note = old
      ? `opset ${opset} is older than its first form that we know, ${definition.versions[0]}`
      : first;
    uses.set(key, { op, count: 1, gradient: kind, ...(note !== undefined && { note }) });
  });
  return [...uses.values()].sort((a, b) => b.count - a.count || (a.op < b.op ? -1 : 1));
}
