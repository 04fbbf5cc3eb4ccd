// `--intermediate <loss>[:option=value,...]` -> a strategy on taps.
import { DistillError, didYouMean } from "../base/errors.ts";
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
import {
  type IntermediateLoss,
  type IntermediateName,
  intermediateLosses,
  intermediateNames,
  type OptionKind,
} from "./intermediate-losses.ts";

export interface IntermediateChoice {
  readonly name: IntermediateName;
  /** As the strategy's constructor takes them, but `weight` and `targetLayerName` under these names for every strategy. */
  readonly options: Readonly<Record<string, unknown>>;
}

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
  const colon = text.indexOf(":");
  const name = (colon < 0 ? text : text.slice(0, colon)) as IntermediateName;
  if (!intermediateNames.includes(name))
    throw new DistillError(
      "E_OPTION",
      `--intermediate ${text}: there is no loss "${name}".${didYouMean(name, intermediateNames)} Known: ${intermediateNames.join(", ")}.`,
    );
  const { options }: IntermediateLoss = intermediateLosses[name];
  const kinds: Record<string, OptionKind> = { weight: "number", tap: "text", ...options };
  const given: Record<string, unknown> = {};
  for (const part of colon < 0 ? [] : text.slice(colon + 1).split(",")) {
    const equals = part.indexOf("=");
    const key = equals < 0 ? part : part.slice(0, equals);
    const kind = Object.hasOwn(kinds, key) ? kinds[key] : undefined;
    if (kind === undefined)
      throw new DistillError(
        "E_OPTION",
        `--intermediate ${text}: ${name} has no option "${key}".${didYouMean(key, Object.keys(kinds))} Its options: ${Object.keys(kinds).join(", ")}.`,
      );
    given[keyOf(key)] = readValue(text, part, kind, equals < 0 ? undefined : part.slice(equals + 1));
  }
  return { name, options: given };
}

/** Errors name the option as it was typed. */
export function intermediateStrategy(
  text: string,
  { name, options }: IntermediateChoice,
): IntermediateActivationStrategy {
  try {
    return strategies[name](options as never);
  } catch (cause) {
    if (!(cause instanceof DistillError)) throw cause;
    throw new DistillError(cause.code, `--intermediate ${text}: ${cause.message}`, { cause });
  }
}

const keyOf = (key: string): string =>
  key === "tap" ? "targetLayerName" : key.replace(/-([a-z])/g, (_, c: string) => c.toUpperCase());

function readValue(text: string, part: string, kind: OptionKind, value: string | undefined): unknown {
  const refuse = (wanted: string) =>
    new DistillError("E_OPTION", `--intermediate ${text}: "${part}" should be ${wanted}`);
  if (kind === "switch") {
    if (value === undefined || value === "true") return true;
    if (value === "false") return false;
    throw refuse("a switch: alone, or with =true or =false");
  }
  if (value === undefined || value === "") throw refuse("name=value");
  const number = Number(value);
  if (kind === "text" || (kind === "number or text" && Number.isNaN(number))) return value;
  if (!Number.isFinite(number)) throw refuse("a number");
  return number;
}
