// Normalisations, also those that ONNX Runtime's optimizer fuses.
import { type Attributes, float, int, ints } from "../../../src/graph/graph.ts";
import { type CaseInput, fed, type Generator } from "../case.ts";
import type { Draw } from "../draw.ts";

const epsilon = (d: Draw): Attributes =>
  d.chance(0.6) ? { epsilon: float(d.pick([1e-5, 0.1, 1e-3, 1])) } : {};
// Rows that are constant, or nearly so, come with the coarse grid; means of large numbers lose digits in any order.
const tolerance = 1e-5;
const ordinary = (d: Draw, dims: readonly number[]): CaseInput => fed(d.floats(dims, { edges: "none" }));
const summed = (d: Draw, dims: readonly number[]): CaseInput => fed(d.floats(dims, { edges: "summed" }));

const alongTrailing =
  (shift: boolean, outputs: (d: Draw) => number): Generator =>
  ({ d }) => {
    const dims = d.shape(d.int(1, 4));
    const axis = d.axis(dims.length);
    const own = dims.slice(axis);
    const inputs = [summed(d, dims), ordinary(d, own), ...(shift && d.chance(0.7) ? [ordinary(d, own)] : [])];
    return { inputs, attributes: { axis: int(axis), ...epsilon(d) }, outputs: outputs(d), tolerance };
  };

const skip =
  (shift: boolean): Generator =>
  ({ d }) => {
    const dims = [d.length({ most: 2 }), d.length(), d.int(2, 6)];
    const own = dims.slice(-1);
    const maybe = (): CaseInput | undefined => (d.chance(0.6) ? ordinary(d, own) : undefined);
    return {
      inputs: [summed(d, dims), summed(d, dims), ordinary(d, own), ...(shift ? [maybe()] : []), maybe()],
      attributes: { epsilon: float(d.pick([1e-5, 0.1, 1e-3])) },
      outputs: d.pick([1, 4]),
      // Mean and inverse deviation are outputs for training alone; the runtime's CPU kernel leaves them unwritten.
      compared: [0, 3],
      tolerance,
    };
  };

export const normalizations = {
  BatchNormalization: ({ d }) => {
    const dims = d.shape(d.int(2, 5));
    const channels = dims.slice(1, 2);
    const variance = fed(d.floats(channels, { edges: "none", low: 0.1, high: 3 }));
    return {
      inputs: [fed(d.floats(dims)), ...[1, 2, 3].map(() => ordinary(d, channels)), variance],
      attributes: epsilon(d),
      tolerance,
    };
  },
  LayerNormalization: alongTrailing(true, (d) => d.pick([1, 3])),
  RMSNormalization: alongTrailing(false, () => 1),
  SimplifiedLayerNormalization: alongTrailing(false, (d) => d.pick([1, 2])),
  InstanceNormalization: ({ d }) => {
    const dims = d.shape(d.int(3, 5));
    const channels = dims.slice(1, 2);
    return {
      inputs: [summed(d, dims), ordinary(d, channels), ordinary(d, channels)],
      attributes: epsilon(d),
      tolerance,
      // The runtime takes x·(s/σ) − μ·(s/σ): of constant rows, numbers as large as 2/√ε are left.
      scale: 20,
    };
  },
  GroupNormalization: ({ d, opset }) => {
    const groups = d.int(1, 3);
    const channels = groups * d.int(1, 3);
    const own = [opset >= 21 ? channels : groups];
    return {
      inputs: [
        summed(d, [d.length({ most: 2 }), channels, ...d.shape(d.int(1, 2))]),
        ordinary(d, own),
        ordinary(d, own),
      ],
      attributes: { num_groups: int(groups), ...epsilon(d) },
      tolerance,
      scale: 20, // As of InstanceNormalization.
    };
  },
  MeanVarianceNormalization: ({ d, opset }) => {
    const dims = d.shape(4).map((n) => Math.max(n, 2));
    return {
      inputs: [summed(d, dims)],
      attributes:
        opset >= 9 && d.chance(0.6) ? { axes: ints(d.pick([[0, 2, 3], [2, 3], [1], [0, 1, 2, 3]])) } : {},
      tolerance,
    };
  },
  // The runtime slides its sums along the channels, so that a NaN or ∞ stays in them.
  LRN: ({ d }) => ({
    inputs: [ordinary(d, d.shape(4))],
    attributes: {
      size: int(d.pick([1, 3, 5])),
      ...(d.chance(0.6) && { alpha: float(d.pick([1e-4, 0.5, 2])) }),
      ...(d.chance(0.6) && { beta: float(d.pick([0.75, 0.5, 1])) }),
      ...(d.chance(0.6) && { bias: float(d.pick([1, 2, 0.1])) }),
    },
    tolerance,
  }),
  LpNormalization: ({ d }) => {
    const dims = d.shape(d.int(1, 4));
    return {
      inputs: [summed(d, dims)],
      attributes: {
        ...(d.chance(0.7) && { axis: int(d.axis(dims.length)) }),
        ...(d.chance(0.7) && { p: int(d.int(1, 2)) }),
      },
    };
  },
  "com.microsoft::SkipLayerNormalization": skip(true),
  "com.microsoft::SkipSimplifiedLayerNormalization": skip(false),
  "com.microsoft::EmbedLayerNormalization": ({ d }) => {
    const [batch, length, words, width] = [d.length({ most: 3 }), d.length(), d.int(2, 6), d.int(1, 5)];
    const segments = d.chance(0.5);
    const table = (rows: number) => fed(d.floats([rows, width], { edges: "none" }));
    const ids = (rows: number) => fed(d.ints([batch, length], 0, rows - 1, "int32"));
    const mask = d.chance(0.5) ? fed(d.ints([batch, length], 0, 1, "int32")) : undefined;
    const positions = d.chance(0.3) ? ids(length) : undefined;
    return {
      inputs: [
        ids(words),
        segments ? ids(2) : undefined,
        table(words),
        table(length + d.int(0, 2)),
        segments ? table(2) : undefined,
        ordinary(d, [width]),
        ordinary(d, [width]),
        ...(mask || positions ? [mask, positions] : []),
      ],
      attributes: { epsilon: float(d.pick([1e-5, 0.1])) },
      outputs: d.pick([2, 3]),
      tolerance,
    };
  },
} satisfies Record<string, Generator>;
