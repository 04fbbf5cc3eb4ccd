// NumPy's .npz archives: zip bytes -> named arrays in C order. Which array means what is decided in npz-dataset.ts.
// Format: numpy.lib.format, versions 1 to 3, parsed by npyjs; the zip by fflate.
import { unzipSync } from "fflate";
import { parse } from "npyjs";
import { DistillError } from "../base/errors.ts";
import {
  formatShape,
  type NumericDType,
  newArray,
  sizeOf,
  type Tensor,
  type TypedArray,
} from "../base/tensor.ts";

/** npyjs's names; float16 comes out of it as float32. */
const types: Readonly<Record<string, NumericDType>> = {
  i1: "int8",
  i2: "int16",
  i4: "int32",
  i8: "int64",
  u1: "uint8",
  u2: "uint16",
  u4: "uint32",
  u8: "uint64",
  f2: "float32",
  f4: "float32",
  f8: "float64",
  b1: "bool",
};

export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b;
}

/** The names of the arrays in an .npz file, without reading them. */
export function npzNames(bytes: Uint8Array, source: string): string[] {
  const names: string[] = [];
  unzip(bytes, source, (name) => {
    names.push(name);
    return false;
  });
  return names;
}

/**
 * Reads the arrays called `names` (all, by default). Numbers and booleans of any width; float16 becomes float32;
 * Fortran order is turned into C order. Text, complex and object arrays, big-endian numbers, damage: E_FILE, only for
 * arrays asked for.
 *
 * @example
 * const { x, y } = Object.fromEntries(readNpz(bytes, "data.npz", ["x", "y"]));
 */
export function readNpz(bytes: Uint8Array, source: string, names?: readonly string[]): Map<string, Tensor> {
  const files = unzip(bytes, source, (name) => names?.includes(name) ?? true);
  return new Map([...files].map(([name, file]) => [name, readNpy(file, `${source}: array "${name}"`)]));
}

function unzip(
  bytes: Uint8Array,
  source: string,
  wanted: (name: string) => boolean,
): Map<string, Uint8Array> {
  const arrayName = (file: string) => file.replace(/\.npy$/, "");
  try {
    const files = unzipSync(bytes, {
      filter: (file) => file.name.endsWith(".npy") && wanted(arrayName(file.name)),
    });
    return new Map(Object.entries(files).map(([file, content]) => [arrayName(file), content]));
  } catch (cause) {
    throw new DistillError(
      "E_FILE",
      `${source}: not an .npz file, or cut short or damaged (${bytes.length} bytes); save it again with numpy.savez`,
      { cause },
    );
  }
}

/** NumPy's .npy: one array. */
export function isNpy(bytes: Uint8Array): boolean {
  return bytes[0] === 0x93 && String.fromCharCode(...bytes.subarray(1, 6)) === "NUMPY";
}

/** One array in NumPy's .npy format. Errors as `readNpz`. */
export function readNpy(file: Uint8Array, source: string): Tensor {
  let array: ReturnType<typeof parse>;
  try {
    const whole = file.byteLength === file.buffer.byteLength ? file : new Uint8Array(file);
    array = parse(whole.buffer as ArrayBuffer);
  } catch (cause) {
    throw new DistillError(
      "E_FILE",
      `${source} can't be read (${(cause as Error).message}); save it as a little-endian array of numbers`,
      { cause },
    );
  }
  const { shape: dims, fortranOrder } = array;
  const dtype = types[array.dtype];
  if (dtype === undefined)
    throw new DistillError(
      "E_FILE",
      `${source} holds elements of NumPy type "${array.dtype}", expected numbers`,
    );
  const values = array.data as unknown as TypedArray | boolean[];
  const data = Array.isArray(values) ? Uint8Array.from(values, Number) : values;
  if (data.length !== sizeOf(dims))
    throw new DistillError(
      "E_FILE",
      `${source} holds ${data.length} elements, but its header promises ${formatShape(dims)}; save it again`,
    );
  return { dtype, dims, data: fortranOrder && dims.length > 1 ? toRowMajor(dtype, dims, data) : data };
}

function toRowMajor(dtype: NumericDType, dims: readonly number[], columnMajor: TypedArray): TypedArray {
  const out = newArray(dtype, columnMajor.length);
  const strides = dims.map((_, axis) => sizeOf(dims.slice(0, axis)));
  const at = dims.map(() => 0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = columnMajor[from]!;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++at[axis]! < dims[axis]!) break;
      from -= strides[axis]! * dims[axis]!;
      at[axis] = 0;
    }
  }
  return out;
}
