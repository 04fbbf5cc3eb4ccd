// The user's own model again, with more outputs or with new weights, and everything else as it was: names, opset, inputs,
// outputs, metadata, functions, unknown fields. Works on copies that share what does not change; the Model that was
// read is never altered.
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { DistillError, didYouMean } from "../base/errors.ts";
import { formatShape, sameShape, sizeOf, storedBytes, type Tensor } from "../base/tensor.ts";
import type { ExternalFile } from "../base/value-info.ts";
import type { Value } from "../graph/graph.ts";
import type { Model } from "./model.ts";
import { dtypeOf, isConstant, originOf, type Place, shallow, tensorsOf } from "./proto.ts";
import { externalLocations } from "./read-model.ts";
import { renewPlaces } from "./renew-places.ts";
import { type ExternalReader, encodeTensor, inlineTensor, isExternal } from "./tensor-proto.ts";

/** Bytes that one protobuf file may have: the limit is 2 GiB, less some room. */
const largestFile = 1.9e9;

/** The model file exactly as it was read. */
export function modelBytes(model: Model): Uint8Array {
  return originOf(model).bytes;
}

/**
 * The model with the named intermediate values among its outputs, after its own ones. Names that are outputs already are
 * left alone. External data stays external: load the bytes with `model.externalFiles`.
 *
 * Errors: E_NAME for a name that no node of the main graph computes, with the nearest that some node does.
 *
 * @example
 * const tapped = await runtime.load(withOutputs(teacher, ["/layer3/relu_out"]), { externalData: teacher.externalFiles });
 */
export function withOutputs(model: Model, names: Iterable<string>): Uint8Array {
  const { graph } = model;
  const present = new Set(graph.outputs.map((v) => v.name));
  const added: ValueInfoProto[] = [];
  for (const name of new Set(names)) {
    if (present.has(name)) continue;
    const value = graph.find(name);
    if (!value?.producer) {
      const computed = [...graph.values()].filter((v) => v.producer).map((v) => v.name);
      const found = value
        ? `"${name}" is ${graph.constants.has(value) ? "a constant" : "an input"}`
        : `no value "${name}"`;
      throw new DistillError(
        "E_NAME",
        `${model.source}: ${found}; a tap must be a value that a node computes.${didYouMean(name, computed)}`,
      );
    }
    added.push(create(ValueInfoProtoSchema, { name }));
  }
  return withMore(model, added, []);
}

/** The model with more outputs, and more nodes after its own. */
function withMore(model: Model, output: ValueInfoProto[], node: NodeProto[]): Uint8Array {
  const { proto, file = proto, bytes } = originOf(model);
  if (output.length === 0 && sameInputs(proto, file)) return bytes;
  // Messages that follow each other are merged, lists joined: the file itself need not be written anew.
  const more = toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { graph: create(GraphProtoSchema, { output, node }) }),
  );
  const whole = file === proto ? bytes : toBinary(ModelProtoSchema, proto);
  const joined = new Uint8Array(whole.length + more.length);
  joined.set(whole);
  joined.set(more, whole.length);
  return joined;
}

function sameInputs(shown: ModelProto, { graph }: ModelProto): boolean {
  const inputs = shown.graph?.input ?? [];
  return inputs.length === graph?.input.length && inputs.every((v, i) => v === graph.input[i]);
}

/**
 * The model with every value that a node of the main graph computes among its outputs, for observation. Values inside
 * subgraphs, constants and inputs are not added. What `asFloats` names is given as float32, under the name that stands there.
 */
export function addAllOutputs(model: Model, asFloats: ReadonlyMap<Value, string> = new Map()): Uint8Array {
  const present = new Set(model.graph.outputs);
  const computed = model.graph.nodes
    .filter((node) => !(node.domain === "" && node.op === "Constant"))
    .flatMap((node) => node.outputs.flatMap((y) => (y && !present.has(y) ? [y] : [])));
  const outputs = [...computed.filter((y) => !asFloats.has(y)).map((y) => y.name), ...asFloats.values()];
  const to = create(AttributeProtoSchema, { name: "to", type: AttributeType.INT, i: 1n });
  return withMore(
    model,
    outputs.map((name) => create(ValueInfoProtoSchema, { name })),
    [...asFloats].map(([{ name }, copy]) =>
      create(NodeProtoSchema, { opType: "Cast", input: [name], output: [copy], attribute: [to] }),
    ),
  );
}

export interface ExportedModel {
  readonly bytes: Uint8Array;
  /** Empty, unless the model keeps data that can't be put inside (too large, or of a type that we don't hold). */
  readonly externalFiles: readonly ExternalFile[];
}

/**
 * The user's own model with new values in the named initialisers or Constant outputs (of branches and functions under the
 * names that they have in `model.graph`), each of the dtype and shape that it
 * had. External data is put inside, so that one file is the whole model, as long as it stays below 1.9 GB; beyond that
 * the weights that were not replaced stay external.
 *
 * Errors: E_NAME for a name that is no initialiser and no Constant's output; E_SHAPE for another dtype or shape; E_MODEL
 * where the new weights alone pass the limit.
 *
 * @example
 * const { bytes } = withWeights(student, new Map([["conv1.weight", tensor]]));
 */
export function withWeights(model: Model, weights: ReadonlyMap<string, Tensor>): ExportedModel {
  for (const [name, tensor] of weights) checkWeight(model, name, tensor);
  const { file = originOf(model).proto, bytes, provenance } = originOf(model);
  // A weight within the file gives its place to the new one, which is as large.
  const outside = [...tensorsOf(file)].filter(isExternal);
  const renewed = outside.filter((t) => weights.has(t.name));
  const added = sum(renewed.map(bytesOf));
  if (bytes.length + added > largestFile)
    throw new DistillError(
      "E_MODEL",
      `${model.source}: with ${added} bytes of new weights that lay outside the model passes ${largestFile} bytes, more than one ONNX file may hold`,
    );
  const inline = bytes.length + sum(outside.map(bytesOf)) <= largestFile;
  if (weights.size === 0 && outside.length === 0) return { bytes, externalFiles: [] };

  const external: ExternalReader = (location) =>
    model.externalFiles.find((f) => f.path === location) as ExternalFile;
  const renew = (name: string, t: TensorProto): TensorProto => {
    const weight = weights.get(name);
    if (weight) return encodeTensor(weight, t.name, t);
    return inline && isExternal(t) ? inlineTensor(t, `${model.source}: "${name}"`, external) : t;
  };
  const elsewhere = new Map<Place, Tensor>();
  for (const [name, place] of provenance?.places ?? []) {
    const weight = weights.get(name);
    if (weight) elsewhere.set(place, weight);
  }
  const proto = renewPlaces(file, elsewhere);
  const g = shallow(proto.graph as GraphProto);
  g.initializer = g.initializer.map((t) => renew(t.name, t));
  g.node = g.node.map((node) => (isConstant(node) ? renewConstant(node, weights, renew) : node));
  const changed = withGraph(proto, g);
  const left = externalLocations(changed);
  return {
    bytes: toBinary(ModelProtoSchema, changed),
    externalFiles: model.externalFiles.filter((f) => left.has(f.path)),
  };
}

function checkWeight(model: Model, name: string, tensor: Tensor): void {
  const { graph } = model;
  const value = graph.find(name);
  const now = value && graph.constants.get(value);
  if (!now) {
    const known = [...graph.constants.keys()].map((v) => v.name);
    const found = value
      ? `"${name}" is ${value.producer ? `computed by node ${value.producer.op} "${value.producer.name}"` : "an input"}, not a weight`
      : `no weight "${name}"`;
    throw new DistillError("E_NAME", `${model.source}: ${found}.${didYouMean(name, known)}`);
  }
  if (now.dtype !== tensor.dtype || !sameShape(now.dims, tensor.dims))
    throw new DistillError(
      "E_SHAPE",
      `${model.source}: weight "${name}" is ${now.dtype}${formatShape(now.dims)}, got ${tensor.dtype}${formatShape(tensor.dims)}`,
    );
}

function renewConstant(
  node: NodeProto,
  weights: ReadonlyMap<string, Tensor>,
  renew: (name: string, t: TensorProto) => TensorProto,
): NodeProto {
  const name = node.output[0] ?? "";
  const copy = shallow(node);
  copy.attribute = node.attribute.map((a): AttributeProto => {
    if (a.t) {
      const t = renew(name, a.t);
      return t === a.t ? a : Object.assign(shallow(a), { t });
    }
    const weight = weights.get(name);
    if (!weight) return a;
    // value_float, value_ints and their like hold no tensor: the general form takes their place.
    return create(AttributeProtoSchema, {
      name: "value",
      type: AttributeType.TENSOR,
      t: encodeTensor(weight, ""),
    });
  });
  return copy;
}

function withGraph(proto: ModelProto, graph: GraphProto): ModelProto {
  const copy = shallow(proto);
  copy.graph = graph;
  return copy;
}

function bytesOf(t: TensorProto): number {
  const dtype = dtypeOf(t.dataType);
  return dtype === undefined || dtype === "string" ? 0 : storedBytes(dtype, sizeOf(t.dims.map(Number)));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
