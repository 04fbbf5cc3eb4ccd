// The losses on outputs that `--loss` knows: their names and the options that may follow. Loads nothing, so that help can list
// them; the strategies behind the names are output-option.ts's job.
import { type Choosable, choiceLines } from "./choice.ts";

export const outputLosses = {
  kd: {
    summary: "KL of softened outputs, Hinton et al. 2015; temperature 3",
    options: { divergence: "text" },
  },
  "standardized-kd": {
    summary: "kd on standardised logits, Sun et al. 2024; temperature 3",
    options: { divergence: "text" },
  },
  dkd: {
    summary: "target class and the others apart, Zhao et al. 2022; temperature 4, weights 1 and 2",
    options: { "target-weight": "number", "non-target-weight": "number", standardize: "switch" },
  },
  dist: {
    summary:
      "correlation within samples and within classes, Huang et al. 2022; temperature 1, weights 1 and 1",
    options: { "inter-class-weight": "number", "intra-class-weight": "number" },
  },
  wttm: {
    summary:
      "softened teacher, plain student, weighed by the teacher's doubt, Zheng & Yang 2024; temperature 4, weight 3",
    options: { "teacher-weight": "number" },
  },
  ttm: { summary: "wttm without that weight", options: { "teacher-weight": "number" } },
} as const satisfies Record<string, Choosable>;

export type OutputLossName = keyof typeof outputLosses;

export const outputLossNames = Object.keys(outputLosses) as OutputLossName[];

/** One line for each, for help. */
export function outputHelp(): string {
  return `
Losses on outputs (--loss): the name, and options after ":", for example dkd:non-target-weight=2,standardize or
kd:divergence=reverse-kl. divergence is one of forward-kl, reverse-kl, jeffreys, jensen-shannon. --temperature and --alpha
hold for each.
${choiceLines(outputLosses)}

A loss of either kind may have weight, and a weight that moves over the run: it begins at start, rises over warmup,
falls (decay=constant, linear or cosine) until end to final of itself; all in epochs, parts of one too, or in steps with
unit=steps. For example --intermediate cka:weight=2,warmup=1,decay=cosine.
`;
}
