// --lr-for and --weight-decay-for: weights by a pattern of their names, "=" and a number; as parameterGroups of distill().
import { InvalidArgumentError } from "commander";
import type { ParameterGroupOptions } from "../train/parameter-groups.ts";

export interface ParameterGroupFlags {
  lrFor?: string[];
  weightDecayFor?: string[];
  /** `--no-decay` alone, or with what it names. */
  noDecay?: true | string[];
}

type Said = Omit<ParameterGroupOptions, "match" | "freeze">;

/** `pattern=0.001`, or with `x` behind it a multiple of the run's. */
const readRate = (text: string): Said | undefined => {
  const factor = text.endsWith("x");
  const value = toNumber(factor ? text.slice(0, -1) : text);
  return value === undefined ? undefined : { [factor ? "learningRateFactor" : "learningRate"]: value };
};

const readDecay = (text: string): Said | undefined => {
  const weightDecay = toNumber(text);
  return weightDecay === undefined ? undefined : { weightDecay };
};

/** A parser for the option that collects its texts, each checked. */
const collect =
  (read: (text: string) => Said | undefined, wanted: string) =>
  (text: string, before: string[] = []): string[] => {
    if (split(text, read) === undefined) throw new InvalidArgumentError(wanted);
    return [...before, text];
  };

export const lrFor = collect(
  readRate,
  "Expected a pattern of weights, = and a learning rate (head.*=0.01) or a multiple of the run's (backbone.*=0.1x).",
);
export const weightDecayFor = collect(
  readDecay,
  "Expected a pattern of weights, = and a weight decay: embedding.*=0.1.",
);

/** One group for each pattern; undefined where none is given. */
export function parameterGroupsOf(flags: ParameterGroupFlags): ParameterGroupOptions[] | undefined {
  const groups = new Map<string, Said>();
  const add = (texts: readonly string[] | undefined, read: (text: string) => Said | undefined): void => {
    for (const text of texts ?? []) {
      const [match, said] = split(text, read) as [string, Said];
      groups.set(match, { ...groups.get(match), ...said });
    }
  };
  add(flags.lrFor, readRate);
  add(flags.weightDecayFor, readDecay);
  return groups.size === 0 ? undefined : [...groups].map(([match, said]) => ({ match, ...said }));
}

/** As `noDecay` takes it: one word for all, or patterns. */
export function noDecayOf({ noDecay: w }: ParameterGroupFlags): "auto" | "none" | string[] | undefined {
  if (w === true) return "auto";
  return w?.length === 1 && (w[0] === "auto" || w[0] === "none") ? w[0] : w;
}

/** Collects what `--no-decay` names; commander begins with true, as for every `--no-`, and says false where nothing is named. */
export const noDecayPatterns = (text: string, before: boolean | string[]): string[] => [
  ...(Array.isArray(before) ? before : before ? [] : ["auto"]),
  text,
];

function split(text: string, read: (text: string) => Said | undefined): [string, Said] | undefined {
  const at = text.lastIndexOf("=");
  const said = at > 0 ? read(text.slice(at + 1)) : undefined;
  return said && [text.slice(0, at), said];
}

function toNumber(text: string): number | undefined {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}
