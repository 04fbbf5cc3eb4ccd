// The loops in WebAssembly's vector instructions (columns.wat), to the same bits as javascript.ts.
// Loaded without waiting: browsers compile so small a module (600 bytes) where they stand.
import { columnsWasm } from "./columns-wasm.ts";
import { type Kernel, place } from "./kernel.ts";

/** What columns.wat exports; all but counts are addresses in bytes. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  addSums(rows: number, groups: number, columns: number, first: number, shift: number, squares: number): void;
  gradient(
    rows: number,
    groups: number,
    columns: number,
    first: number,
    shift: number,
    slope: number,
    out: number,
  ): void;
  narrow(from: number, count: number): void;
}

/** The part of the standard that is used here, which the compiler knows only with the types of a browser. */
interface WebAssemblyGlobal {
  readonly WebAssembly: {
    readonly Module: new (bytes: Uint8Array) => object;
    readonly Instance: new (module: object) => { readonly exports: unknown };
  };
}

const BYTES = Float64Array.BYTES_PER_ELEMENT;

/** Undefined where there is no WebAssembly, it has no vector instructions, or a page's policy forbids it. */
export function webAssemblyKernel(): Kernel | undefined {
  const loops = load();
  if (!loops) return undefined;
  const memory = new Float64Array(loops.memory.buffer, 0, place.end);
  const narrowed = new Float32Array(loops.memory.buffer, BYTES * place.out);
  const [first, shift, squares] = [BYTES * place.first, BYTES * place.shift, BYTES * place.squares];
  const [slope, rows, out] = [BYTES * place.slope, BYTES * place.rows, BYTES * place.out];
  return {
    memory,
    addSums: (groups, columns) => loops.addSums(rows, groups, columns, first, shift, squares),
    gradient: (groups, columns) => loops.gradient(rows, groups, columns, first, shift, slope, out),
    results(count, target) {
      if (target.BYTES_PER_ELEMENT === BYTES) return memory.subarray(place.out, place.out + count);
      loops.narrow(out, count);
      return narrowed.subarray(0, count);
    },
  };
}

function load(): Exports | undefined {
  try {
    const { Module, Instance } = (globalThis as unknown as WebAssemblyGlobal).WebAssembly;
    const bytes = Uint8Array.from(atob(columnsWasm), (character) => character.charCodeAt(0));
    return new Instance(new Module(bytes)).exports as Exports;
  } catch {
    return undefined;
  }
}
