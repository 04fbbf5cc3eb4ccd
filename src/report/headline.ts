// The result in words, computed from the data and said only as far as the data goes: better is called better, worse worse,
// and a difference below what was rounded away is called none.
import { formatCount, formatFixed, formatNumber, isFiniteNumber } from "../base/format.ts";
import type { ModelRow, ReportData } from "./data.ts";
import { type Measure, mainMeasure, rowsOf } from "./measures.ts";

/** The rows that the headline, the tiles and the colours speak of. */
export interface Protagonists {
  teacher?: ModelRow;
  /** The student that the report is about: the distilled one, or the only one. */
  student?: ModelRow;
  /** The same student from labels alone, if there is a distilled one beside it. */
  baseline?: ModelRow;
  distilled: boolean;
}

export function protagonists(models: readonly ModelRow[]): Protagonists {
  const teacher = models.find((m) => m.role === "teacher");
  const students = models.filter((m) => m.role === "student");
  const distilled = students.find((m) => m.training === "distilled" || (teacher && m.training === undefined));
  const baseline = students.find((m) => m.training === "labels");
  const student = distilled ?? baseline ?? students[0];
  return {
    ...(teacher && { teacher }),
    ...(student && { student }),
    ...(distilled && baseline && { baseline }),
    distilled: distilled !== undefined,
  };
}

/** How far apart, in words that fit both directions. */
function gap(measure: Measure, a: number, b: number): string {
  if (measure.kind !== "share") return measure.show(Math.abs(a - b));
  const points = formatFixed(Math.abs(a - b) * 100, 1);
  return `${points} point${points === "1.0" ? "" : "s"}`;
}

/** "reaches 88.1 % top-1 accuracy". */
function says(data: ReportData, measure: Measure, value: number): string {
  return measure.says.replace("{}", measure.show(value)).replace("{rows}", rowsOf(data));
}

/**
 * One or two sentences.
 *
 * @example
 * // The distilled student reaches 88.1 % top-1 accuracy with 11,234 parameters, 15.6 times fewer than the teacher’s 175,258
 * // (93.3 %). Trained from labels alone, the same student reaches 87.2 %: distillation gained 0.9 points.
 */
export function headline(data: ReportData): string {
  const { teacher, student, baseline, distilled } = protagonists(data.models);
  if (!student) return teacher ? lone(data, "The teacher", teacher) : "No model was recorded.";
  const measure = mainMeasure(data, student);
  const name = distilled ? "The distilled student" : "The student";
  if (!measure) return `${lone(data, name, student, teacher)}`;
  const value = student.metrics[measure.key] as number;
  let text = `${name} ${says(data, measure, value)}`;
  if (isFiniteNumber(student.parameters)) {
    text += ` with ${parameters(student.parameters)}`;
    const ratio = sizeComparison(student.parameters, teacher?.parameters);
    if (ratio) text += `, ${ratio}`;
  }
  const teachers = teacher?.metrics[measure.key];
  if (isFiniteNumber(teachers) && measure.against === "labels") {
    const named = isFiniteNumber(student.parameters) && isFiniteNumber(teacher?.parameters);
    text += named ? ` (${measure.show(teachers)})` : ` (the teacher: ${measure.show(teachers)})`;
  }
  return `${text}.${comparison(measure, value, baseline)}`;
}

function comparison(measure: Measure, value: number, baseline: ModelRow | undefined): string {
  const other = baseline?.metrics[measure.key];
  if (!isFiniteNumber(other)) return "";
  const start = ` Trained from labels alone, the same student reaches ${measure.show(other)}:`;
  if (measure.show(other) === measure.show(value)) return `${start} distillation made no difference.`;
  const better = value > other === (measure.better === "higher");
  return `${start} distillation ${better ? "gained" : "lost"} ${gap(measure, value, other)}.`;
}

function lone(data: ReportData, name: string, model: ModelRow, teacher?: ModelRow): string {
  const measure = mainMeasure(data, model);
  if (measure) {
    const size = isFiniteNumber(model.parameters) ? ` with ${parameters(model.parameters)}` : "";
    return `${name} ${says(data, measure, model.metrics[measure.key] as number)}${size}.`;
  }
  if (!isFiniteNumber(model.parameters)) return `${name} was not evaluated.`;
  const ratio = sizeComparison(model.parameters, teacher?.parameters);
  return `${name} has ${parameters(model.parameters)}${ratio ? `, ${ratio}` : ""}; it was not evaluated.`;
}

function parameters(n: number): string {
  return `${formatCount(n)} parameter${n === 1 ? "" : "s"}`;
}

function sizeComparison(student: number, teacher: number | null | undefined): string | undefined {
  if (!isFiniteNumber(teacher) || student <= 0 || teacher <= 0) return undefined;
  if (teacher === student) return "as many as the teacher";
  const [ratio, word] = teacher > student ? [teacher / student, "fewer"] : [student / teacher, "more"];
  const times =
    ratio < 1.05 ? formatNumber(ratio, 4) : ratio < 100 ? formatFixed(ratio, 1) : formatCount(ratio);
  return `${times} times ${word} than the teacher’s ${formatCount(teacher)}`;
}

/** Half the width of the 95 % interval of an accuracy (normal approximation): 1.96 √(p(1−p)/n). */
export function marginOfError(
  accuracy: number | null | undefined,
  samples: number | undefined,
): number | undefined {
  if (!isFiniteNumber(accuracy) || !isFiniteNumber(samples) || samples < 1) return undefined;
  return 1.96 * Math.sqrt((accuracy * (1 - accuracy)) / samples);
}
