// Files made in memory for the tests of this room.
import { gzipSync, zipSync } from "fflate";
import { dump } from "npyjs";

const idxCodes = { uint8: 8, int8: 9, int16: 11, int32: 12, float32: 13, float64: 14 } as const;
const writers = {
  uint8: (v: DataView, at: number, x: number) => v.setUint8(at, x),
  int8: (v: DataView, at: number, x: number) => v.setInt8(at, x),
  int16: (v: DataView, at: number, x: number) => v.setInt16(at, x),
  int32: (v: DataView, at: number, x: number) => v.setInt32(at, x),
  float32: (v: DataView, at: number, x: number) => v.setFloat32(at, x),
  float64: (v: DataView, at: number, x: number) => v.setFloat64(at, x),
};
const widths = { uint8: 1, int8: 1, int16: 2, int32: 4, float32: 4, float64: 8 };

export type IdxType = keyof typeof idxCodes;

export function idxFile(
  dims: readonly number[],
  values: readonly number[],
  dtype: IdxType = "uint8",
): Uint8Array {
  const start = 4 + 4 * dims.length;
  const bytes = new Uint8Array(start + values.length * widths[dtype]);
  const view = new DataView(bytes.buffer);
  bytes.set([0, 0, idxCodes[dtype], dims.length]);
  for (const [i, d] of dims.entries()) view.setUint32(4 + 4 * i, d);
  for (const [i, x] of values.entries()) writers[dtype](view, start + i * widths[dtype], x);
  return bytes;
}

export const gzip = (bytes: Uint8Array) => gzipSync(bytes, { mtime: 0 });

/** An .npz of arrays, each with its shape. */
export function npzFile(arrays: Record<string, [Parameters<typeof dump>[0], number[]]>): Uint8Array {
  const entries = Object.entries(arrays).map(([name, [data, shape]]) => [
    `${name}.npy`,
    new Uint8Array(dump(data, shape)),
  ]);
  return zipSync(Object.fromEntries(entries), { level: 0 });
}

/** 0, 1, 2, … */
export const count = (n: number) => Array.from({ length: n }, (_, i) => i);

/** The message of the DistillError that `run` throws, with its code in front. */
export async function failure(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === undefined || message.includes("\n")) throw error;
    return `${code}: ${message}`;
  }
  throw new Error("expected an error, got none");
}
