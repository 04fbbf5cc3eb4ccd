// The rows of a layer that are compared with each other, and what is done to each neuron's responses in such a group before
// layers are compared: centred, or brought to length 1. Every step knows its way back for gradients.
import { DistillError } from "../../base/errors.ts";
import { formatShape } from "../../base/tensor.ts";
import type { Matrix } from "../matrix.ts";
import type { SelectivityOver } from "../selectivity-words.ts";

/**
 * Groups of rows × neurons, each row-major in float64. A group is what is compared with itself: the positions of one
 * sample ("positions"; a loss is taken sample by sample and averaged), one mean over its positions for each sample
 * ("samples"), or every position of every sample ("samples-and-positions").
 */
export interface Groups {
  readonly groups: readonly Float64Array[];
  readonly rows: number;
  readonly neurons: number;
  /** A cotangent for each group -> one for the layer, row-major as its matrix. */
  backward(cotangents: readonly Float64Array[]): Float64Array;
}

/** Error: `E_SHAPE` for fewer than `least` rows in a group. */
export function groupsOf(what: string, m: Matrix, over: SelectivityOver, least = 2): Groups {
  const { columns: neurons, positions } = m;
  const samples = m.rows / positions;
  const data = Float64Array.from(m.data);
  const rows = over === "positions" ? positions : over === "samples" ? samples : m.rows;
  if (neurons === 0 || rows < least || m.rows === 0)
    throw new DistillError(
      "E_SHAPE",
      `${what} is ${formatShape(m.dims)} with ${positions === 1 ? "one position" : `${positions} positions`} a sample: ` +
        `${rows} to compare over ${over.replaceAll("-", " ")}, and at least ${least} are needed; ${remedies[over]}`,
    );
  if (over === "positions") {
    const size = positions * neurons;
    return {
      groups: Array.from({ length: samples }, (_, n) => data.subarray(n * size, (n + 1) * size)),
      rows,
      neurons,
      backward(cotangents) {
        const out = new Float64Array(data.length);
        for (const [n, g] of cotangents.entries()) out.set(g, n * size);
        return out;
      },
    };
  }
  if (over === "samples-and-positions" || positions === 1)
    return { groups: [data], rows, neurons, backward: ([g]) => g as Float64Array };
  return pooled(data, samples, positions, neurons);
}

const remedies: Readonly<Record<SelectivityOver, string>> = {
  positions: "give maps [N, C, H, W] or sequences [N, T, C]",
  samples: "use a larger batch",
  "samples-and-positions": "use a larger batch",
};

/** The mean over the positions of each sample. */
function pooled(data: Float64Array, samples: number, positions: number, neurons: number): Groups {
  const means = new Float64Array(samples * neurons);
  for (let n = 0, i = 0; n < samples; n++)
    for (let p = 0; p < positions; p++)
      for (let c = 0; c < neurons; c++, i++) means[n * neurons + c]! += data[i]! / positions;
  return {
    groups: [means],
    rows: samples,
    neurons,
    backward([g]) {
      const out = new Float64Array(data.length);
      for (let n = 0, i = 0; n < samples; n++)
        for (let p = 0; p < positions; p++)
          for (let c = 0; c < neurons; c++, i++) out[i] = g![n * neurons + c]! / positions;
      return out;
    },
  };
}

/** Responses whose length is no more than this count as none: they point nowhere, and get no gradient. */
export const DEAD_NORM = 1e-6;

/** `size` vectors, interleaved: element r of vector c lies at `r · size + c`. */
export interface Interleaved {
  readonly data: Float64Array;
  /** A cotangent of `data` -> one of what it was made from. */
  backward(cotangent: Float64Array): Float64Array;
}

/**
 * Every vector divided by its length; zeros where that is at most `floor`.
 * dx = (dy − y·(y·dy)) / ‖x‖, and 0 for those zeros.
 */
export function unitColumns(
  x: Float64Array,
  size: number,
  floor: number | Float64Array = DEAD_NORM,
): Interleaved {
  const inverse = new Float64Array(size);
  for (let i = 0; i < x.length; i++) inverse[i % size]! += x[i]! * x[i]!;
  for (let c = 0; c < size; c++) {
    const norm = Math.sqrt(inverse[c]!);
    inverse[c] = norm > (typeof floor === "number" ? floor : floor[c]!) ? 1 / norm : 0;
  }
  const data = x.map((v, i) => v * inverse[i % size]!);
  return {
    data,
    backward(cotangent) {
      const along = new Float64Array(size);
      for (let i = 0; i < x.length; i++) along[i % size]! += data[i]! * cotangent[i]!;
      return cotangent.map((dy, i) => (dy - data[i]! * along[i % size]!) * inverse[i % size]!);
    },
  };
}

/** Every vector less its mean; its own transpose, so it is its own way back. */
export function centredColumns(x: Float64Array, size: number): Float64Array {
  const means = columnMeans(x, size);
  return x.map((v, i) => v - means[i % size]!);
}

export function columnMeans(x: Float64Array, size: number): Float64Array {
  const rows = x.length / size;
  const means = new Float64Array(size);
  // Around the first row, so that a large common value costs no digits.
  for (let i = 0; i < x.length; i++) means[i % size]! += (x[i]! - x[i % size]!) / rows;
  return means.map((m, c) => m + x[c]!);
}
