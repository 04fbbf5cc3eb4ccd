// The options that say how outputs are read, as the parser sees them.
import { InvalidArgumentError, type Option } from "commander";
import { givesNames } from "../tasks/gives.ts";
import type { AxisOfEach } from "../train/output-options.ts";
import { choice, option } from "./parse.ts";

export interface OutputFlags {
  studentGives?: (typeof givesNames)[number];
  teacherGives?: (typeof givesNames)[number];
  classAxis?: number | AxisOfEach;
  batchAxis?: number | AxisOfEach;
}

const meaning =
  "logits, taken as they are; probabilities, whose logarithm is taken (of multi-label log p - log(1 - p)); log-probabilities";

/** `eval` measures a model that is no student. */
export const givesOptions = (model: "student" | "model"): Option[] => [
  choice(
    `--${model === "student" ? "student-" : ""}gives <what>`,
    `what the values of the ${model}'s output are: ${meaning} (default: found, by what the graph ends in and by the first batch)`,
    givesNames,
  ),
  choice("--teacher-gives <what>", "the same of the teacher (default: found)", givesNames),
];

export const axisOptions = (model: "student" | "model"): Option[] => [
  option(
    "--class-axis <n>",
    `the axis of the outputs that counts classes, -1 the last, or ${model}=<n>,teacher=<n> (default: that of the Softmax, the last convolution or matrix product)`,
    axis(model),
  ),
  option(
    "--batch-axis <n>",
    `the axis of the outputs that counts samples, 0 or 1, or ${model}=<n>,teacher=<n> (default: found by their number and the graph)`,
    axis(model),
  ),
];

/** `2`, or `student=2,teacher=1`. */
const axis =
  (model: "student" | "model") =>
  (text: string): number | AxisOfEach => {
    const whole = /^-?\d+$/;
    if (whole.test(text)) return Number(text);
    const each = text.split(",").map((part) => part.split("=") as [string, string?]);
    const names = each.map(([name]) => name);
    const fits =
      each.every(([name, n]) => (name === model || name === "teacher") && n !== undefined && whole.test(n)) &&
      new Set(names).size === names.length;
    if (!fits) throw new InvalidArgumentError(`Expected an axis, for example 1, or ${model}=1,teacher=-1.`);
    return Object.fromEntries(each.map(([name, n]) => [name === "teacher" ? name : "student", Number(n)]));
  };
