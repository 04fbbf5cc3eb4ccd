// LSTM, GRU and RNN: directions, activations, clipping, peepholes, sequences that end early or hold nothing.
// Not the layout with the batch first, which the runtime refuses.
import { type Attributes, float, floats, int, string, strings } from "../../../src/graph/graph.ts";
import { type CaseInput, fed, type Generator, known } from "../case.ts";
import type { Draw } from "../draw.ts";

const growing = ["Softplus", "Relu", "LeakyRelu", "Elu", "Affine", "ThresholdedRelu"] as const;
const bounded = ["Tanh", "Sigmoid", "Softsign", "HardSigmoid", "ScaledTanh"] as const;

interface Form {
  readonly gates: number;
  readonly activations: number;
  readonly cell: boolean;
  readonly more: (d: Draw) => Attributes;
}

const recurrent =
  ({ gates, activations, cell, more }: Form): Generator =>
  ({ d }) => {
    const [steps, batch, width, hidden] = [d.length(), d.length({ most: 3 }), d.int(1, 3), d.int(1, 3)];
    const direction = d.pick(["forward", "reverse", "bidirectional"]);
    const dirs = direction === "bidirectional" ? 2 : 1;
    const high = d.pick([1, 1, 20]);
    const t = (...dims: number[]): CaseInput => fed(d.floats(dims, { edges: "none", low: -high, high }));
    const state = (): CaseInput => t(dirs, batch, hidden);
    const lengths = d.chance(0.5) ? d.ints([batch], 0, steps, "int32") : undefined;
    const ends = lengths && (d.chance(0.3) ? known(lengths) : fed(lengths));
    const initial = d.chance(0.5) ? state() : undefined;
    const memory = cell && d.chance(0.5) ? state() : undefined;
    const peepholes = cell && d.chance(0.3) ? t(dirs, 3 * hidden) : undefined;
    const all: (CaseInput | undefined)[] = [
      t(steps, batch, width),
      t(dirs, gates * hidden, width),
      t(dirs, gates * hidden, hidden),
      d.chance(0.6) ? t(dirs, 2 * gates * hidden) : undefined,
      ends,
      initial,
      ...(cell ? [memory, peepholes] : []),
    ];
    while (all.at(-1) === undefined) all.pop();
    const named = d.chance(0.4);
    // Above 88 the runtime's Softplus inside of these ops overflows, other than its Softplus alone.
    const unbounded = high === 1 ? (steps < 3 ? growing : growing.slice(1)) : [];
    const usable = [...unbounded, ...bounded];
    const parameters = (): number[] =>
      Array.from({ length: d.int(1, dirs * activations) }, () => Math.fround(d.float(0.1, 1)));
    return {
      inputs: all,
      attributes: {
        hidden_size: int(hidden),
        direction: string(direction),
        ...(named && {
          activations: strings(Array.from({ length: dirs * activations }, () => d.pick(usable))),
          // Parameters for the first of them, or for all.
          ...(d.chance(0.5) && { activation_alpha: floats(parameters()) }),
          ...(d.chance(0.5) && { activation_beta: floats(parameters()) }),
        }),
        ...(d.chance(0.2) && { clip: float(d.pick([0.3, 1])) }),
        ...more(d),
      },
      outputs: cell ? 3 : 2,
      tolerance: 1e-5, // Many steps; the runtime approximates Tanh and Sigmoid there.
      scale: high,
    };
  };

export const recurrents = {
  RNN: recurrent({ gates: 1, activations: 1, cell: false, more: () => ({}) }),
  GRU: recurrent({
    gates: 3,
    activations: 2,
    cell: false,
    more: (d) => (d.chance(0.5) ? { linear_before_reset: int(d.int(0, 1)) } : {}),
  }),
  LSTM: recurrent({
    gates: 4,
    activations: 3,
    cell: true,
    more: (d) => (d.chance(0.2) ? { input_forget: int(1) } : {}),
  }),
} satisfies Record<string, Generator>;
