// A user's model with nodes and initialisers added, inputs of nodes rewired and declared batch sizes opened: for the form
// in which a student is trained, and for the bias that a folded normalisation may need. The model that was read is not
// altered, and what is not edited is shared with it.
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { DistillError, didYouMean } from "../base/errors.ts";
import { isFloat, type Tensor } from "../base/tensor.ts";
import type { ExternalFile, ValueInfo } from "../base/value-info.ts";
import type { Attributes } from "../graph/graph.ts";
import { encodeAttribute } from "./attributes.ts";
import type { Model } from "./model.ts";
import { inOrder, nodeNames } from "./node-order.ts";
import { dataTypeOf, dtypeOf, isConstant, originOf, type Provenance, shallow } from "./proto.ts";
import { buildModel } from "./read-model.ts";
import { takenBy, withNames } from "./subgraphs.ts";
import { encodeTensor } from "./tensor-proto.ts";

/** A node to add, in the model's own opset; inputs and outputs are names of values, "" for one that is left out. */
export interface AddedNode {
  readonly op: string;
  readonly domain?: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Attributes;
}

/** Nodes are named by one of their outputs, which is unique where a node's own name may be missing. */
export interface ModelEdits {
  /** New initialisers by name. */
  readonly constants?: ReadonlyMap<string, Tensor>;
  readonly nodes?: readonly AddedNode[];
  /** By an output of the node: the value that it takes instead, by input slot. */
  readonly rewired?: ReadonlyMap<string, ReadonlyMap<number, string>>;
  /** Another name for an output of a node, at that node alone: whoever takes the old name takes what is added under it. */
  readonly renamed?: ReadonlyMap<string, string>;
  /**
   * Declared inputs whose first dimension becomes `size`, or open without one. Declared shapes of all other values are then
   * forgotten.
   */
  readonly batch?: { readonly inputs: readonly string[]; readonly size?: number };
  /** The outputs, and no node that they do not need. */
  readonly outputs?: readonly string[];
}

/**
 * The edited model. Nodes without a name get the one that messages know them by.
 *
 * Errors: E_NAME for a value that does not exist, or a new name that does; as `readModel` for a model that then
 * contradicts itself.
 *
 * @example
 * const tapped = editModel(model, {
 *   nodes: [{ op: "Identity", name: "copy", inputs: ["features"], outputs: ["features/copy"] }],
 * });
 */
export function editModel(model: Model, edits: ModelEdits): Model {
  const { constants = new Map(), nodes = [], rewired = new Map(), renamed = new Map() } = edits;
  const { proto } = originOf(model);
  const g = shallow(proto.graph as GraphProto);
  for (const name of [...constants.keys(), ...nodes.flatMap((n) => n.outputs)])
    if (name !== "" && model.graph.has(name) && !renamed.has(name))
      throw new DistillError("E_NAME", `${model.source}: the value "${name}" exists already`);
  for (const name of [...rewired.keys(), ...renamed.keys()])
    if (!model.graph.find(name)?.producer)
      throw new DistillError(
        "E_NAME",
        `${model.source}: no node computes "${name}".${didYouMean(
          name,
          [...model.graph.values()].map((v) => v.name),
        )}`,
      );

  const named = nodeNames(g.node);
  g.node = g.node.map((node, i): NodeProto => {
    const copy = shallow(node);
    copy.name = named[i] as string;
    if (node.output.some((o) => renamed.has(o))) copy.output = node.output.map((o) => renamed.get(o) ?? o);
    return rewiredNode(copy, node.output, rewired);
  });
  addConstants(g, constants, proto.irVersion);
  if (edits.batch) {
    const { inputs, size } = edits.batch;
    g.input = g.input.map((v) => (inputs.includes(v.name) ? withBatch(v, size) : v));
    g.valueInfo = [];
    g.output = g.output.map(withoutShape);
  }
  const given = new Set([...g.input, ...g.initializer].map((v) => v.name));
  for (const s of g.sparseInitializer) given.add(s.values?.name ?? "");
  g.node = inOrder([...g.node, ...nodes.map(encodeNode)], (name) => given.has(name)).map(([node]) => node);
  if (edits.outputs) keepOnly(g, edits.outputs);

  const changed = shallow(proto);
  changed.graph = g;
  return fromProto(changed, model);
}

/**
 * The user's own file with initialisers added and inputs of nodes rewired, and nothing else changed: what `withWeights` is
 * given then. Where the file has functions or branches, only nodes of its main graph can be rewired (see `isInMainGraph`).
 *
 * Errors: as `editModel`.
 */
export function editFile(model: Model, edits: Required<Pick<ModelEdits, "constants" | "rewired">>): Model {
  const { proto, file = proto, provenance } = originOf(model);
  const edited = (message: ModelProto): ModelProto => {
    const g = shallow(message.graph as GraphProto);
    g.node = g.node.map((node) => rewiredNode(node, node.output, edits.rewired));
    addConstants(g, edits.constants, message.irVersion);
    const copy = shallow(message);
    copy.graph = g;
    return copy;
  };
  for (const name of edits.rewired.keys())
    if (!isInMainGraph(model, name))
      throw new DistillError("E_NAME", `${model.source}: no node of the main graph computes "${name}"`);
  const changed = edited(file);
  return fromProto(file === proto ? changed : edited(proto), model, changed, provenance);
}

/** How the shown graph is fed; the file is left as it is, so that weights go back into it. */
export interface InputEdits {
  /** Inputs that are no longer fed: `nodes` compute them, under their names. */
  readonly removed: readonly string[];
  /** Inputs that are fed in another shape. */
  readonly reshaped: readonly ValueInfo[];
  /** By the name of an input: what takes it takes this value instead. */
  readonly renamed: ReadonlyMap<string, string>;
  readonly nodes: readonly AddedNode[];
}

/**
 * The model fed otherwise: what `withOutputs` gives is fed so, what `withWeights` gives has the inputs of the file.
 *
 * Errors: as `editModel`.
 */
export function editInputs(model: Model, edits: InputEdits): Model {
  const { proto, file = proto, provenance } = originOf(model);
  const { removed, renamed } = edits;
  const reshapedAs = new Map(edits.reshaped.map((i) => [i.name, i]));
  const g = shallow(proto.graph as GraphProto);
  const nodes = g.node.map((node) => withNames(node, renamed));
  g.input = g.input.flatMap((v) => {
    const changed = reshapedAs.get(v.name);
    return removed.includes(v.name) ? [] : [changed ? inputFor(changed) : v];
  });
  g.valueInfo = g.valueInfo.filter((v) => !removed.includes(v.name));
  const given = new Set([...g.input, ...g.initializer].map((v) => v.name));
  for (const s of g.sparseInitializer) given.add(s.values?.name ?? "");
  g.node = inOrder([...edits.nodes.map(encodeNode), ...nodes], (name) => given.has(name)).map(([n]) => n);
  const changed = shallow(proto);
  changed.graph = g;
  return fromProto(changed, model, file, provenance, () => originOf(model).bytes);
}

/** Whether a node of the file's main graph computes the value: not one of a function or a branch that was written out. */
export function isInMainGraph(model: Model, output: string): boolean {
  const { proto, file = proto } = originOf(model);
  let outputs = mainOutputs.get(file);
  if (!outputs) mainOutputs.set(file, (outputs = new Set(file.graph?.node.flatMap((n) => n.output))));
  return outputs.has(output);
}

/** What nodes of a file's main graph compute, once it was asked for. */
const mainOutputs = new WeakMap<ModelProto, Set<string>>();

/** What `proto` and `file` say, read as `like` was. */
export function fromProto(
  proto: ModelProto,
  like: Model,
  file = proto,
  provenance?: Provenance,
  bytesOf = (): Uint8Array => toBinary(ModelProtoSchema, file),
): Model {
  let bytes: Uint8Array | undefined;
  const origin = {
    proto,
    file,
    get bytes() {
      bytes ??= bytesOf();
      return bytes;
    },
    ...(provenance && { provenance }),
    separated: originOf(like).separated ?? [],
  };
  const external = (location: string) => like.externalFiles.find((f) => f.path === location) as ExternalFile;
  return buildModel(origin, like.source, external);
}

/** In the way that the file keeps its own weights: where some are initialisers, Constant nodes count as no weights. */
function addConstants(g: GraphProto, constants: ReadonlyMap<string, Tensor>, irVersion: bigint): void {
  const isWeight = (t: TensorProto): boolean => t.dims.length > 0 && isFloat(dtypeOf(t.dataType) ?? "int64");
  if (!g.initializer.some(isWeight) && g.node.some((n) => n.opType === "Constant")) {
    const nodes = [...constants].map(([name, value]) =>
      encodeNode({
        op: "Constant",
        name,
        inputs: [],
        outputs: [name],
        attributes: { value: { kind: "tensor", value } },
      }),
    );
    g.node = [...nodes, ...g.node];
    return;
  }
  g.initializer = [...g.initializer, ...[...constants].map(([name, t]) => encodeTensor(t, name))];
  // Before IR version 4 every initialiser must be among the inputs too.
  if (irVersion < 4n) g.input = [...g.input, ...[...constants].map(([name, t]) => inputFor({ ...t, name }))];
}

function rewiredNode(
  node: NodeProto,
  outputs: readonly string[],
  rewired: ReadonlyMap<string, ReadonlyMap<number, string>>,
): NodeProto {
  const slots = outputs.map((o) => rewired.get(o)).find((found) => found !== undefined);
  return slots ? Object.assign(shallow(node), { input: rewire(node.input, slots) }) : node;
}

function rewire(inputs: readonly string[], slots: ReadonlyMap<number, string>): string[] {
  const copy = [...inputs];
  for (const [slot, name] of slots) {
    while (copy.length < slot) copy.push("");
    copy[slot] = name;
  }
  while (copy.at(-1) === "") copy.pop();
  return copy;
}

export function encodeNode(node: AddedNode): NodeProto {
  return create(NodeProtoSchema, {
    opType: node.op,
    domain: node.domain ?? "",
    name: node.name,
    input: [...node.inputs],
    output: [...node.outputs],
    attribute: Object.entries(node.attributes ?? {}).map(([name, a]) =>
      encodeAttribute(name, a, `node ${node.op} "${node.name}"`),
    ),
  });
}

function inputFor({ name, dtype, dims }: ValueInfo): ValueInfoProto {
  const open = (size: string): object => (size === "?" ? {} : { value: { case: "dimParam", value: size } });
  const type = create(TypeProto_TensorSchema, {
    elemType: dataTypeOf(dtype),
    shape: { dim: dims.map((d) => (typeof d === "string" ? open(d) : dimension(d))) },
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: "tensorType", value: type } }),
  });
}

/** A declaration with its shape changed; of other types than tensors as it is. */
function reshaped(
  v: ValueInfoProto,
  shapeOf: (dim: readonly object[]) => object[] | undefined,
): ValueInfoProto {
  if (v.type?.value.case !== "tensorType") return v;
  const { elemType, shape } = v.type.value.value;
  const dim = shape && shapeOf(shape.dim);
  const type = create(TypeProto_TensorSchema, { elemType, ...(dim && { shape: { dim } }) });
  const copy = shallow(v);
  copy.type = create(TypeProtoSchema, { value: { case: "tensorType", value: type } });
  return copy;
}

const dimension = (size: number | undefined): object =>
  size === undefined ? {} : { value: { case: "dimValue", value: BigInt(size) } };
const withBatch = (v: ValueInfoProto, size: number | undefined): ValueInfoProto =>
  reshaped(v, ([, ...rest]) => [dimension(size), ...rest]);
const withoutShape = (v: ValueInfoProto): ValueInfoProto => reshaped(v, () => undefined);

function keepOnly(g: GraphProto, outputs: readonly string[]): void {
  const needed = new Set(outputs);
  g.node = g.node
    .toReversed()
    .filter((node) => {
      // Constants stay: they may be named by what goes back into the file, or by what is frozen.
      if (!isConstant(node) && !node.output.some((o) => needed.has(o))) return false;
      for (const x of takenBy(node)) needed.add(x);
      return true;
    })
    .reverse();
  const declared = new Map(g.output.map((v) => [v.name, v]));
  g.output = outputs.map((name) => declared.get(name) ?? create(ValueInfoProtoSchema, { name }));
}
