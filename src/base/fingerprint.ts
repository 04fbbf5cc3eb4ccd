// A number for the bits of a few samples, to tell whether the same ones were read again. No protection against intent.
import type { Tensor, TypedArray } from "./tensor.ts";

/** Of the sample in place `at` of a batch of any n, all inputs [n, …] together: FNV-1a over 32-bit words, 0 to 2³² − 1. */
export function fingerprint(inputs: readonly Tensor[], at: number): number {
  let hash = 0x811c9dc5;
  for (const { data, dims } of inputs) {
    const n = dims[0] || 1;
    for (const size of dims.slice(1)) hash = mix(hash, size);
    if (Array.isArray(data)) continue;
    const { buffer, byteOffset, byteLength } = data as TypedArray;
    const each = byteLength / n;
    // A copy where it does not lie at a whole word.
    const start = byteOffset + at * each;
    const whole = each - (each % 4);
    const words =
      start % 4 === 0
        ? new Uint32Array(buffer, start, whole / 4)
        : new Uint32Array(buffer.slice(start, start + whole));
    for (let i = 0; i < words.length; i++) hash = mix(hash, words[i] as number);
    for (const byte of new Uint8Array(buffer, start + whole, each - whole)) hash = mix(hash, byte);
  }
  return hash >>> 0;
}

/** Signed, as small whole numbers are quickest. */
const mix = (hash: number, word: number): number => Math.imul(hash ^ word, 0x01000193);
