// Taps as a run uses them: both sides found, brought to one form, and what the user should know of it. The taps themselves
// are given (options.ts) or proposed (taps/propose-taps.ts).
import { DistillError } from "../base/errors.ts";
import { formatShape, type Shape, type Tensor, type TensorType } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { neuronAxisOf } from "../taps/neuron-layout.ts";
import { commonForms, isPlain, type TapForm, tellForm } from "../taps/tap-form.ts";
import type { ResolvedTap } from "./options.ts";

/** One tap with what is done to each side before they are compared. Plain JSON: run.json keeps it. */
export interface FormedTap extends ResolvedTap {
  /** Absent where both sides are compared as they are. */
  readonly forms?: { readonly student: TapForm; readonly teacher: TapForm };
}

export interface TapSides {
  readonly student: Model;
  /** Observed types of the student's values. */
  readonly types: ReadonlyMap<Value, TensorType>;
  /** What the teacher gave for one batch, by tap name. */
  readonly taught: Readonly<Record<string, Tensor>>;
  /** The axis of neurons of a teacher's value, if the teacher is a model. */
  readonly teacherAxis: (value: string, rank: number) => number | undefined;
}

/**
 * Finds the form in which both sides of each tap are compared.
 *
 * @throws E_SHAPE where there is none. A student's value that does not exist is left to the compiler's error.
 */
export function formTaps(
  taps: readonly ResolvedTap[],
  sides: TapSides,
): { taps: FormedTap[]; notes: string[] } {
  const notes: string[] = [];
  const formed = taps.map((tap): FormedTap => {
    const value = sides.student.graph.find(tap.student);
    const own = value && sides.types.get(value)?.dims;
    const other = sides.taught[tap.name]?.dims;
    if (!value || !own || !other) return tap;
    const forms = formsOf(tap, value, own, other, sides);
    for (const side of ["student", "teacher"] as const) {
      const told = tellForm(side === "student" ? own : other, forms[side]);
      if (told) notes.push(`tap "${tap.name}": the ${side}'s ${told}`);
    }
    notes.push(...forms.doubts.map((doubt) => `tap "${tap.name}": ${doubt}`));
    if (isPlain(forms.student) && isPlain(forms.teacher)) return tap;
    return { ...tap, forms: { student: forms.student, teacher: forms.teacher } };
  });
  return { taps: formed, notes };
}

function formsOf(tap: FormedTap, value: Value, own: Shape, other: Shape, sides: TapSides) {
  try {
    return commonForms(
      { dims: own, axis: neuronAxisOf(value, own.length) },
      { dims: other, axis: sides.teacherAxis(tap.teacher, other.length) },
    );
  } catch (cause) {
    if (!(cause instanceof DistillError)) throw cause;
    throw new DistillError(
      cause.code,
      `tap "${tap.name}": the student's "${value.name}" (${sides.student.source}) is ${formatShape(own)} and the teacher's value ${formatShape(other)}: ${cause.message}`,
      { cause },
    );
  }
}
