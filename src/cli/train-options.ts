// The options of `train`: as typed, as kept in run.json for --resume, and as distill() wants them.
import { existsSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { DistillError } from "../base/errors.ts";
import type { OptimizerConfig } from "../optim/index.ts";
import type { ScheduleName } from "../optim/schedules.ts";
import type { WeightInit } from "../prepare/weight-init.ts";
import type { CachePlace, CacheType } from "../train/cache-places.ts";
import type { DistillOptions, Monitor } from "../train/options.ts";
import type { FixFlags } from "./fix-option.ts";
import type { OutputFlags } from "./output-flags.ts";
import type { ParameterGroupFlags } from "./parameter-group-option.ts";
import type { StrategyFlags } from "./strategy-options.ts";

export interface TrainFlags extends StrategyFlags, OutputFlags, ParameterGroupFlags, FixFlags {
  student?: string;
  studentLogits?: string;
  data?: string;
  mean?: number | number[];
  std?: number | number[];
  evalData?: string;
  flip?: boolean;
  crop?: number;
  epochs?: number;
  batch?: number;
  accumulate?: number;
  optimizer?: OptimizerConfig["name"];
  lr?: number;
  schedule?: ScheduleName;
  warmup?: number;
  momentum?: number;
  /** Commander's way with `--no-nesterov`: true unless it is given. */
  nesterov?: boolean;
  weightDecay?: number;
  /** Commander's way with `--no-decay [weights]`: true unless it is given. `asTyped` makes `noDecay` of it. */
  decay?: boolean | string[];
  clipNorm?: number;
  averageWeights?: number;
  patience?: number;
  minDelta?: number;
  classWeights?: string;
  freeze?: string[];
  train?: string[];
  untie?: string[];
  paddingRow?: string[];
  init?: WeightInit;
  insertBatchnorm?: boolean;
  batchNorm?: "train" | "frozen";
  seed?: number;
  threads?: number;
  out?: string;
  resume?: boolean;
  variants?: number;
  teacherCache?: CachePlace;
  teacherCacheType?: CacheType;
  checkpointEvery?: number;
  logEvery?: number;
  monitor?: Monitor;
  keep?: DistillOptions["keep"];
  json?: boolean;
}

/** What run.json keeps of the call. */
export interface KeptCommand {
  readonly name: "train";
  readonly options: TrainFlags;
  /** Where relative paths start. */
  readonly folder: string;
}

/** Options that say nothing about what a run computes: they need not be the same when it is resumed. */
const free: readonly (keyof TrainFlags)[] = ["out", "resume", "json", "threads"];
/** Options that a run may go on with otherwise than it was begun. */
const continuable: readonly (keyof TrainFlags)[] = ["epochs"];
const paths = ["student", "teacher", "classMap", "strategy", "data", "evalData"] as const;

export function keptCommand(flags: TrainFlags): KeptCommand {
  const options = Object.fromEntries(
    Object.entries(flags).filter(([key]) => !free.includes(key as keyof TrainFlags)),
  );
  return { name: "train", options, folder: process.cwd() };
}

/** What was not typed is not in the flags: `nesterov` is there only as false, `noDecay` in place of commander's `decay`. */
export function asTyped(flags: TrainFlags): TrainFlags {
  const { nesterov, decay = true, ...rest } = flags;
  return {
    ...rest,
    ...(nesterov === false && { nesterov }),
    ...(decay !== true && { noDecay: decay || true }),
  };
}

/** The options of the run that is resumed; those typed again must agree. */
export function resumedFlags(flags: TrainFlags, kept: KeptCommand | undefined, out: string): TrainFlags {
  if (kept?.name !== "train" || typeof kept.options !== "object")
    throw new DistillError(
      "E_RUN",
      `${out}: run.json does not tell which options the run was begun with; give them all again, or start a new run`,
    );
  const before = kept.options;
  for (const [key, is] of Object.entries(flags) as [keyof TrainFlags, unknown][]) {
    if (free.includes(key) || continuable.includes(key)) continue;
    const was = before[key];
    if (JSON.stringify(was) === JSON.stringify(is)) continue;
    throw new DistillError(
      "E_RUN",
      `${out} was begun with ${was === undefined ? `no ${flagOf(key)}` : spell(key, was)}, now it is ${spell(key, is)}; resume with the same options, or start a new run`,
    );
  }
  if (kept.folder !== process.cwd())
    for (const key of paths) {
      const path = before[key];
      if (
        path !== undefined &&
        !isAbsolute(path) &&
        !existsSync(path) &&
        existsSync(resolve(kept.folder, path))
      )
        throw new DistillError(
          "E_RUN",
          `${out} was begun in ${kept.folder}, and ${flagOf(key)} ${path} is not here; resume it from that folder`,
        );
    }
  return { ...before, ...flags };
}

export const flagOf = (key: string): string => `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;

/** An option as it is typed. */
export function spell(key: string, value: unknown): string {
  if (value === true) return flagOf(key);
  if (value === false) return `--no-${flagOf(key).slice(2)}`;
  if (Array.isArray(value) && typeof value[0] === "string") return value.map((v) => spell(key, v)).join(" ");
  return `${flagOf(key)} ${quoted(String(value))}`;
}

/** As a shell takes it. */
export function quoted(text: string): string {
  return /^[\w./:=,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The call as it can be typed again. */
export function spellCommand(flags: TrainFlags): string {
  return ["onnx-distill train", ...Object.entries(flags).map(([key, value]) => spell(key, value))].join(" ");
}

export function optimizerOf(flags: TrainFlags): OptimizerConfig {
  const { optimizer = "sgd", momentum, nesterov, weightDecay } = flags;
  if (optimizer === "sgd")
    return {
      name: "sgd",
      momentum: momentum ?? 0.9,
      weightDecay: weightDecay ?? 5e-4,
      ...(nesterov === false && { nesterov }),
    };
  for (const key of ["momentum", "nesterov"] as const)
    if (flags[key] !== undefined)
      throw new DistillError(
        "E_OPTION",
        `${spell(key, flags[key])} belongs to sgd, not to --optimizer ${optimizer}`,
      );
  return { name: "adamw", ...(weightDecay !== undefined && { weightDecay }) };
}
