// What `inspect` tells of a model's first output of floats: which tasks take it, and how its values and axes would be read.
import { DistillError } from "../base/errors.ts";
import { floatsAsFloat32 } from "../base/floats.ts";
import { formatShape, isFloat, type Tensor } from "../base/tensor.ts";
import type { Model } from "../onnx/model.ts";
import { describeChoice, describeLogits, logitsOf, refuseSorted, withLogits } from "../prepare/logits.ts";
import { axesTold, valuesTold } from "../prepare/output-clues.ts";
import type { Tensors } from "../runtime/session.ts";
import {
  findReading,
  type OutputReading,
  type TaskName,
  taskNamed,
  tasksOfRank,
  usualLayout,
} from "../tasks/index.ts";

/** The value that is read, whatever it ends in; undefined of a model that gives no floats (boxes and classes as integers). */
export function outputOf(model: Model): string | undefined {
  const declared = new Map(model.outputs.map((o) => [o.name, o.dtype]));
  const gives = model.graph.outputs.some((v) => isFloat(declared.get(v.name) ?? v.type?.dtype ?? "float32"));
  return gives ? logitsOf(model, undefined, "identity").value : undefined;
}

/** Tasks that take logits of these dims; a softmax over a single class is none's. */
export function tasksTaking(model: Model, dims: readonly (number | string)[]): TaskName[] {
  const output = outputOf(model);
  const rank = dims.length;
  const told = output && rank > 1 ? axesTold(model, logitsOf(model, undefined, "identity"), rank) : {};
  const { classAxis } = told.classAxis === undefined ? usualLayout(rank) : told;
  const single = classAxis !== undefined && dims[classAxis] === 1;
  return tasksOfRank(rank).filter((name) => !(single && taskNamed(name).outputs === "softmax"));
}

/** `seen`: the output as it was for `samples` made-up inputs, where the model was run. */
export function describeOutput(model: Model, seen: Tensors, samples: number): string[] {
  const output = outputOf(model);
  if (output === undefined) return [];
  const read = logitsOf(model);
  const flags = "--student-logits or --teacher-logits";
  const choice = describeChoice(model, undefined, read, "softmax", "the model", flags);
  const ends = (["softmax", "sigmoid"] as const).flatMap((kind) => {
    const logits = logitsOf(model, undefined, kind);
    const what = logits.activation && describeLogits(logits, "the model");
    return what ? [kind === "sigmoid" ? `${what} by --task multi-label` : what] : [];
  });
  const t = seen[output];
  try {
    refuseSorted(model, read);
  } catch (error) {
    if (!(error instanceof DistillError)) throw error;
    return [error.message];
  }
  const notes = choice === undefined ? [...ends] : [choice, ...ends];
  if (!t || !isFloat(t.dtype)) return notes;
  const found = readingOf(model, t, samples);
  if (!found) return notes;
  const { rank, batchAxis, classAxis, gives } = found;
  const usual = usualLayout(rank);
  if (gives === "probabilities" && ends.length === 0)
    notes.push(
      `the model's output "${output}" holds probabilities (rows that sum to 1, on made-up inputs): their logarithm is taken for the logits`,
    );
  if (classAxis !== usual.classAxis || batchAxis !== usual.batchAxis)
    notes.push(
      `the model's output "${output}" ${formatShape(t.dims)} has its classes along axis ${classAxis}, its samples along axis ${batchAxis}`,
    );
  return notes;
}

/** As a task reads it whose rows choose one class; undefined where none does, or labels would have to tell. */
function readingOf(model: Model, t: Tensor, samples: number): OutputReading | undefined {
  const name = tasksTaking(model, t.dims).find((n) => taskNamed(n).outputs === "softmax");
  if (!name) return undefined;
  const logits = logitsOf(model);
  const ready = withLogits(model, logits);
  try {
    return findReading({
      task: taskNamed(name),
      first: floatsAsFloat32(t),
      samples,
      axes: axesTold(ready, logits, t.dims.length),
      values: valuesTold(ready, logits),
      ...{ what: "the logits", output: "the output", flags: { gives: "", logits: "" } },
    }).reading;
  } catch (error) {
    if (error instanceof DistillError) return undefined;
    throw error;
  }
}
