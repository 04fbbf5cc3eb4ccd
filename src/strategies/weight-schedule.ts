// How the weight of one strategy in a sum moves over a run. Pure functions of the step, so that a resumed run continues
// exactly.
import { checkKeys, DistillError } from "../base/errors.ts";
import { checkOneOf } from "./checks.ts";

/** How far a run is. */
export interface Progress {
  /** The step that is about to be made, counted from 0. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
}

/** Where a strategy stands that nobody told how far the run is. */
export const AT_START: Progress = { step: 0, steps: 1, stepsPerEpoch: 1 };

export const decayNames = ["constant", "linear", "cosine"] as const;
export type DecayName = (typeof decayNames)[number];

/**
 * A factor in [0, 1] over the steps of a run. With start = a, warmup = w and end = e counted in steps, at step t:
 *
 * - t < a: 0;
 * - a ≤ t < a + w: (t − a + 1) / w, as a learning rate's warm-up;
 * - a + w ≤ t < e, with x = (t − a − w) / (e − a − w): `constant`: 1; `linear`: 1 − (1 − final)·x;
 *   `cosine`: final + (1 − final)·½(1 + cos πx);
 * - t ≥ e: final.
 */
export interface WeightSchedule {
  /** Where it begins; default 0. */
  readonly start?: number;
  /** Over how much it rises, after `start`; default 0. */
  readonly warmup?: number;
  /** How it falls after the warm-up; default "constant". */
  readonly decay?: DecayName;
  /** Where it has arrived at `final`; default: the end of the run. */
  readonly end?: number;
  /** What is left from `end` on, in [0, 1]; default 0. */
  readonly final?: number;
  /** What `start`, `warmup` and `end` count; parts of an epoch are allowed. Default "epochs". */
  readonly unit?: "epochs" | "steps";
}

const keys = ["start", "warmup", "decay", "end", "final", "unit"];

/** The factor at each step. Errors: `E_OPTION` for an unknown key, `E_ARGUMENT` for a value out of range. */
export function weightSchedule(owner: string, schedule: WeightSchedule): (progress: Progress) => number {
  const what = `${owner}: schedule`;
  checkKeys(what, schedule, keys);
  const { start = 0, warmup = 0, decay = "constant", end, final = 0, unit = "epochs" } = schedule;
  for (const [name, value] of Object.entries({ start, warmup, end }))
    if (value !== undefined && !(Number.isFinite(value) && value >= 0))
      throw new DistillError(
        "E_ARGUMENT",
        `${what}: ${name} must be a finite number of ${unit}, 0 or more, got ${value}`,
      );
  if (!(final >= 0 && final <= 1))
    throw new DistillError(
      "E_ARGUMENT",
      `${what}: final must lie in [0, 1], got ${final}; it is the share of the weight that is left`,
    );
  checkOneOf(what, "decay", decay, decayNames);
  checkOneOf(what, "unit", unit, ["epochs", "steps"]);
  if (end !== undefined && end < start + warmup)
    throw new DistillError(
      "E_ARGUMENT",
      `${what}: end (${end}) lies before the warm-up ends (${start + warmup}); the weight would never be whole`,
    );
  return ({ step, steps, stepsPerEpoch }) => {
    const size = unit === "epochs" ? stepsPerEpoch : 1;
    const [first, whole] = [start * size, (start + warmup) * size];
    if (step < first) return 0;
    // A warm-up by epochs may end between two steps.
    if (step < whole) return Math.min(1, (step - first + 1) / (whole - first));
    const last = end === undefined ? steps : end * size;
    if (step >= last) return end === undefined && decay === "constant" ? 1 : final;
    const passed = (step - whole) / (last - whole);
    switch (decay) {
      case "constant":
        return 1;
      case "linear":
        return 1 - (1 - final) * passed;
      case "cosine":
        return final + (1 - final) * 0.5 * (1 + Math.cos(Math.PI * passed));
    }
  };
}
