// The metric that chooses the best student: whether it can be measured at all, and which of two students is the better.
import { DistillError } from "../base/errors.ts";
import type { Dataset } from "../data/dataset.ts";
import { type MetricKey, metricSpecs } from "../tasks/index.ts";
import type { Resolved } from "./options.ts";

/** E_OPTION for a monitored metric that needs labels or a teacher that are not there ("other": one with outputs of another width); E_DATA where nothing can be measured. */
export function checkMonitor(
  o: Pick<Resolved, "task" | "monitor">,
  evaluation: Dataset,
  teacher: boolean | "other",
): void {
  const there = { labels: evaluation.hasLabels, teacher: teacher === true };
  const can = (key: MetricKey): boolean => there[metricSpecs[key].against];
  const measured = o.task.metrics.filter(can);
  if (o.monitor !== undefined && !can(o.monitor))
    throw new DistillError(
      "E_OPTION",
      `the monitored metric ${o.monitor} needs ${metricSpecs[o.monitor].against === "labels" ? "labels in the evaluation data" : teacher === "other" ? "a teacher whose outputs are as wide as the student's" : "a teacher"}; choose one of ${measured.join(", ") || "none"}`,
    );
  if (measured.length === 0)
    throw new DistillError(
      "E_DATA",
      teacher === "other"
        ? "the evaluation data has no labels, and the teacher's outputs are of another width than the student's, so nothing can be measured on it; leave it out, or give labels"
        : "the evaluation data has no labels and there is no teacher, so nothing can be measured on it; leave it out, or give labels",
    );
}

/** Values of the monitored metric that differ by no more are equal: sums of shares differ by their rounding. */
const tie = 1e-9;

interface Measured {
  readonly value: number;
  readonly loss: number | undefined;
}

/** Whether the later student takes the earlier one's place: by the metric, of equals by a loss that is not higher. */
export function outdoes(later: Measured, earlier: Measured, better: "higher" | "lower"): boolean {
  // What is no number loses to every other.
  if (Number.isNaN(earlier.value)) return true;
  const gain = better === "lower" ? earlier.value - later.value : later.value - earlier.value;
  if (later.value === earlier.value || Math.abs(gain) <= tie)
    return orLast(later.loss) <= orLast(earlier.loss);
  return gain > 0;
}

const orLast = (loss: number | undefined): number =>
  loss === undefined || Number.isNaN(loss) ? Infinity : loss;
