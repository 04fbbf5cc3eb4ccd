// The optimizers by name, for configuration files and the command line.
import { DistillError, didYouMean } from "../base/errors.ts";
import { type AdamWOptions, adamW } from "./adamw.ts";
import type { Optimizer } from "./optimizer.ts";
import { type SgdOptions, sgd } from "./sgd.ts";

export type OptimizerConfig =
  | ({ readonly name: "sgd" } & SgdOptions)
  | ({ readonly name: "adamw" } & AdamWOptions);

/** What a run takes where nothing is said. */
export const optimizerDefaults: Record<
  OptimizerConfig["name"],
  { readonly learningRate: number; readonly noDecay: "auto" | "none" }
> = {
  // As torch.optim.SGD, whose decay is that of every parameter.
  sgd: { learningRate: 0.1, noDecay: "none" },
  // As the training loops that made AdamW usual (BERT's, timm's, nanoGPT's).
  adamw: { learningRate: 1e-3, noDecay: "auto" },
};

const makers = {
  sgd: (options: object) => sgd(options),
  adamw: (options: object) => adamW(options),
} as const;

export const optimizerNames = Object.keys(makers) as (keyof typeof makers)[];

export function makeOptimizer(config: OptimizerConfig): Optimizer {
  const { name, ...options } = config;
  if (!Object.hasOwn(makers, name))
    throw new DistillError(
      "E_ARGUMENT",
      `unknown optimizer "${name}".${didYouMean(name, optimizerNames)} Known: ${optimizerNames.join(", ")}.`,
    );
  return makers[name](options);
}
