// Floats of every width as float32.
import { Float16Array } from "@petamoriken/float16";
import type { Tensor } from "./tensor.ts";

/** Rounded where it is wider; of float16 and bfloat16 the numbers that the bits stand for. The same array where it is float32. */
export function toFloat32({ dtype, data }: Tensor): Float32Array {
  if (dtype === "float32") return data as Float32Array;
  if (dtype === "bfloat16") {
    const bits = Uint32Array.from(data as Uint16Array, (v) => v << 16);
    return new Float32Array(bits.buffer);
  }
  if (dtype === "float16") {
    const { buffer, byteOffset, length } = data as Uint16Array;
    return Float32Array.from(new Float16Array(buffer as ArrayBuffer, byteOffset, length));
  }
  return Float32Array.from(data as ArrayLike<number | bigint>, Number);
}
