// Floats of every width as float32.
import { Float16Array } from "@petamoriken/float16";
import { isFloat, type Tensor } from "./tensor.ts";

/** Rounded where it is wider; of float16 and bfloat16 the numbers that the bits stand for. The same array where it is float32. */
export function toFloat32({ dtype, data }: Tensor): Float32Array {
  if (dtype === "float32") return data as Float32Array;
  if (dtype === "bfloat16") {
    const bits = Uint32Array.from(data as Uint16Array, (v) => v << 16);
    return new Float32Array(bits.buffer);
  }
  if (dtype === "float16") return decodeFloat16(data as Uint16Array, new Float32Array(data.length));
  return Float32Array.from(data as ArrayLike<number | bigint>, Number);
}

/** A tensor of floats as float32; any other as it is. */
export function floatsAsFloat32(t: Tensor): Tensor {
  return isFloat(t.dtype) && t.dtype !== "float32"
    ? { dtype: "float32", dims: t.dims, data: toFloat32(t) }
    : t;
}

/** Every float16, by its bits. */
let float16s: Float32Array | undefined;

/** float16 values of these bits, `into.length` of them. */
export function decodeFloat16(bits: Uint16Array, into: Float32Array): Float32Array {
  float16s ??= Float32Array.from(new Float16Array(Uint16Array.from({ length: 1 << 16 }, (_, i) => i).buffer));
  for (let i = 0; i < into.length; i++) into[i] = float16s[bits[i] as number] as number;
  return into;
}

/** The bits of values rounded to float16, ties to even; what is too large becomes infinite. */
export function encodeFloat16(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const half = new Float16Array(values);
  return new Uint16Array(half.buffer as ArrayBuffer, half.byteOffset, half.length);
}
