// Graph -> bytes: any graph of ours as an ONNX model of its own. For the user's model with new weights or outputs see
// export-model.ts, which keeps what a Graph does not hold.
import { create, toBinary } from "@bufbuild/protobuf";
import {
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { DistillError } from "../base/errors.ts";
import type { ValueInfo } from "../base/value-info.ts";
import { type Graph, type Node, typeOf, type Value } from "../graph/graph.ts";
import { encodeAttribute } from "./attributes.ts";
import { dataTypeOf } from "./proto.ts";
import { encodeTensor } from "./tensor-proto.ts";

/** Newest IR version that ONNX Runtime 1.18 and all later ones read. */
const irVersion = 10n;
/** Domains that may be used without being listed in `graph.opsets`, and the version meant then. */
const impliedOpsets: ReadonlyMap<string, number> = new Map([["com.microsoft", 1]]);

export interface WriteGraphOptions {
  /** Declarations of inputs and outputs with open dimensions, by name; the others are declared by `Value.type`. */
  readonly declared?: readonly ValueInfo[];
}

/**
 * The graph as an ONNX model: IR version 10, constants as raw initialisers, the opsets of `graph.opsets` (and
 * com.microsoft 1 where its ops are used). The types of the inputs must be known; an output without one is declared
 * by name alone, which ONNX Runtime accepts.
 *
 * Errors: E_MODEL for a node of a domain without an opset, or an input of unknown type.
 *
 * @example
 * const session = await runtime.load(writeGraph(graph));
 */
export function writeGraph(graph: Graph, options: WriteGraphOptions = {}): Uint8Array {
  const declared = new Map(options.declared?.map((info) => [info.name, info]));
  const opsets = new Map(graph.opsets);
  for (const node of graph.nodes) {
    if (opsets.has(node.domain)) continue;
    const implied = impliedOpsets.get(node.domain);
    if (implied === undefined)
      throw new DistillError(
        "E_MODEL",
        `graph "${graph.name}": node ${node.op} "${node.name}" is of the domain "${node.domain}", which graph.opsets does not list`,
      );
    opsets.set(node.domain, implied);
  }
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: "onnx-distill",
    opsetImport: [...opsets].map(([domain, version]) =>
      create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
    ),
    graph: {
      name: graph.name,
      node: graph.nodes.map(encodeNode),
      initializer: [...graph.constants].map(([value, tensor]) => encodeTensor(tensor, value.name)),
      input: graph.inputs.map((value) => encodeValue(value, declared.get(value.name) ?? typeOf(value))),
      output: graph.outputs.map((value) => encodeValue(value, declared.get(value.name) ?? value.type)),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

function encodeNode(node: Node) {
  const what = `node ${node.op} "${node.name}"`;
  return create(NodeProtoSchema, {
    opType: node.op,
    name: node.name,
    ...(node.domain === "" ? {} : { domain: node.domain }),
    input: names(node.inputs),
    output: names(node.outputs),
    attribute: Object.entries(node.attributes).map(([name, a]) => encodeAttribute(name, a, what)),
  });
}

/** Missing ones are empty names, and left off at the end. */
function names(values: readonly (Value | undefined)[]): string[] {
  const list = values.map((v) => v?.name ?? "");
  while (list.at(-1) === "") list.pop();
  return list;
}

function encodeValue(value: Value, type: Pick<ValueInfo, "dtype" | "dims"> | undefined): ValueInfoProto {
  if (!type) return create(ValueInfoProtoSchema, { name: value.name });
  const tensorType = create(TypeProto_TensorSchema, {
    elemType: dataTypeOf(type.dtype),
    shape: { dim: type.dims.map(encodeDimension) },
  });
  return create(ValueInfoProtoSchema, {
    name: value.name,
    type: create(TypeProtoSchema, { value: { case: "tensorType", value: tensorType } }),
  });
}

/** "?" is a dimension that is open and has no name. */
function encodeDimension(d: number | string) {
  if (typeof d === "number") return { value: { case: "dimValue" as const, value: BigInt(d) } };
  return d === "?" ? {} : { value: { case: "dimParam" as const, value: d } };
}
