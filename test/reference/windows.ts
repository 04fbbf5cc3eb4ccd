// Where the windows of convolutions and pools lie: output sizes, paddings, and the table of the pixels that they see.
// Source: ONNX operator specification, Conv-11, ConvTranspose-11, MaxPool-12, AveragePool-19 (and the rule of
// AveragePool-22 and MaxPool-22 on windows that would start in the padding after the end).
import type { Shape } from "../../src/base/tensor.ts";
import type { AttributeReader } from "./array.ts";

/** A window position over `image`: all sizes by spatial axis. */
export interface Windows {
  readonly image: Shape;
  readonly kernel: Shape;
  readonly strides: Shape;
  readonly dilations: Shape;
  readonly padBegin: Shape;
  readonly padEnd: Shape;
  /** How many windows there are. */
  readonly positions: Shape;
}

/** Table entries that are no pixel: in the padding, and beyond it (where ceil_mode lets the last window reach). */
export const inPadding = -1;
export const beyondPadding = -2;

const full = (rank: number, value: number): number[] => new Array<number>(rank).fill(value);

/** Everything about the windows of Conv and the pools, from their attributes. All attributes are read. */
export function readWindows(image: Shape, kernel: Shape, a: AttributeReader): Windows {
  const rank = image.length;
  const strides = a.ints("strides", full(rank, 1));
  const dilations = a.ints("dilations", full(rank, 1));
  const autoPad = a.string("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]);
  const pads = a.ints("pads", full(2 * rank, 0));
  const ceil = a.int("ceil_mode", 0) === 1;
  const reach = kernel.map((k, i) => (k - 1) * dilations[i]! + 1);
  if (autoPad === "SAME_UPPER" || autoPad === "SAME_LOWER") {
    const positions = image.map((size, i) => Math.ceil(size / strides[i]!));
    const total = positions.map((n, i) => Math.max(0, (n - 1) * strides[i]! + reach[i]! - image[i]!));
    const { padBegin, padEnd } = split(total, autoPad === "SAME_UPPER");
    return { image, kernel, strides, dilations, padBegin, padEnd, positions };
  }
  const padBegin = autoPad === "VALID" ? full(rank, 0) : pads.slice(0, rank);
  const padEnd = autoPad === "VALID" ? full(rank, 0) : pads.slice(rank);
  const positions = image.map((size, i) => {
    const steps = (size + padBegin[i]! + padEnd[i]! - reach[i]!) / strides[i]!;
    const n = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
    return ceil && (n - 1) * strides[i]! >= size + padBegin[i]! ? n - 1 : n;
  });
  return { image, kernel, strides, dilations, padBegin, padEnd, positions };
}

/**
 * The windows of ConvTranspose lie over its output (`image`), one for each input pixel (`positions`): it is the adjoint
 * of the Conv with these windows.
 */
export function readTransposedWindows(input: Shape, kernel: Shape, a: AttributeReader): Windows {
  const rank = input.length;
  const strides = a.ints("strides", full(rank, 1));
  const dilations = a.ints("dilations", full(rank, 1));
  const outputPadding = a.ints("output_padding", full(rank, 0));
  const autoPad = a.string("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]);
  const pads = a.ints("pads", full(2 * rank, 0));
  const same = autoPad === "SAME_UPPER" || autoPad === "SAME_LOWER";
  const given = a.ints("output_shape");
  const wanted = given?.slice(-rank) ?? (same ? input.map((size, i) => size * strides[i]!) : undefined);
  const uncut = input.map(
    (size, i) => strides[i]! * (size - 1) + outputPadding[i]! + (kernel[i]! - 1) * dilations[i]! + 1,
  );
  if (wanted) {
    const total = uncut.map((size, i) => Math.max(0, size - wanted[i]!));
    const { padBegin, padEnd } = split(total, autoPad === "SAME_UPPER");
    return { image: wanted, kernel, strides, dilations, padBegin, padEnd, positions: input };
  }
  const padBegin = autoPad === "VALID" ? full(rank, 0) : pads.slice(0, rank);
  const padEnd = autoPad === "VALID" ? full(rank, 0) : pads.slice(rank);
  const image = uncut.map((size, i) => size - padBegin[i]! - padEnd[i]!);
  return { image, kernel, strides, dilations, padBegin, padEnd, positions: input };
}

/** Total padding in two halves; the odd one goes to the end (upper) or to the beginning. */
function split(total: Shape, upper: boolean): { padBegin: Shape; padEnd: Shape } {
  const less = total.map((t) => Math.floor(t / 2));
  const more = total.map((t) => Math.ceil(t / 2));
  return upper ? { padBegin: less, padEnd: more } : { padBegin: more, padEnd: less };
}

/** [positions × taps]: the pixel (flat, within one channel) under each tap of each window; negative where there is none. */
export function windowTable(w: Windows): Int32Array {
  let table: Int32Array = Int32Array.of(0);
  let positions = 1;
  let taps = 1;
  w.image.forEach((size, axis) => {
    const [n, k] = [w.positions[axis]!, w.kernel[axis]!];
    const wider = new Int32Array(table.length * n * k);
    for (let p = 0; p < positions; p++)
      for (let i = 0; i < n; i++)
        for (let t = 0; t < taps; t++)
          for (let j = 0; j < k; j++) {
            const before = table[p * taps + t]!;
            const at = i * w.strides[axis]! - w.padBegin[axis]! + j * w.dilations[axis]!;
            const here = at >= size + w.padEnd[axis]! ? beyondPadding : at < 0 || at >= size ? inPadding : at;
            const missing = Math.min(before, here);
            wider[((p * n + i) * taps + t) * k + j] = missing < 0 ? missing : before * size + here;
          }
    table = wider;
    positions *= n;
    taps *= k;
  });
  return table;
}
