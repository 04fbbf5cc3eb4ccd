// The losses between taps that `--intermediate` knows: their names, what they compare, and the options that may follow the
// name. Loads nothing, so that help can list them; the strategies behind the names are intermediate-option.ts's job.

import { type Choosable, choiceLines } from "./choice.ts";

/** Without `weight` and `tap`, which all have. */
export const intermediateLosses = {
  selectivity: {
    summary: "the score of each neuron (--metric), weight 0.5",
    options: {
      metric: "text",
      over: "text",
      match: "text",
      distance: "text",
      target: "text",
      momentum: "number",
      "assignment-every": "number",
    },
  },
  nst: {
    summary:
      "the set of the neurons' response patterns, by MMD: kernel polynomial, linear, gaussian; weight 5",
    options: { kernel: "text", over: "text", bandwidth: "number or text" },
  },
  cka: {
    summary: "which samples are alike, by linear CKA; weight 1",
    options: { over: "text", debiased: "switch" },
  },
  sp: { summary: "which samples of a batch are alike, by their products; weight 300", options: {} },
  at: { summary: "where in a map anything responds; weight 100", options: {} },
  hint: { summary: "each activation, by squared difference; weight 0.5", options: {} },
  correlation: {
    summary: "each neuron's responses, by correlation: match index or best; weight 0.5",
    options: { match: "text", over: "text" },
  },
  statistics: {
    summary: "mean and standard deviation of each neuron; weight 0.5",
    options: { over: "text", "deviation-weight": "number" },
  },
} as const satisfies Record<string, Choosable>;

export type IntermediateName = keyof typeof intermediateLosses;

export const intermediateNames = Object.keys(intermediateLosses) as IntermediateName[];

/** One line for each, for help. */
export function intermediateHelp(): string {
  return `
Losses between taps (--intermediate): the name, and options after ":", for example nst:weight=20,kernel=gaussian or
cka:over=samples,tap=features. All have weight and tap (default: every tap); over is one of positions, samples,
samples-and-positions. nst, cka, sp and at compare layers of any two widths; the others want equal widths, or a --project.
${choiceLines(intermediateLosses)}
`;
}
