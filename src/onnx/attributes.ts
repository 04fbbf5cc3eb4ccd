// AttributeProto <-> Attribute. What the graph has no words for (subgraphs, sparse tensors, types) is carried along as
// the message itself and written back as it was. Source: onnx.proto, message AttributeProto.
import { create, isFieldSet, isMessage } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
} from "onnx-buf";
import { DistillError } from "../base/errors.ts";
import type { Attribute, Attributes } from "../graph/graph.ts";
import { decodeTensor, type ExternalReader, encodeTensor } from "./tensor-proto.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export function decodeAttributes(
  protos: readonly AttributeProto[],
  what: string,
  external: ExternalReader,
): Attributes {
  return Object.fromEntries(protos.map((a) => [a.name, decodeAttribute(a, what, external)]));
}

function decodeAttribute(a: AttributeProto, what: string, external: ExternalReader): Attribute {
  switch (typeOfAttribute(a)) {
    case AttributeType.FLOAT:
      return { kind: "float", value: a.f };
    case AttributeType.INT:
      return { kind: "int", value: Number(a.i) };
    case AttributeType.STRING:
      return { kind: "string", value: decoder.decode(a.s) };
    case AttributeType.FLOATS:
      return { kind: "floats", value: a.floats };
    case AttributeType.INTS:
      return { kind: "ints", value: a.ints.map(Number) };
    case AttributeType.STRINGS:
      return { kind: "strings", value: a.strings.map((s) => decoder.decode(s)) };
    case AttributeType.TENSOR: {
      const value = a.t && decodeTensor(a.t, `${what}, attribute "${a.name}"`, external);
      return value ? { kind: "tensor", value } : { kind: "opaque", value: a };
    }
    default:
      return { kind: "opaque", value: a };
  }
}

/** Files of IR version 1 leave the type out; the field that is filled tells. */
function typeOfAttribute(a: AttributeProto): AttributeType {
  if (a.type !== AttributeType.UNDEFINED) return a.type;
  if (isFieldSet(a, AttributeProtoSchema.field.f)) return AttributeType.FLOAT;
  if (isFieldSet(a, AttributeProtoSchema.field.i)) return AttributeType.INT;
  if (isFieldSet(a, AttributeProtoSchema.field.s)) return AttributeType.STRING;
  if (a.t) return AttributeType.TENSOR;
  if (a.floats.length > 0) return AttributeType.FLOATS;
  if (a.ints.length > 0) return AttributeType.INTS;
  if (a.strings.length > 0) return AttributeType.STRINGS;
  return AttributeType.UNDEFINED;
}

/** Largest and smallest int64; a number that was read from them rounds to 2^63 and must come back as it was. */
const int64Max = 2n ** 63n - 1n;
const int64Min = -(2n ** 63n);

function int64(value: number, what: string): bigint {
  if (!Number.isInteger(value))
    throw new DistillError("E_MODEL", `${what} is ${value}, and must be a whole number`);
  const big = BigInt(value);
  return big > int64Max ? int64Max : big < int64Min ? int64Min : big;
}

/** `what` names the node in messages. */
export function encodeAttribute(name: string, attribute: Attribute, what: string): AttributeProto {
  const where = `${what}, attribute "${name}"`;
  switch (attribute.kind) {
    case "int":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.INT,
        i: int64(attribute.value, where),
      });
    case "float":
      return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: attribute.value });
    case "ints":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.INTS,
        ints: attribute.value.map((v) => int64(v, where)),
      });
    case "floats":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.FLOATS,
        floats: [...attribute.value],
      });
    case "string":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.STRING,
        s: encoder.encode(attribute.value),
      });
    case "strings":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.STRINGS,
        strings: attribute.value.map((s) => encoder.encode(s)),
      });
    case "tensor":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeType.TENSOR,
        t: encodeTensor(attribute.value, ""),
      });
    case "opaque":
      if (isMessage(attribute.value, AttributeProtoSchema)) return attribute.value;
      throw new DistillError("E_MODEL", `${where} is opaque, and not one that was read from a model`);
  }
}
