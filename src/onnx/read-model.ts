// Bytes -> Model. A file that is not whole, or not an ONNX model, is one clear error and never half a model.
// Sources: onnx.proto; ONNX IR specification (initialisers and inputs, external data, model-local functions).
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type ValueInfoProto,
} from "onnx-buf";
import { DistillError } from "../base/errors.ts";
import { type Tensor, type TensorType, tensor } from "../base/tensor.ts";
import type { ExternalFile, ValueInfo } from "../base/value-info.ts";
import { type Attributes, Graph, type Value } from "../graph/graph.ts";
import { decodeAttributes } from "./attributes.ts";
import { explainForeignFile } from "./foreign-file.ts";
import { type Condition, inlined } from "./inline.ts";
import type { Model } from "./model.ts";
import { inOrder, nodeNames } from "./node-order.ts";
import { declaredType, domainOf, type Origin, originOf, remember, tensorsOf } from "./proto.ts";
import { separateConstants } from "./separate-constants.ts";
import { decodeTensor, type ExternalReader, isExternal, locationOf } from "./tensor-proto.ts";

/** What we read: from opset 7 (broadcasting as it is today) to the newest that ONNX 1.23 defines. */
export const oldestOpset = 7;
export const newestOpset = 28;

export interface ReadModelOptions {
  /** Path or label, for messages; default "model". */
  readonly source?: string;
  /** The whole external file at a location, as the model spells it (relative, never outside the model's folder). */
  readonly external?: (location: string) => Uint8Array;
}

/**
 * Reads an ONNX model of any opset from 7 on. `bytes` is kept, not copied, so it must not be changed afterwards.
 *
 * Errors: E_FILE for bytes that are empty, cut short, not ONNX, or lack their external data; E_MODEL for a model that
 * contradicts itself (no graph, no outputs, a value that nothing defines, data that does not fit its shape, an opset that
 * is unknown). A file cut exactly after its opsets, where only metadata or functions follow, is still a whole model to
 * protobuf; a missing function is then ONNX Runtime's to report.
 *
 * @example
 * const model = readModel(bytes, { source: "student.onnx" });
 * for (const node of model.graph.nodes) console.log(node.op, node.name);
 */
export function readModel(bytes: Uint8Array, options: ReadModelOptions = {}): Model {
  const source = options.source ?? "model";
  const { external } = options;
  const read = external && ((location: string) => ({ path: location, data: external(location) }));
  return buildModel({ proto: parseProto(bytes, source), bytes }, source, read);
}

/** Bytes -> message, for readers that must look at it before they can build the model. */
export function parseProto(bytes: Uint8Array, source: string): ModelProto {
  if (bytes.length === 0) throw new DistillError("E_FILE", `${source}: the file is empty`);
  let proto: ModelProto;
  try {
    proto = fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    throw new DistillError("E_FILE", `${source}: ${explainForeignFile(bytes) ?? cutShort(bytes)}`, { cause });
  }
  if (!proto.graph)
    throw new DistillError(
      "E_FILE",
      `${source}: ${explainForeignFile(bytes) ?? "holds no graph, so it is cut short or not an ONNX model"}`,
    );
  return proto;
}

function cutShort(bytes: Uint8Array): string {
  return `not a whole ONNX model: it is cut short or damaged (${bytes.length} bytes); fetch or export it again`;
}

/**
 * The model with those If nodes written out whose condition `conditions` knows, by the name of the value; the model itself
 * where there are none. It is not altered, and weights go back into the same file.
 */
export function inlineBranches(model: Model, conditions: ReadonlyMap<string, boolean>): Model {
  const file = (location: string) => model.externalFiles.find((f) => f.path === location) as ExternalFile;
  const origin = originOf(model);
  const made = buildModel(origin, model.source, file, (name) => conditions.get(name));
  return originOf(made).proto === origin.proto ? model : made;
}

/** Locations of all external files that the model refers to. */
export function externalLocations(proto: ModelProto): Set<string> {
  const locations = new Set<string>();
  for (const t of tensorsOf(proto)) if (isExternal(t)) locations.add(locationOf(t));
  return locations;
}

/** Refuses a location that leaves the model's own folder: a model must not be able to read other files. */
export function checkLocation(location: string, what: string): void {
  if (location === "") throw new DistillError("E_MODEL", `${what}: external data without a location`);
  if (leavesFolder(location))
    throw new DistillError(
      "E_MODEL",
      `${what}: the external file ${JSON.stringify(location)} lies outside the model's folder and is not read; put it beside the model and write its bare name into the model`,
    );
}

/** Whether a location is absolute or has `..` in it, as any system understands it. */
export function leavesFolder(location: string): boolean {
  return (
    /^([/\\]|[A-Za-z]:)/.test(location) || location.split(/[/\\]/).includes("..") || location.includes("\0")
  );
}

export function buildModel(
  origin: Origin,
  source: string,
  read: ((location: string) => ExternalFile) | undefined,
  condition: Condition = () => undefined,
): Model {
  const files = new Map<string, ExternalFile>();
  const external: ExternalReader = (location, what) => {
    checkLocation(location, what);
    let file = files.get(location);
    if (!file) {
      if (!read)
        throw new DistillError(
          "E_FILE",
          `${what}: its data lies in the external file "${location}"; read the model from its path, or give the file's bytes by the option "external"`,
        );
      file = read(location);
      files.set(location, file);
    }
    return file;
  };
  try {
    // What comes straight from a file; an edited model was separated when it was read.
    const { proto, copies: separated } = origin.file
      ? { proto: origin.proto, copies: origin.separated ?? [] }
      : separateConstants(origin.proto, (t) => decodeTensor(t, `initialiser "${t.name}"`, external));
    const { file = proto, provenance = { places: new Map(), originals: new Map() } } = origin;
    const shown = inlined({ proto, provenance }, condition);
    const built = buildGraph(shown.proto, external);
    // Files that only subgraphs, functions or element types of no concern to us refer to: the runtime needs them.
    for (const location of externalLocations(file)) external(location, "the model");
    const model: Model = {
      ...built,
      constantNodes: constantNodesOf(file.graph as GraphProto, built.graph),
      source,
      externalFiles: [...files.values()],
    };
    return remember(model, {
      proto: shown.proto,
      get bytes() {
        return origin.bytes;
      },
      file,
      provenance: shown.provenance,
      separated,
    });
  } catch (cause) {
    if (!(cause instanceof DistillError)) throw cause;
    throw new DistillError(cause.code, `${source}: ${cause.message}`, { cause });
  }
}

function readOpsets(proto: ModelProto): Map<string, number> {
  const opsets = new Map(proto.opsetImport.map((o) => [domainOf(o.domain), Number(o.version)]));
  const opset = opsets.get("");
  if (opset === undefined)
    throw new DistillError("E_MODEL", "declares no ai.onnx opset, so the file is cut short or damaged");
  if (opset < oldestOpset)
    throw new DistillError(
      "E_MODEL",
      `opset ${opset} is older than ${oldestOpset}; convert the model with onnx.version_converter, or export it again`,
    );
  if (opset > newestOpset)
    throw new DistillError(
      "E_MODEL",
      `opset ${opset} is not known (the newest is ${newestOpset}); export the model with an older one`,
    );
  return opsets;
}

function buildGraph(
  proto: ModelProto,
  external: ExternalReader,
): Pick<Model, "graph" | "inputs" | "outputs"> {
  const g = proto.graph as GraphProto;
  const graph = new Graph(g.name || "graph", readOpsets(proto));
  const declared = new Map([...g.valueInfo, ...g.output, ...g.input].map((v) => [v.name, staticType(v)]));
  const initialised = new Set([
    ...g.initializer.map((t) => t.name),
    ...g.sparseInitializer.map((s) => s.values?.name ?? ""),
  ]);

  const inputs: ValueInfo[] = [];
  for (const input of g.input) {
    if (initialised.has(input.name)) continue;
    const info = infoOf(input);
    if (!info)
      throw new DistillError(
        "E_MODEL",
        `input "${input.name}" is not a tensor of numbers or strings; nothing else can be fed`,
      );
    inputs.push(info);
    graph.addInput(input.name, declared.get(input.name));
  }
  for (const t of g.initializer) {
    const value = decodeTensor(t, `initialiser "${t.name}"`, external);
    if (value) graph.addConstant(t.name, value);
    else addOpaqueConstant(graph, t.name, { name: "value", type: AttributeType.TENSOR, t });
  }
  for (const s of g.sparseInitializer)
    addOpaqueConstant(graph, s.values?.name ?? "", {
      name: "sparse_value",
      type: AttributeType.SPARSE_TENSOR,
      sparseTensor: s,
    });

  addNodes(graph, g.node, declared, external);

  if (g.output.length === 0)
    throw new DistillError("E_MODEL", "the graph has no outputs, so the file is cut short or damaged");
  for (const output of g.output) {
    const value = graph.find(output.name);
    if (!value) throw new DistillError("E_MODEL", `nothing defines the output "${output.name}"`);
    graph.addOutput(value);
  }
  const outputs = g.output.map(infoOf).filter((info) => info !== undefined);
  return { graph, inputs, outputs };
}

function constantNodesOf({ node }: GraphProto, graph: Graph): Set<Value> {
  const found = new Set<Value>();
  for (const { opType, domain, output } of node) {
    const value = opType === "Constant" && domainOf(domain) === "" ? graph.find(output[0] ?? "") : undefined;
    if (value) found.add(value);
  }
  return found;
}

function infoOf(proto: ValueInfoProto): ValueInfo | undefined {
  const type = declaredType(proto.type);
  return type && { name: proto.name, dtype: type.dtype, dims: type.dims ?? [] };
}

function staticType(proto: ValueInfoProto): TensorType | undefined {
  const type = declaredType(proto.type);
  if (!type?.dims?.every((d) => typeof d === "number")) return undefined;
  return { dtype: type.dtype, dims: type.dims };
}

/** A constant whose elements we don't hold: a node without inputs, which nothing folds and nothing trains. */
function addOpaqueConstant(
  graph: Graph,
  name: string,
  attribute: MessageInitShape<typeof AttributeProtoSchema> & { name: string },
): void {
  const value = create(AttributeProtoSchema, attribute);
  graph.addNode({
    op: "Constant",
    name: `Constant_${name}`,
    inputs: [],
    outputs: [name],
    attributes: { [attribute.name]: { kind: "opaque", value } },
  });
}

function addNodes(
  graph: Graph,
  nodes: readonly NodeProto[],
  declared: ReadonlyMap<string, TensorType | undefined>,
  external: ExternalReader,
): void {
  const called = nodeNames(nodes);
  for (const [node, i] of inOrder(nodes, (name) => graph.has(name))) {
    const name = called[i] as string;
    const what = `node ${node.opType} "${name}"`;
    const domain = domainOf(node.domain);
    if (!graph.opsets.has(domain))
      throw new DistillError(
        "E_MODEL",
        `${what} is of the domain "${domain}", which the model does not import`,
      );
    const attributes = decodeAttributes(node.attribute, what, external);
    const constant = domain === "" && node.opType === "Constant" ? constantOf(attributes) : undefined;
    const output = node.output[0];
    if (constant && output) {
      graph.addConstant(output, constant);
      continue;
    }
    graph.addNode({
      op: node.opType,
      domain,
      name,
      inputs: node.input.map((input) => (input === "" ? undefined : graph.find(input))),
      outputs: node.output,
      types: node.output.map((o) => declared.get(o)),
      attributes,
    });
  }
}

/** The tensor of a Constant node, whichever attribute holds it. */
export function constantOf(attributes: Attributes): Tensor | undefined {
  const { value, value_float, value_floats, value_int, value_ints, value_string, value_strings } = attributes;
  if (value?.kind === "tensor") return value.value;
  if (value_float?.kind === "float") return tensor("float32", [value_float.value], []);
  if (value_floats?.kind === "floats") return tensor("float32", value_floats.value);
  if (value_int?.kind === "int") return tensor("int64", [value_int.value], []);
  if (value_ints?.kind === "ints") return tensor("int64", value_ints.value);
  if (value_string?.kind === "string") return { dtype: "string", dims: [], data: [value_string.value] };
  if (value_strings?.kind === "strings")
    return { dtype: "string", dims: [value_strings.value.length], data: value_strings.value };
  return undefined;
}
