// The student's moments as a running mean over batches, corrected so that it is unbiased from the first batch on (as Adam's
// are). Plain values: moving on makes a new one.
import type { Metric, Parts } from "./metrics/metric.ts";

export interface RunningMoments {
  readonly parts: Parts;
  /** 1 − momentumᵏ after k batches: the sum of all weights so far. */
  readonly weight: number;
}

export interface Blended extends RunningMoments {
  /** The share that the batch has in `parts`, in (0, 1]; 1 for the first batch. */
  readonly share: number;
}

/** The running moments with one more batch: share·batch + (1 − share)·before, share = (1 − m) / (1 − mᵏ). */
export function blend(
  metric: Metric,
  before: RunningMoments | undefined,
  batch: Parts,
  momentum: number,
): Blended {
  const weight = momentum * (before?.weight ?? 0) + (1 - momentum);
  const share = (1 - momentum) / weight;
  return { parts: before ? metric.mix(before.parts, batch, share) : batch, weight, share };
}
