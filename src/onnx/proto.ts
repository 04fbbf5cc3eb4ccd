// The protobuf side of a Model, private to this room: which message belongs to which model, and copies that share
// everything they do not change. Source: onnx.proto as compiled by onnx-buf (ONNX 1.20).
import type { Message } from "@bufbuild/protobuf";
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  TensorShapeProto_Dimension,
  TypeProto,
} from "onnx-buf";
import { DistillError } from "../base/errors.ts";
import { isLowBits } from "../base/low-bits.ts";
import type { DType } from "../base/tensor.ts";
import type { Model } from "./model.ts";
import type { SeparatedCopy } from "./separate-constants.ts";

/** Where a constant's elements lie in a file: in an initialiser, or in an attribute of a node, call or function. */
export type Place = TensorProto | AttributeProto;

/** What a model was made of. */
export interface Origin {
  /** The message whose main graph the model shows: functions and Ifs of known condition written out. */
  readonly proto: ModelProto;
  /** The bytes of the file (for an edited model written when first asked for). */
  readonly bytes: Uint8Array;
  /** The message of the file; default `proto`. */
  readonly file?: ModelProto;
  readonly provenance?: Provenance;
  /** See separate-constants.ts. */
  readonly separated?: readonly SeparatedCopy[];
}

/** Where in the file that is which was written out in the main graph. */
export interface Provenance {
  /** Constants that do not lie in the file's main graph, by their names in the message shown. */
  readonly places: ReadonlyMap<string, Place>;
  /** Messages of the file, by their renamed copies in subgraphs of the message shown. */
  readonly originals: ReadonlyMap<Place, Place>;
}

const origins = new WeakMap<Model, Origin>();

export function remember(model: Model, origin: Origin): Model {
  origins.set(model, origin);
  return model;
}

export function originOf(model: Model): Origin {
  const origin = origins.get(model);
  if (!origin)
    throw new DistillError(
      "E_ARGUMENT",
      `${model.source}: not a model that readModel returned; a copy has lost its file`,
    );
  return origin;
}

/** A copy that shares every field; unknown fields and which fields are set come along. */
export function shallow<M extends Message>(message: M): M {
  return Object.assign(Object.create(Object.getPrototypeOf(message)), message);
}

/** Element types by their number in TensorProto.DataType; the others (complex, 4-bit float, 8-bit powers of two) we don't hold. */
const dtypes: readonly (DType | undefined)[] = [
  undefined,
  "float32",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "int32",
  "int64",
  "string",
  "bool",
  "float16",
  "float64",
  "uint32",
  "uint64",
  undefined,
  undefined,
  "bfloat16",
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
  "uint4",
  "int4",
  undefined,
  undefined,
  "uint2",
  "int2",
];

export function dtypeOf(dataType: number): DType | undefined {
  return dtypes[dataType];
}

export function dataTypeOf(dtype: DType): number {
  return dtypes.indexOf(dtype);
}

export function domainOf(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

/** A node that only holds a value. */
export function isConstant(node: NodeProto): boolean {
  return node.opType === "Constant" && domainOf(node.domain) === "";
}

function dimension(dim: TensorShapeProto_Dimension): number | string {
  if (dim.value.case === "dimValue" && dim.value.value >= 0n) return Number(dim.value.value);
  return dim.value.case === "dimParam" && dim.value.value !== "" ? dim.value.value : "?";
}

/** Element type and declared dimensions of a tensor type; dims undefined where not even the rank is declared. */
export function declaredType(
  type: TypeProto | undefined,
): { dtype: DType; dims: (number | string)[] | undefined } | undefined {
  if (type?.value.case !== "tensorType") return undefined;
  const dtype = dtypeOf(type.value.value.elemType);
  // What no session hands out cannot be fed or looked at.
  if (dtype === undefined || isLowBits(dtype)) return undefined;
  return dtype && { dtype, dims: type.value.value.shape?.dim.map(dimension) };
}

/** Every tensor anywhere in the model: initialisers, attributes, subgraphs and functions. */
export function* tensorsOf(proto: ModelProto): Generator<TensorProto> {
  if (proto.graph) yield* tensorsOfGraph(proto.graph);
  for (const f of proto.functions) {
    yield* tensorsOfNodes(f.node);
    yield* tensorsOfAttributes(f.attributeProto);
  }
}

function* tensorsOfGraph(graph: GraphProto): Generator<TensorProto> {
  yield* graph.initializer;
  for (const { values, indices } of graph.sparseInitializer) {
    if (values) yield values;
    if (indices) yield indices;
  }
  yield* tensorsOfNodes(graph.node);
}

function* tensorsOfNodes(nodes: readonly NodeProto[]): Generator<TensorProto> {
  for (const node of nodes) yield* tensorsOfAttributes(node.attribute);
}

function* tensorsOfAttributes(attributes: readonly AttributeProto[]): Generator<TensorProto> {
  for (const a of attributes) {
    if (a.t) yield a.t;
    yield* a.tensors;
    if (a.g) yield* tensorsOfGraph(a.g);
    for (const g of a.graphs) yield* tensorsOfGraph(g);
  }
}
