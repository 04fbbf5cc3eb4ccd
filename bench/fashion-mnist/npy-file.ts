// Writes a float32 array to an .npy file (format 1.0) piece by piece, because it may be larger than memory.
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export class NpyFile {
  readonly #file: number;

  constructor(path: string, dims: readonly number[]) {
    mkdirSync(dirname(path), { recursive: true });
    this.#file = openSync(path, "w");
    const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dims.join(", ")},), }`;
    // The preamble of 10 bytes, the text, spaces and a line break fill a multiple of 64.
    const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
    const header = Buffer.alloc(10 + length, " ");
    header.write("\x93NUMPY\x01\x00", "latin1");
    header.writeUInt16LE(length, 8);
    header.write(text, 10, "latin1");
    header.write("\n", 10 + length - 1, "latin1");
    writeSync(this.#file, header);
  }

  append(data: Float32Array): void {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
  }

  close(): void {
    closeSync(this.#file);
  }
}
