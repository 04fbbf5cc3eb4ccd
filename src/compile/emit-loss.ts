// The forward half of a step: what the teacher says and the labels come in, the student runs, and the loss compares them.
import { DistillError } from "../base/errors.ts";
import { type Shape, type TensorType, tensor } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { oneHotRows, type TapPair } from "../losses/terms.ts";
import type { Builder } from "../ops/builder.ts";
import type { Progress } from "../strategies/index.ts";
import { rowsOf, rowsShape } from "../tasks/index.ts";
import { Auxiliary } from "./auxiliary.ts";
import { emitStudent } from "./emit-student.ts";
import type { StepPlan } from "./plan-step.ts";
import { names } from "./step-names.ts";

/** A scalar input of the step whose value follows from how far the run is. */
export interface ScheduledFactor {
  /** The term of the loss that it belongs to. */
  readonly term: string;
  readonly input: string;
  readonly at: (progress: Progress) => number;
}

/** Everything up to the loss, its terms by name, and the state of its own that it asked for. */
export function emitLoss(b: Builder, plan: StepPlan) {
  const { o } = plan;
  const likeLogits: TensorType = { dtype: typeOf(plan.logits).dtype, dims: plan.logitsShape };
  const compared: TensorType = { ...likeLogits, dims: plan.comparedShape };
  const teacherLogits = o.teacherLogits ? b.graph.addInput(names.teacherLogits, compared) : undefined;
  const fed = labelInputs(b, labelTypes(plan, likeLogits), plan.logitsShape);
  const teacherTaps = o.taps.map((t) => b.graph.addInput(names.teacherTap(t.name), t.teacher));
  const auxiliary = new Auxiliary(b, names.state);
  const { rows, taps: studentTaps, ...student } = emitStudent(b, plan, auxiliary);
  const taps: TapPair[] = studentTaps.map((t, i) => ({
    name: t.name,
    student: t.value,
    teacher: teacherTaps[i] as Value,
  }));
  const totals = new Map<string, Value>();
  const total = (what: string): Value | undefined => {
    if (!o.accumulate) return undefined;
    const name = names.scalar(`total/${what}`);
    const made = totals.get(name) ?? b.graph.addInput(name, { dtype: "float32", dims: [] });
    totals.set(name, made);
    return made;
  };
  const terms = o.loss.emit({
    b,
    state: auxiliary,
    studentLogits: rows,
    teacherLogits: teacherLogits && rowsOf(b, teacherLogits),
    rowWeights: fed.rowWeights,
    labelIndices: fed.labelIndices,
    labelWeights: labelWeights(b, plan, fed),
    classWeights: o.classWeights,
    get rowTotal() {
      return total("rows");
    },
    get labelTotal() {
      return total("labels");
    },
    get labels() {
      return fed.labels;
    },
    taps,
  });
  const scheduled: ScheduledFactor[] = [];
  const parts = terms.map(({ name, value, factor }) => {
    if (!factor) return { name, value };
    const input = names.scalar(`loss/${name}`);
    scheduled.push({ term: `loss/${name}`, input, at: factor });
    return { name, value: b.mul(value, b.graph.addInput(input, { dtype: "float32", dims: [] })) };
  });
  if (parts.length === 0)
    throw new DistillError(
      "E_OPTION",
      "the loss has no term: give a teacher, labels, or a tap with a weight above 0",
    );
  const loss = parts.map((t) => t.value).reduce((a, c) => b.add(a, c));
  return { ...student, loss, parts, scheduled, auxiliary };
}

function labelTypes(
  { o, logitsShape }: StepPlan,
  likeLogits: TensorType,
): Readonly<Record<string, TensorType>> {
  if (typeof o.labels === "function") return o.labels(logitsShape);
  return o.labels ? { [names.labels]: likeLogits } : {};
}

/** Of class indices: the weight of each row's class, 0 where the row does not count. */
function labelWeights(
  b: Builder,
  { o: { classWeights: w, student }, logitsShape }: StepPlan,
  {
    labelIndices,
    rowWeights,
  }: { readonly labelIndices?: Value | undefined; readonly rowWeights?: Value | undefined },
): Value | undefined {
  if (!w) return undefined;
  const [, classes] = rowsShape(logitsShape);
  if (w.length !== classes)
    throw new DistillError(
      "E_OPTION",
      `classWeights (--class-weights) has ${w.length} weights, the student ${student.source} gives ${classes} logits; give one for each class`,
    );
  if (!labelIndices) return undefined;
  const each = b.gather(b.constant(tensor("float32", w, [classes]), "class-weights"), labelIndices, 0);
  return rowWeights ? b.mul(each, rowWeights) : each;
}

/** Inputs for what is fed of labels, and how a loss reads them. */
function labelInputs(b: Builder, types: Readonly<Record<string, TensorType>>, logits: Shape) {
  const input = (name: string) => types[name] && b.graph.addInput(name, types[name]);
  const [fed, rowWeights] = [input(names.labels), input(names.rowWeights)];
  const rows = rowsShape(logits);
  const labelIndices = fed && typeOf(fed).dtype === "int32" ? fed : undefined;
  return {
    rowWeights,
    labelIndices,
    /** Rows of distributions or targets; made of indices only when a loss asks. */
    get labels(): Value | undefined {
      if (labelIndices) return oneHotRows(b, labelIndices, { dtype: "float32", dims: rows });
      return fed && rowsOf(b, fed);
    },
  };
}
