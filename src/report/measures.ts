// Which metrics a report shows, in which order and in which words: its task says.
import { isFiniteNumber } from "../base/format.ts";
import {
  formatMetric,
  type MetricKey,
  type MetricSpec,
  metricSpecs,
  type TaskName,
  taskNamed,
  taskNames,
} from "../tasks/index.ts";
import type { ModelRow, ReportData } from "./data.ts";

export interface Measure extends MetricSpec {
  readonly key: MetricKey;
  show(value: number | null | undefined, digits?: number): string;
}

const taskOf = (data: Pick<ReportData, "task">) =>
  taskNamed(taskNames.find((n): n is TaskName => n === data.task));

/** The task's metrics, in its order. */
export function measuresOf(data: Pick<ReportData, "task">): Measure[] {
  return taskOf(data).metrics.map(measure);
}

/** The metric that the page speaks of: the first that chooses the best student, or any, that `model` has. */
export function mainMeasure(
  data: Pick<ReportData, "task">,
  model: ModelRow | undefined,
): Measure | undefined {
  const { monitors, metrics } = taskOf(data);
  const key = [...monitors, ...metrics].find((k) => isFiniteNumber(model?.metrics[k]));
  return key && measure(key);
}

/** What the rows of the task are, in the plural. */
export const rowsOf = (data: Pick<ReportData, "task">): string => taskOf(data).rows;

export function measure(key: MetricKey): Measure {
  return { ...metricSpecs[key], key, show: (value, digits) => formatMetric(key, value, digits) };
}

export const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
