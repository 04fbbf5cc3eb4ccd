// `--intermediate <loss>[:option=value,...]` -> a strategy on taps.
import {
  AttentionTransferStrategy,
  CenteredKernelAlignmentStrategy,
  ChannelStatisticsStrategy,
  HintStrategy,
  type IntermediateActivationStrategy,
  NeuronCorrelationStrategy,
  NeuronSelectivityDistillationStrategy,
  NeuronSelectivityTransferStrategy,
  SimilarityPreservingStrategy,
} from "../strategies/index.ts";
import { type Choice, named, parseChoice } from "./choice.ts";
import { type IntermediateName, intermediateLosses } from "./intermediate-losses.ts";

/** `options` as the strategy's constructor takes them, but `weight` and `targetLayerName` under these names for every strategy. */
export type IntermediateChoice = Choice<IntermediateName>;

/** Options are checked against the table by name and kind; their values are checked by the strategies themselves. */
const strategies: Record<IntermediateName, (options: never) => IntermediateActivationStrategy> = {
  selectivity: ({ weight, ...rest }: { weight?: number }) =>
    new NeuronSelectivityDistillationStrategy({
      ...rest,
      ...(weight !== undefined && { selectivityWeight: weight }),
    }),
  nst: (o) => new NeuronSelectivityTransferStrategy(o),
  cka: (o) => new CenteredKernelAlignmentStrategy(o),
  sp: (o) => new SimilarityPreservingStrategy(o),
  at: (o) => new AttentionTransferStrategy(o),
  hint: (o) => new HintStrategy(o),
  correlation: (o) => new NeuronCorrelationStrategy(o),
  statistics: (o) => new ChannelStatisticsStrategy(o),
};

/**
 * @example
 * parseIntermediate("nst:weight=20,kernel=gaussian"); // { name: "nst", options: { weight: 20, kernel: "gaussian" } }
 */
export function parseIntermediate(text: string): IntermediateChoice {
  const { options, ...choice } = parseChoice(text, {
    flag: "--intermediate",
    choices: intermediateLosses,
    common: { weight: "number", tap: "text" },
  });
  const { tap, ...rest } = options;
  return { ...choice, options: { ...rest, ...(tap !== undefined && { targetLayerName: tap }) } };
}

/** Errors name the option as it was typed. */
export function intermediateStrategy(
  text: string,
  { name, options }: IntermediateChoice,
): IntermediateActivationStrategy {
  return named("--intermediate", text, () => strategies[name](options as never));
}
