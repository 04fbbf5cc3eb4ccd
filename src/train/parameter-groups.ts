// The options that single out weights by name: parameterGroups, noDecay and paddingRows, checked.
import { checkKeys, DistillError } from "../base/errors.ts";
import type { CompiledStep } from "../compile/compile-step.ts";
import type { PaddingRows } from "../compile/padding-rows.ts";
import type { ParameterGroup } from "../compile/parameter-groups.ts";
import { decayOf } from "../compile/state.ts";
import { learningRateSchedule, type ScheduleOptions } from "../optim/schedules.ts";
import type { Resolved } from "./options.ts";

/** Weights by name, and how they are trained otherwise than the rest. */
export interface ParameterGroupOptions {
  /** A pattern of names: `*` any characters. */
  readonly match: string;
  /** Their learning rate, which moves by the run's schedule. Default: the run's. */
  readonly learningRate?: number;
  /** Their learning rate as a multiple of the run's; not beside `learningRate`. */
  readonly learningRateFactor?: number;
  /** Their weight decay; default: the optimizer's. What `noDecay` spares stays spared. */
  readonly weightDecay?: number;
  /** They stay as they are; alone. */
  readonly freeze?: boolean;
}

const keys = ["match", "learningRate", "learningRateFactor", "weightDecay", "freeze"];

/** Errors: E_OPTION for what is unknown or contradicts itself, E_ARGUMENT for what is out of range. */
export function resolveGroups(groups: readonly ParameterGroupOptions[] = []): ParameterGroupOptions[] {
  return groups.map((g, i) => {
    const where = `distill: parameterGroups[${i}]`;
    checkKeys(where, g, keys);
    if (typeof g.match !== "string" || g.match === "")
      throw new DistillError("E_OPTION", `${where} needs match, a pattern of names of weights: "head.*"`);
    if (groups.findIndex((other) => other.match === g.match) !== i)
      throw new DistillError(
        "E_OPTION",
        `distill: two parameterGroups match "${g.match}"; put what they say into one`,
      );
    for (const key of ["learningRate", "learningRateFactor", "weightDecay"] as const) {
      const value = g[key];
      if (value !== undefined && !(Number.isFinite(value) && value >= 0))
        throw new DistillError("E_ARGUMENT", `${where}: ${key} must be a finite number >= 0, got ${value}`);
    }
    if (g.learningRate !== undefined && g.learningRateFactor !== undefined)
      throw new DistillError("E_OPTION", `${where}: learningRate and learningRateFactor exclude each other`);
    const says = g.learningRate ?? g.learningRateFactor ?? g.weightDecay;
    if (g.freeze === true && says !== undefined)
      throw new DistillError(
        "E_OPTION",
        `${where}: what freeze holds has no learning rate and no weight decay`,
      );
    if (g.freeze !== true && says === undefined)
      throw new DistillError(
        "E_OPTION",
        `${where} says nothing of "${g.match}": give learningRate, learningRateFactor, weightDecay or freeze`,
      );
    return g;
  });
}

/** Patterns of weights that do not decay, "auto" among them for those by role; undefined: all do. */
export function resolveNoDecay(noDecay: "auto" | "none" | readonly string[]): readonly string[] | undefined {
  if (noDecay === "none") return undefined;
  if (noDecay === "auto") return ["auto"];
  if (!Array.isArray(noDecay) || noDecay.some((p) => typeof p !== "string" || p === "none"))
    throw new DistillError(
      "E_ARGUMENT",
      `distill: noDecay must be "auto", "none" or an array of patterns, got ${JSON.stringify(noDecay)}`,
    );
  return noDecay.length > 0 ? noDecay : undefined;
}

/** Errors: E_ARGUMENT for what is no whole number. */
export function resolvePaddingRows(
  rows: Readonly<Record<string, number | readonly number[]>> = {},
): PaddingRows | undefined {
  const entries = Object.entries(rows).map(([match, row]) => [match, [row].flat()] as const);
  for (const [match, all] of entries)
    if (all.length === 0 || !all.every(Number.isSafeInteger))
      throw new DistillError(
        "E_ARGUMENT",
        `distill: paddingRows["${match}"] must be a row or rows, whole numbers, got ${JSON.stringify(rows[match])}`,
      );
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

/** As the compiler takes them; what freezes is no matter of groups by then. */
export function compiledGroups(
  o: {
    readonly parameterGroups?: readonly ParameterGroupOptions[] | undefined;
    readonly learningRate: number;
    readonly schedule: ScheduleOptions;
  },
  steps: number,
): ParameterGroup[] {
  return (o.parameterGroups ?? [])
    .filter((g) => !g.freeze)
    .map(({ match, learningRate, learningRateFactor, weightDecay }) => {
      const base =
        learningRate ?? (learningRateFactor === undefined ? undefined : learningRateFactor * o.learningRate);
      const rate = base === undefined ? undefined : learningRateSchedule(base, steps, o.schedule);
      return { match, rate, weightDecay };
    });
}

/** What the user should know of it, one sentence each: what decay spares, and what is trained otherwise than the rest. */
export function groupNotes(
  { weights, optimizer }: Pick<CompiledStep, "weights" | "optimizer">,
  { noDecay, parameterGroups = [] }: Pick<Resolved, "noDecay" | "parameterGroups">,
): string[] {
  const tensors = weights.flatMap((p) => p.tensors.map((t) => ({ group: p.group, decay: decayOf(p, t) })));
  const spared = tensors.filter((t) => t.decay === 0).length;
  const notes =
    noDecay && spared > 0
      ? [
          `weight decay ${optimizer.weightDecay} leaves alone ${spared} of ${tensors.length} weights${noDecay.includes("auto") ? " (biases, normalisations, other vectors; --no-decay none: it pulls at all)" : ""}`,
        ]
      : [];
  const rated = (match: string): number => tensors.filter((t) => t.group?.match === match).length;
  for (const { match, learningRate, learningRateFactor } of parameterGroups) {
    const rate =
      learningRate ?? (learningRateFactor !== undefined ? `${learningRateFactor} of the run's` : "");
    if (rate !== "")
      notes.push(`${match} (${rated(match)} of ${tensors.length} weights): learning rate ${rate}`);
  }
  return notes;
}
