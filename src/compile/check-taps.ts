// Whether what is named exists in the student, and taps of both sides can be compared: refused before anything is emitted.
import { DistillError, didYouMean } from "../base/errors.ts";
import { neuronAxis } from "../base/layout.ts";
import { formatShape, sameShape } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { waysToUnequalNeurons } from "../losses/index.ts";
import type { Model } from "../onnx/model.ts";
import { formedShape } from "../taps/tap-form.ts";
import type { CompileOptions, CompileTap } from "./compile-options.ts";

/** The value of that name of a student; E_NAME, with the nearest names, where there is none. */
export function valueNamed(model: Model, name: string, what: string): Value {
  const found = model.graph.find(name);
  if (!found)
    throw new DistillError(
      "E_NAME",
      `${what}: the student ${model.source} has no value "${name}".${didYouMean(
        name,
        [...model.graph.values()].map((v) => v.name),
      )} \`onnx-distill inspect\` lists them.`,
    );
  return found;
}

export const neuronsOf = (dims: readonly number[]): number => dims[neuronAxis(dims.length)] as number;

/** Equal samples on both sides, and equal neurons unless the loss accepts others. */
export function checkTap({ student: model, loss }: CompileOptions, tap: CompileTap, value: Value): void {
  const student = formedShape(typeOf(value).dims, tap.form ?? {});
  const teacher = tap.teacher.dims;
  if (sameShape(student, teacher)) return;
  const samples = (dims: readonly number[]) => dims.filter((_, i) => i !== neuronAxis(dims.length));
  const sameSamples = student.length === teacher.length && sameShape(samples(student), samples(teacher));
  if (sameSamples && (tap.project || loss.unequalNeurons(tap.name))) return;
  const why = sameSamples
    ? `they have ${neuronsOf(student)} and ${neuronsOf(teacher)} neurons`
    : "the numbers of samples differ";
  const ways = [...waysToUnequalNeurons(), `a learned projection (project: true; --project ${tap.name})`];
  const others = sameSamples ? `, or accept unequal numbers of neurons with ${ways.join(" or ")}` : "";
  throw new DistillError(
    "E_SHAPE",
    `tap "${tap.name}": the student's "${value.name}" (${model.source}) is ${formatShape(student)} and the teacher's value ${formatShape(teacher)}: ${why}; tap values of equal shape${others}`,
  );
}
