// How much each input of an axis counts for each output of a resized one: matrices, row k for output k, whose rows add up to
// 1. Plain numbers, no graph. Sources: ONNX operator specification, Resize-19; Keys 1981 for the cubic kernel.

export interface Interpolation {
  readonly kernel: "linear" | "cubic";
  /** Keys' a, ONNX's cubic_coeff_a. */
  readonly a: number;
  /** Inputs beyond the edges count nothing; otherwise the edge counts in their place. */
  readonly excludeOutside: boolean;
  /** Where the axis gets shorter, the kernel is stretched by as much, so that every input counts. */
  readonly antialias: boolean;
}

/** The kernel's value at distance x, and how far it reaches. */
const kernels = {
  linear: { reach: 1, at: (x: number): number => Math.max(0, 1 - Math.abs(x)) },
  cubic: {
    reach: 2,
    at: (x: number, a: number): number => {
      const d = Math.abs(x);
      if (d >= 2) return 0;
      return d < 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    },
  },
};

/** Weights [places × from] of the outputs that lie at `places` on an input axis of `from`; `scale` is output over input. */
export function resizeWeights(
  places: readonly number[],
  from: number,
  scale: number,
  { kernel, a, excludeOutside, antialias }: Interpolation,
): Float64Array {
  const { reach, at } = kernels[kernel];
  const stretch = antialias && scale < 1 ? 1 / scale : 1;
  const weights = new Float64Array(places.length * from);
  const inside = (i: number): number => Math.min(Math.max(i, 0), from - 1);
  places.forEach((given, k) => {
    const place = kernel === "linear" && !antialias ? inside(given) : given;
    const first = Math.ceil(place - reach * stretch);
    const last = Math.floor(place + reach * stretch);
    let total = 0;
    for (let i = first; i <= last; i++) {
      const weight = at((i - place) / stretch, a);
      if (excludeOutside && inside(i) !== i) continue;
      weights[k * from + inside(i)]! += weight;
      total += weight;
    }
    for (let i = 0; i < from; i++) weights[k * from + i]! /= total;
  });
  return weights;
}
