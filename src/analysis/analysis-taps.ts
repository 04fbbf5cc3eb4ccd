// Where an analysis looks: taps that are named or found, the form in which both sides are compared, the neurons asked for.
import { DistillError, didYouMean } from "../base/errors.ts";
import { neuronAxis } from "../base/layout.ts";
import { formatShape, type Shape } from "../base/tensor.ts";
import { proposeTaps } from "../taps/propose-taps.ts";
import { commonForms, formedShape, type TapForm, tellForm } from "../taps/tap-form.ts";
import type { TappedModel } from "./tapped-model.ts";

/** One place in both models; `student` is of no account where there is no student. */
export interface AnalysisTap {
  readonly name: string;
  readonly teacher: string;
  readonly student: string;
}

export interface NeuronChoice {
  readonly tap: string;
  readonly neuron: number;
}

/** Good places of the model, or pairs of good places of both. Error: E_MODEL where there are none. */
export function foundTaps(teacher: TappedModel, student: TappedModel | undefined): AnalysisTap[] {
  const found = student
    ? proposeTaps(teacher.candidates, student.candidates, { equalNeurons: false }).map((p) => ({
        name: p.student.name,
        teacher: p.teacher.name,
        student: p.student.name,
      }))
    : teacher.candidates
        .filter((c) => c.suggested)
        .map((c) => ({ name: c.name, teacher: c.name, student: c.name }));
  if (found.length === 0)
    throw new DistillError(
      "E_MODEL",
      `${[teacher, ...(student ? [student] : [])].map((m) => m.model.source).join(" and ")}: no good place to look at was found; name one with --tap (\`onnx-distill inspect --all\` lists them)`,
    );
  return found;
}

/** What is done to each side before it is analysed. */
export interface Forms {
  readonly teacher: TapForm;
  readonly student: TapForm;
}

/** The form of each side of each tap, and what the user should know of it. Errors: E_NAME, E_SHAPE. */
export function formsOf(
  taps: readonly AnalysisTap[],
  teacher: TappedModel,
  student: TappedModel | undefined,
): { forms: Forms[]; notes: string[] } {
  const notes: string[] = [];
  const forms = taps.map((t): Forms => {
    // Models may be made for batches of their own.
    const two = ({ dims, axis }: { dims: Shape; axis?: number | undefined }) => ({
      dims: [2, ...dims.slice(1)],
      axis,
    });
    const taught = two(teacher.side(t.name, t.teacher));
    const own = student ? two(student.side(t.name, t.student)) : taught;
    const found = naming(`tap "${t.name}" (${formatShape(taught.dims)} and ${formatShape(own.dims)})`, () =>
      commonForms(own, taught),
    );
    for (const role of student ? (["teacher", "student"] as const) : []) {
      const told = tellForm(role === "teacher" ? taught.dims : own.dims, found[role]);
      if (told) notes.push(`Tap “${t.name}”: the ${role}’s ${told}.`);
    }
    return found;
  });
  return { forms, notes };
}

export function neuronsOf(dims: Shape, form: TapForm): number {
  const shape = formedShape(dims, form);
  return shape[neuronAxis(shape.length)] as number;
}

/** Errors: E_NAME for a neuron whose tap, or which itself, does not exist. */
export function checkNeurons(
  asked: readonly NeuronChoice[],
  taps: readonly AnalysisTap[],
  neurons: (tap: number) => number,
): void {
  const names = taps.map((t) => t.name);
  for (const { tap, neuron } of asked) {
    const at = names.indexOf(tap);
    if (at < 0)
      throw new DistillError(
        "E_NAME",
        `--neuron ${tap}:${neuron}: there is no tap "${tap}".${didYouMean(tap, names)} Taps are: ${names.join(", ")}`,
      );
    const count = neurons(at);
    if (neuron >= count)
      throw new DistillError(
        "E_NAME",
        `--neuron ${tap}:${neuron}: the tap has ${count} neuron${count === 1 ? "" : "s"}, 0 to ${count - 1}`,
      );
  }
}

/** Runs `body`; an error of ours gets told where it arose. */
export function naming<T>(where: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    if (!(cause instanceof DistillError)) throw cause;
    throw new DistillError(cause.code, `${where}: ${cause.message}`, { cause });
  }
}
