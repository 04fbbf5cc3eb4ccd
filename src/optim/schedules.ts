// Learning rates over a run. Pure functions of the step, so that a resumed run continues exactly.
import { checkKeys, DistillError, didYouMean } from "../base/errors.ts";

/**
 * How the learning rate moves from its base value `lr` over `total` steps (0-based step t, warm-up of w steps):
 *
 * - during warm-up, t < w: lr · (t + 1) / w;
 * - `constant`: lr;
 * - `cosine`: end + (lr − end) · ½ (1 + cos(π (t − w) / (total − w))), end = `lr · final` (Loshchilov & Hutter 2017);
 * - `step`: lr · gamma^(number of `milestones` that t / total has passed).
 */
export interface ScheduleOptions {
  readonly schedule?: ScheduleName;
  /** Warm-up in steps; default 0. */
  readonly warmup?: number;
  /** cosine: the last learning rate as a share of the first; default 0. */
  readonly final?: number;
  /** step: shares of the run, in (0, 1), at which the rate falls; default [0.5, 0.75]. */
  readonly milestones?: readonly number[];
  /** step: factor at each milestone; default 0.1. */
  readonly gamma?: number;
}

export const scheduleNames = ["cosine", "step", "constant"] as const;
export type ScheduleName = (typeof scheduleNames)[number];

/** Checks the options and returns the rate at each step. Default schedule: cosine to 0. */
export function learningRateSchedule(
  lr: number,
  total: number,
  options: ScheduleOptions = {},
): (step: number) => number {
  checkKeys("learning-rate schedule", options, ["schedule", "warmup", "final", "milestones", "gamma"]);
  const { schedule = "cosine", warmup = 0, final = 0, milestones = [0.5, 0.75], gamma = 0.1 } = options;
  if (!(Number.isFinite(lr) && lr >= 0))
    throw new DistillError("E_ARGUMENT", `the learning rate must be a finite number >= 0, got ${lr}`);
  if (!scheduleNames.includes(schedule))
    throw new DistillError(
      "E_ARGUMENT",
      `unknown learning-rate schedule "${schedule}".${didYouMean(schedule, scheduleNames)} Known: ${scheduleNames.join(", ")}.`,
    );
  if (!(Number.isInteger(warmup) && warmup >= 0))
    throw new DistillError("E_ARGUMENT", `warm-up must be a whole number of steps >= 0, got ${warmup}`);
  const span = Math.max(1, total - warmup);
  return (step) => {
    if (step < warmup) return (lr * (step + 1)) / warmup;
    const passed = Math.min(1, (step - warmup) / span);
    switch (schedule) {
      case "constant":
        return lr;
      case "cosine":
        return lr * (final + (1 - final) * 0.5 * (1 + Math.cos(Math.PI * passed)));
      case "step":
        return lr * gamma ** milestones.filter((m) => step >= m * total).length;
    }
  };
}
