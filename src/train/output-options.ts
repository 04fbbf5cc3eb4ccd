// What a user says of how the outputs of both models are to be read.
import { DistillError } from "../base/errors.ts";
import type { OutputKind } from "../strategies/index.ts";
import { type AskedReading, type Gives, givesNames, type Task } from "../tasks/index.ts";

export interface OutputOptions {
  /**
   * What the values of the student's output are: "logits", "probabilities" p (log p is taken for the logits; of multi-label
   * log p − log(1 − p)) or "log-probabilities". Default: found. What goes into a final Softmax, LogSoftmax or Sigmoid is
   * logits; else the values of the first batch tell: rows that are 0 or more and sum to 1 (of multi-label, values within [0, 1]
   * that no matrix product makes) are probabilities. "logits" takes the output as it is, whatever it ends in.
   */
  readonly studentGives?: Gives | undefined;
  /** The same of the teacher's output. */
  readonly teacherGives?: Gives | undefined;
  /**
   * The axis of both outputs along which the classes lie, negative from the end, or one for each model. Default: that of the
   * final Softmax, or of the last convolution or matrix product; where nothing tells and labels leave two, it must be said.
   */
  readonly classAxis?: number | AxisOfEach | undefined;
  /** The axis of both outputs, 0 or 1, that counts the samples. Default: found by their number and the graph. */
  readonly batchAxis?: number | AxisOfEach | undefined;
}

export interface AxisOfEach {
  readonly student?: number | undefined;
  readonly teacher?: number | undefined;
}

/** E_ARGUMENT for what is none of these; E_OPTION for a task whose outputs are numbers as they stand. */
export function resolveOutputs(o: OutputOptions, task: Task) {
  for (const key of ["studentGives", "teacherGives"] as const) {
    const given = o[key];
    if (given === undefined) continue;
    if (!givesNames.includes(given))
      throw new DistillError(
        "E_ARGUMENT",
        `distill: ${key} is one of ${givesNames.join(", ")}, got ${JSON.stringify(given)}`,
      );
    if (task.outputs === "identity" && given !== "logits")
      throw new DistillError(
        "E_OPTION",
        `distill: ${key} "${given}": task ${task.name} reads numbers as they are; leave it out`,
      );
  }
  for (const key of ["classAxis", "batchAxis"] as const) {
    const given = o[key];
    for (const axis of typeof given === "object" ? Object.values(given) : [given])
      if (axis !== undefined && !Number.isInteger(axis))
        throw new DistillError("E_ARGUMENT", `distill: ${key} must be a whole number, got ${axis}`);
  }
  const { studentGives, teacherGives, classAxis, batchAxis } = o;
  return { studentGives, teacherGives, classAxis, batchAxis };
}

/** What is asked of one model's output. */
export function askedOf(o: OutputOptions, who: "student" | "teacher"): AskedReading {
  const of = (axis: number | AxisOfEach | undefined) => (typeof axis === "object" ? axis[who] : axis);
  return { gives: o[`${who}Gives`], classAxis: of(o.classAxis), batchAxis: of(o.batchAxis) };
}

/** What an output is looked behind for: nothing where its values are said to be logits. */
export const activationOf = (task: Task, { gives }: AskedReading): OutputKind =>
  gives === "logits" ? "identity" : task.outputs;
