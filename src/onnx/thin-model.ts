// The bytes of a model without its large weights: each initialiser of some size is left out and refers to the place where it
// lies in the model's own file, as ONNX external data. Reads the file piece by piece and never holds what it leaves out.
// Knows protobuf's wire format and the numbers of four fields; all else is copied unread.
// Sources: protobuf encoding guide; onnx.proto (ModelProto.graph, GraphProto.initializer, TensorProto.raw_data).
import { create, toBinary } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
} from "onnx-buf";

/** A file whose bytes are read when asked for. */
export interface ByteSource {
  readonly size: number;
  slice(offset: number, length: number): Uint8Array;
}

const graphField = ModelProtoSchema.field.graph.number;
const initializerField = GraphProtoSchema.field.initializer.number;
const rawDataField = TensorProtoSchema.field.rawData.number;
const externalDataField = TensorProtoSchema.field.externalData.number;
const lengthDelimited = 2;

/**
 * The model in `source` with initialisers of `least` bytes or more as external data in the file `location`; undefined
 * where it is no well-formed message, or nothing is that large.
 */
export function thinModel(source: ByteSource, location: string, least: number): Uint8Array | undefined {
  const reader = new WireReader(source);
  const out = new Pieces(source);
  try {
    for (const field of reader.fields(0, source.size)) {
      if (field.number !== graphField || field.type !== lengthDelimited) out.keep(field.begin, field.end);
      else out.nest(graphField, thinGraph(reader, source, field.value, field.end, location, least));
    }
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
  return out.left > 0 ? out.bytes() : undefined;
}

function thinGraph(
  reader: WireReader,
  source: ByteSource,
  begin: number,
  end: number,
  location: string,
  least: number,
): Pieces {
  const out = new Pieces(source);
  for (const field of reader.fields(begin, end)) {
    const large =
      field.number === initializerField && field.type === lengthDelimited && field.end - field.value >= least;
    const raw = large ? rawDataOf(reader, field.value, field.end) : undefined;
    if (!raw || raw.end - raw.value < least) {
      out.keep(field.begin, field.end);
      continue;
    }
    const tensor = new Pieces(source);
    tensor.keep(field.value, raw.begin);
    tensor.keep(raw.end, field.end);
    tensor.add(reference(location, raw.value, raw.end - raw.value));
    out.nest(initializerField, tensor);
    out.left++;
  }
  return out;
}

/** Undefined where there is none, or the tensor says of its own that its data lies elsewhere. */
function rawDataOf(reader: WireReader, begin: number, end: number): Field | undefined {
  let found: Field | undefined;
  for (const field of reader.fields(begin, end)) {
    if (field.number === externalDataField) return undefined;
    if (field.number === rawDataField && field.type === lengthDelimited) found = field;
  }
  return found;
}

/** What joins a TensorProto in place of its raw data: protobuf merges messages that follow each other. */
function reference(location: string, offset: number, length: number): Uint8Array {
  const entries = { location, offset: String(offset), length: String(length) };
  return toBinary(
    TensorProtoSchema,
    create(TensorProtoSchema, {
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: Object.entries(entries).map(([key, value]) =>
        create(StringStringEntryProtoSchema, { key, value }),
      ),
    }),
  );
}

/** One field: its tag begins at `begin`, its value lies in [value, end). */
interface Field {
  readonly number: number;
  readonly type: number;
  readonly begin: number;
  readonly value: number;
  readonly end: number;
}

class MalformedError extends Error {}

/** Walks over fields through a window of the file, so that skipping a value reads nothing of it. */
class WireReader {
  readonly #source: ByteSource;
  #window = new Uint8Array(0);
  #begin = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  *fields(begin: number, end: number): Generator<Field> {
    for (let at = begin; at < end; ) {
      const [tag, value] = this.#varint(at, end);
      const [number, type] = [Math.floor(tag / 8), tag % 8];
      const field = this.#field(number, type, at, value, end);
      if (field.end > end) throw new MalformedError();
      yield field;
      at = field.end;
    }
  }

  #field(number: number, type: number, begin: number, value: number, limit: number): Field {
    if (type === 0) return { number, type, begin, value, end: this.#varint(value, limit)[1] };
    if (type === 1) return { number, type, begin, value, end: value + 8 };
    if (type === 5) return { number, type, begin, value, end: value + 4 };
    if (type !== lengthDelimited) throw new MalformedError();
    const [length, from] = this.#varint(value, limit);
    return { number, type, begin, value: from, end: from + length };
  }

  /** The number (exact up to 2⁵³, which no length passes), and where the next byte is. */
  #varint(at: number, limit: number): [number, number] {
    let value = 0;
    for (let i = 0, factor = 1; i < 10; i++, factor *= 128) {
      if (at + i >= limit) throw new MalformedError();
      const byte = this.#byte(at + i);
      value += (byte & 127) * factor;
      if (byte < 128) return [value, at + i + 1];
    }
    throw new MalformedError();
  }

  #byte(at: number): number {
    if (at < this.#begin || at >= this.#begin + this.#window.length) {
      this.#begin = at;
      this.#window = new Uint8Array(this.#source.slice(at, Math.min(windowSize, this.#source.size - at)));
    }
    return this.#window[at - this.#begin] as number;
  }
}

const windowSize = 2 ** 16;

/** A message in the making: stretches of the file, and bytes between them. */
class Pieces {
  readonly #source: ByteSource;
  readonly #pieces: (Uint8Array | { begin: number; end: number })[] = [];
  size = 0;
  /** How many tensors were left out. */
  left = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  keep(begin: number, end: number): void {
    if (end === begin) return;
    const last = this.#pieces.at(-1);
    if (last && "begin" in last && last.end === begin) last.end = end;
    else this.#pieces.push({ begin, end });
    this.size += end - begin;
  }

  add(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.size += bytes.length;
  }

  nest(field: number, inner: Pieces): void {
    this.add(varintBytes(field * 8 + lengthDelimited));
    this.add(varintBytes(inner.size));
    this.#pieces.push(...inner.#pieces);
    this.size += inner.size;
    this.left += inner.left;
  }

  bytes(): Uint8Array {
    const out = new Uint8Array(this.size);
    let at = 0;
    for (const piece of this.#pieces) {
      const bytes = "begin" in piece ? this.#source.slice(piece.begin, piece.end - piece.begin) : piece;
      out.set(bytes, at);
      at += bytes.length;
    }
    return out;
  }
}

function varintBytes(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Uint8Array.from([...bytes, rest]);
}
