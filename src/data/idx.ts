// IDX files, the format of MNIST and its kin. Only bytes -> array; meaning (images, labels) is given elsewhere.
// Format: Y. LeCun, C. Cortes, C. Burges, "The MNIST database": two zero bytes, element type, rank, then each
// dimension as a big-endian uint32, then the elements, big-endian.
import { DistillError } from "../base/errors.ts";
import type { TypedArray } from "../base/tensor.ts";
import { arrayFromBytes, bytesPerElement, formatShape, type NumericDType, sizeOf } from "../base/tensor.ts";
import { gunzipIfNeeded } from "./gunzip.ts";

const types: Readonly<Record<number, NumericDType>> = {
  8: "uint8",
  9: "int8",
  11: "int16",
  12: "int32",
  13: "float32",
  14: "float64",
};

export interface IdxArray {
  readonly dtype: NumericDType;
  readonly dims: readonly number[];
  readonly data: TypedArray;
}

export function isIdx(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0 && bytes[1] === 0 && bytes[2]! in types && bytes[3]! > 0;
}

/**
 * Reads an IDX file, gzipped or not (told by its first bytes, not by its name). `source` stands in the messages.
 * Not an IDX file, cut short, or with bytes left over: E_FILE.
 *
 * @example
 * const { dims, data } = await readIdx(bytes, "train-images-idx3-ubyte.gz"); // [60000, 28, 28], Uint8Array
 */
export async function readIdx(bytes: Uint8Array, source: string): Promise<IdxArray> {
  const raw = await gunzipIfNeeded(bytes, source);
  if (raw.length === 0) throw new DistillError("E_FILE", `${source}: the file is empty`);
  if (!isIdx(raw)) {
    const start = Array.from(raw.subarray(0, 4), (b) => b.toString(16).padStart(2, "0")).join(" ");
    throw new DistillError(
      "E_FILE",
      `${source}: not an IDX file: it starts with ${start}, expected 00 00, an element type (08, 09, 0b to 0e) and a rank`,
    );
  }
  const dtype = types[raw[2]!]!;
  const rank = raw[3]!;
  const start = 4 + 4 * rank;
  if (raw.length < start)
    throw new DistillError(
      "E_FILE",
      `${source}: cut short within its header: ${raw.length} of ${start} bytes; fetch or copy the file again`,
    );
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const width = bytesPerElement(dtype);
  const expected = sizeOf(dims) * width;
  const found = raw.length - start;
  if (found !== expected)
    throw new DistillError(
      "E_FILE",
      `${source}: ${found < expected ? "cut short" : "bytes left over"}: the header promises ${formatShape(dims)} ${dtype}, ` +
        `${expected} bytes, and ${found} follow; fetch or copy the file again`,
    );
  const body = raw.subarray(start);
  return {
    dtype,
    dims,
    data: arrayFromBytes(dtype, width === 1 ? body : swapped(body, width), sizeOf(dims)),
  };
}

/** A copy with the bytes of every element reversed: IDX is big-endian, typed arrays are little-endian. */
function swapped(bytes: Uint8Array, width: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 0; i < out.length; i += width) out.subarray(i, i + width).reverse();
  return out;
}
