// TensorProto <-> Tensor, in every encoding that ONNX has: raw, typed fields, external. Lengths are checked when the
// model is read; the elements are decoded (and copied) when they are first looked at, so that a large teacher's
// weights are never held twice. Source: onnx.proto, message TensorProto.
import { clearField, create, isFieldSet } from "@bufbuild/protobuf";
import { type TensorProto, TensorProto_DataLocation, TensorProtoSchema } from "onnx-buf";
import { DistillError } from "../base/errors.ts";
import { isPacked, unpack } from "../base/low-bits.ts";
import {
  arrayFromBytes,
  bytesFromArray,
  type DType,
  formatShape,
  type NumericDType,
  newArray,
  sizeOf,
  storedBytes,
  type Tensor,
  type TensorData,
  type TypedArray,
} from "../base/tensor.ts";
import { type ExternalFile, fileCopy, fileSize, fileView } from "../base/value-info.ts";
import { dataTypeOf, dtypeOf, shallow } from "./proto.ts";

const field = TensorProtoSchema.field;

/** The external file at a location; throws where it can't be had. */
export type ExternalReader = (location: string, what: string) => ExternalFile;

export function isExternal(proto: TensorProto): boolean {
  return proto.dataLocation === TensorProto_DataLocation.EXTERNAL;
}

export function locationOf(proto: TensorProto): string {
  return proto.externalData.find((e) => e.key === "location")?.value ?? "";
}

/** How to have the first elements of a tensor that was read, without making all of them. */
const beginnings = new WeakMap<Tensor, (count: number) => TensorData>();

/** A tensor whose elements are made on first use. The accessor is its own, so a structured clone evaluates it. */
function lazily(
  dtype: DType,
  dims: readonly number[],
  count: number,
  decode: (count: number) => TensorData,
): Tensor {
  let data: TensorData | undefined;
  const tensor: Tensor = {
    dtype,
    dims,
    get data() {
      data ??= decode(count);
      return data;
    },
  };
  beginnings.set(tensor, (n) => data ?? decode(Math.min(n, count)));
  return tensor;
}

/** The first elements, at least `count` where there are so many; those of a tensor that was read are made alone. */
export function beginningOf(tensor: Tensor, count: number): TensorData {
  return beginnings.get(tensor)?.(count) ?? tensor.data;
}

/** `what` names the tensor in messages. Undefined for an element type that we don't hold. */
export function decodeTensor(proto: TensorProto, what: string, external: ExternalReader): Tensor | undefined {
  const dtype = dtypeOf(proto.dataType);
  if (dtype === undefined) return undefined;
  const dims = proto.dims.map(Number);
  const count = sizeOf(dims);
  if (dims.some((d) => d < 0) || !Number.isSafeInteger(count))
    throw new DistillError("E_MODEL", `${what}: the shape ${formatShape(dims)} is impossible`);
  const expect = (found: number, needed: number, unit: string): void => {
    if (found === needed) return;
    throw new DistillError(
      "E_MODEL",
      `${what}: ${dtype} of shape ${formatShape(dims)} needs ${needed} ${unit}, found ${found}; the file is damaged`,
    );
  };
  if (dtype === "string") {
    expect(proto.stringData.length, count, "strings");
    return lazily(dtype, dims, count, (n) =>
      proto.stringData.slice(0, n).map((s) => new TextDecoder().decode(s)),
    );
  }
  const byteLength = storedBytes(dtype, count);
  if (isExternal(proto)) {
    const { file, offset } = externalPlace(proto, byteLength, what, external);
    return lazily(dtype, dims, count, (n) =>
      arrayFromBytes(dtype, fileCopy(file, offset, storedBytes(dtype, n)), n),
    );
  }
  const typed = typedField(proto, dtype);
  if (isFieldSet(proto, field.rawData) && (proto.rawData.length > 0 || typed.length === 0)) {
    expect(proto.rawData.length, byteLength, "bytes");
    return lazily(dtype, dims, count, (n) =>
      arrayFromBytes(dtype, new Uint8Array(proto.rawData.subarray(0, storedBytes(dtype, n))), n),
    );
  }
  if (isPacked(dtype)) {
    // Packed in the typed field too.
    expect(typed.length, byteLength, "bytes");
    return lazily(dtype, dims, count, (n) => unpack(dtype, Uint8Array.from(typed, Number), n));
  }
  expect(typed.length, count, "elements");
  return lazily(dtype, dims, count, (n) => fill(newArray(dtype, n), n < count ? typed.slice(0, n) : typed));
}

function externalPlace(
  proto: TensorProto,
  needed: number,
  what: string,
  external: ExternalReader,
): { file: ExternalFile; offset: number } {
  const number = (key: string): number | undefined => {
    const text = proto.externalData.find((e) => e.key === key)?.value;
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
    throw new DistillError("E_MODEL", `${what}: external ${key} "${text}" is not a number of bytes`);
  };
  const location = locationOf(proto);
  const offset = number("offset") ?? 0;
  const length = number("length") ?? needed;
  if (length !== needed)
    throw new DistillError(
      "E_MODEL",
      `${what}: needs ${needed} bytes, but declares ${length} in the external file "${location}"`,
    );
  const file = external(location, what);
  const size = fileSize(file);
  if (offset + length > size)
    throw new DistillError(
      "E_FILE",
      `${what}: needs bytes ${offset} to ${offset + length} of the external file "${location}", which has ${size}; it is cut short or belongs to another model`,
    );
  return { file, offset };
}

function typedField(proto: TensorProto, dtype: NumericDType): readonly (number | bigint)[] {
  switch (dtype) {
    case "float32":
      return proto.floatData;
    case "float64":
      return proto.doubleData;
    case "int64":
      return proto.int64Data;
    case "uint32":
    case "uint64":
      return proto.uint64Data;
    default:
      return proto.int32Data;
  }
}

function fill(data: TypedArray, values: readonly (number | bigint)[]): TypedArray {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.set(values as readonly bigint[]);
  else data.set(values.map(Number));
  return data;
}

/** The tensor as a message, raw. With `like`, its name, doc string, metadata and unknown fields are kept. */
export function encodeTensor(tensor: Tensor, name: string, like?: TensorProto): TensorProto {
  const proto = like ? shallow(like) : create(TensorProtoSchema, { name });
  for (const f of [
    field.floatData,
    field.int32Data,
    field.stringData,
    field.int64Data,
    field.doubleData,
    field.uint64Data,
    field.rawData,
    field.externalData,
    field.dataLocation,
  ])
    clearField(proto, f);
  proto.dataType = dataTypeOf(tensor.dtype);
  proto.dims = tensor.dims.map(BigInt);
  const { data } = tensor;
  if (tensor.dtype === "string")
    proto.stringData = (data as readonly string[]).map((s) => new TextEncoder().encode(s));
  else proto.rawData = bytesFromArray(tensor.dtype, data as TypedArray);
  return proto;
}

/** The same tensor with its external bytes inside (views, not copies). */
export function inlineTensor(proto: TensorProto, what: string, external: ExternalReader): TensorProto {
  const dtype = dtypeOf(proto.dataType);
  if (dtype === undefined || dtype === "string") return proto;
  const length = storedBytes(dtype, sizeOf(proto.dims.map(Number)));
  const { file, offset } = externalPlace(proto, length, what, external);
  const copy = shallow(proto);
  clearField(copy, field.externalData);
  clearField(copy, field.dataLocation);
  copy.rawData = fileView(file, offset, length) as Uint8Array<ArrayBuffer>;
  return copy;
}
