// Whether the metric that chooses the best student can be measured at all: asked before the first step.
import { DistillError } from "../base/errors.ts";
import type { Dataset } from "../data/dataset.ts";
import { type MetricKey, metricSpecs } from "../tasks/index.ts";
import type { Resolved } from "./options.ts";

/** E_OPTION for a monitored metric that needs labels or a teacher that are not there; E_DATA where nothing can be measured. */
export function checkMonitor(
  o: Pick<Resolved, "task" | "monitor">,
  evaluation: Dataset,
  teacher: boolean,
): void {
  const there = { labels: evaluation.hasLabels, teacher };
  const can = (key: MetricKey): boolean => there[metricSpecs[key].against];
  const measured = o.task.metrics.filter(can);
  if (o.monitor !== undefined && !can(o.monitor))
    throw new DistillError(
      "E_OPTION",
      `the monitored metric ${o.monitor} needs ${metricSpecs[o.monitor].against === "labels" ? "labels in the evaluation data" : "a teacher"}; choose one of ${measured.join(", ") || "none"}`,
    );
  if (measured.length === 0)
    throw new DistillError(
      "E_DATA",
      "the evaluation data has no labels and there is no teacher, so nothing can be measured on it; leave it out, or give labels",
    );
}
