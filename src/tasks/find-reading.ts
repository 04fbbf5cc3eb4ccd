// How a model's output is read, settled from the first batch that it gives: the axes (find-layout.ts) and what the values are
// (probabilities.ts). What cannot be told apart is refused, with the option that decides.
import { DistillError } from "../base/errors.ts";
import type { Tensor, TensorType } from "../base/tensor.ts";
import { type AskedAxes, findLayout, type ToldAxes } from "./find-layout.ts";
import { valuesGive } from "./probabilities.ts";
import { type Gives, type OutputReading, readLogits } from "./reading.ts";
import { rowsOfTensor } from "./rows.ts";
import type { Task } from "./task.ts";

/** What a user says of an output. */
export interface AskedReading extends AskedAxes {
  readonly gives?: Gives | undefined;
}

/** What a graph says of the values of its output. */
export interface ToldValues {
  /** They are what goes into the activation that the output ends in. */
  readonly beforeActivation: boolean;
  /** They are sums with weights and a bias, as a matrix product makes them: of any size. */
  readonly linear: boolean;
  /** The activation that they end in although the task has another: `Sigmoid (node "/act")`. */
  readonly unexpected?: string | undefined;
}

export interface ReadingClues {
  readonly task: Task;
  /** float32 */
  readonly first: Tensor;
  readonly samples: number;
  readonly asked?: AskedReading | undefined;
  /** Undefined: what gives it is no graph. */
  readonly axes?: ToldAxes | undefined;
  readonly values?: ToldValues | undefined;
  readonly labels?: TensorType | undefined;
  /** E.g. `the student's logits "y"`, and `the student's output "y"` where it is not known what it holds. */
  readonly what: string;
  readonly output: string;
  /** The options that decide: `--teacher-gives`, `--teacher-logits`. */
  readonly flags: { readonly gives: string; readonly logits: string };
}

export interface FoundReading {
  readonly reading: OutputReading;
  /** For the user, where the values are not taken as they are. */
  readonly note?: string | undefined;
}

/** Errors: as `findLayout`; E_MODEL where it cannot be known whether the values are probabilities. */
export function findReading(clues: ReadingClues): FoundReading {
  const { task, first, asked = {} } = clues;
  const layout = findLayout({ ...clues, dims: first.dims, told: clues.axes });
  // What is asked is of the output; before its activation lie logits.
  const told = clues.values?.beforeActivation ? "logits" : asked.gives;
  const gives = told ?? givesByValues(clues, { ...layout, gives: "logits" });
  const reading: OutputReading = { ...layout, gives };
  return { reading, note: gives === "logits" ? undefined : describeReading(clues, gives, task) };
}

function givesByValues(clues: ReadingClues, plain: OutputReading): Gives {
  const { task, first, values, output, flags } = clues;
  if (task.outputs === "identity" || values?.beforeActivation) return "logits";
  const rows = rowsOfTensor(readLogits(first, plain, task));
  const seen = valuesGive(rows.data as Float32Array, rows.dims, task.outputs);
  const unexpected = values?.unexpected;
  if (typeof seen === "number") {
    if (!values || values.linear) return "logits";
    const sum = Number(seen.toPrecision(4));
    throw new DistillError(
      "E_MODEL",
      `${output} may hold probabilities times ${sum}, as percentages or votes are: its first rows are 0 or more and all sum to ${sum}; say what they are with ${flags.gives} logits or ${flags.gives} probabilities`,
    );
  }
  if (seen === "probabilities" && !(values?.linear && task.outputs === "sigmoid")) return seen;
  if (seen === "unclear" && unexpected !== undefined) return "probabilities";
  const say = `say what they are with ${flags.gives} logits or ${flags.gives} probabilities`;
  if (unexpected !== undefined)
    throw new DistillError(
      "E_MODEL",
      `${output} ends in a ${unexpected}, and its values are no distribution over classes, which task ${task.name} expects: take --task multi-label, name the value that goes into it with ${flags.logits}, or ${say}`,
    );
  // A function is asked for logits, and a matrix product gives what it likes.
  if (seen !== "unclear" || !values || values.linear) return "logits";
  const all = task.outputs === "softmax" ? "0 or more with a sum of 1" : "within [0, 1]";
  throw new DistillError(
    "E_MODEL",
    `${output} may hold logits or probabilities: its first rows are ${all}, and too few or too alike to tell; ${say}`,
  );
}

function describeReading({ output, flags, asked }: ReadingClues, gives: Gives, { outputs }: Task): string {
  const otherwise = `${flags.gives} logits takes them as they are`;
  if (gives === "log-probabilities")
    return outputs === "sigmoid"
      ? `${output} holds log-probabilities: log p - log(1 - p) is taken for the logits`
      : `${output} holds log-probabilities, which are taken for the logits`;
  return outputs === "sigmoid"
    ? `${output} holds probabilities (within [0, 1]): log p - log(1 - p) is taken for the logits, from -87.3 to 17.3 (${otherwise})`
    : `${output} holds probabilities${asked?.gives ? "" : " (rows that sum to 1)"}: their logarithm is taken for the logits, -87.3 where one is 0 (${otherwise})`;
}
