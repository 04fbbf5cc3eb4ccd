// What a step is made of, settled before anything is emitted: the values that the loss looks at, the nodes that they need,
// which constants are trained, and how the state is laid out.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Shape, type Tensor } from "../base/tensor.ts";
import { type Node, typeOf, type Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { opTable } from "../ops/index.ts";
import {
  checkLogitsShape,
  findLayout,
  type OutputReading,
  readShape,
  rowsShape,
  type Task,
  taskNamed,
} from "../tasks/index.ts";
import { checkPath } from "./check-path.ts";
import { checkTap, valueNamed } from "./check-taps.ts";
import type { CompileOptions } from "./compile-options.ts";
import { type Front, frontOf } from "./front.ts";
import { settingsOf, type WeightSettings } from "./parameter-groups.ts";
import { describeQuantised, type Roles, rolesOf } from "./roles.ts";
import { layOut, type Pack } from "./state.ts";
import { pathTo } from "./student-forward.ts";

/** What the loss looks at. */
interface Wanted {
  readonly o: CompileOptions;
  readonly logits: Value;
  readonly task: Task;
  readonly reading: OutputReading;
  /** In the task's form. */
  readonly logitsShape: Shape;
  /** Of the teacher's logits, which is another where outputs are projected. */
  readonly comparedShape: Shape;
  readonly tapValues: readonly Value[];
  readonly settings: (weight: Value) => WeightSettings;
  /** What is computed before the step, and fed to it. */
  readonly front: Front;
}

export interface StepPlan extends Wanted {
  /** The nodes that compute it, in order. */
  readonly path: readonly Node[];
  /** Values that neither the data's elements nor anything trained changes. */
  readonly known: ReadonlyMap<Value, Tensor>;
  readonly roles: Roles;
  readonly weights: readonly Pack[];
  readonly statistics: readonly Pack[];
}

/** Errors: as `compileStep`. */
export function planStep(o: CompileOptions): StepPlan {
  const logits = valueNamed(o.student, o.logits ?? o.student.graph.outputs[0]?.name ?? "", "logits");
  const tapValues = o.taps.map((t) => valueNamed(o.student, t.student, `tap "${t.name}"`));
  const task = o.task ?? taskNamed();
  const { dims } = typeOf(logits);
  const what = `the student's logits "${logits.name}" (${o.student.source})`;
  checkLogitsShape(task, dims, what, "--student-logits");
  const reading = o.reading ?? {
    ...findLayout({ task, dims, samples: o.batch ?? (dims[0] as number), what }),
    gives: "logits",
  };
  const logitsShape = readShape(dims, reading, task);
  if (!logitsShape || (o.batch !== undefined && dims[reading.batchAxis] !== o.batch))
    throw new DistillError(
      "E_SHAPE",
      `${what} are ${formatShape(dims)} for a batch of ${o.batch}; expected ${task.logits}`,
    );
  o.taps.forEach((tap, i) => {
    checkTap(o, tap, tapValues[i] as Value);
  });
  const values = [logits, ...tapValues];
  const path = pathTo(o.student, values, o.known);
  const roles = rolesOf(o.student, opTable, path, o);
  const statistics = o.trainStatistics ? roles.statistics : [];
  const front = frontOf(o.student, {
    ...{ table: opTable, path, wanted: values, known: o.known },
    ...{ trained: roles.trained, statistics },
  });
  checkPath(o.student, opTable, pathTo(o.student, values, either(o.known, front)), roles.trained);
  const settings = settingsOf(o.student, opTable, path, roles.trained, o);
  const comparedShape = o.outputs ? [rowsShape(logitsShape)[0], o.outputs.width] : logitsShape;
  const wanted = { o, settings, task, logits, reading, logitsShape, comparedShape, tapValues, front };
  return withRoles(wanted, roles);
}

/** The plan in which constants of those names are not trained. */
export function withoutTraining(plan: StepPlan, names: Pick<ReadonlySet<string>, "has">): StepPlan {
  const trained = plan.roles.trained.filter((v) => !names.has(v.name));
  const entries = plan.roles.entries.map((e) =>
    names.has(e.name) ? { ...e, role: "fixed" as const, reason: "the loss has no gradient for it" } : e,
  );
  return withRoles(plan, { ...plan.roles, trained, entries });
}

/** Where a step need not look past: what is known, and what it is fed. */
function either(known: ReadonlyMap<Value, Tensor>, { values }: Front): { has(value: Value): boolean } {
  return { has: (x) => known.has(x) || values.includes(x) };
}

function withRoles(wanted: Wanted, roles: Roles): StepPlan {
  const { o, settings, logits, tapValues, front } = wanted;
  if (roles.trained.length === 0) throw nothingToTrain(o);
  const shape = shaped(o.student);
  const known = new Map(o.known);
  for (const v of [...roles.trained, ...roles.statistics]) known.delete(v);
  return {
    ...wanted,
    path: pathTo(o.student, [logits, ...tapValues], either(known, front)),
    known,
    roles,
    weights: layOut(
      "weights",
      roles.trained.map((v) => ({ ...shape(v), settings: settings(v) })),
    ),
    statistics: layOut("statistics", [...roles.statistics].map(shape)),
  };
}

function nothingToTrain({ student, freeze }: CompileOptions): DistillError {
  const quantised = freeze.length === 0 ? describeQuantised(student) : undefined;
  const check = `check --freeze (${freeze.join(", ") || "none given"}) and that the model holds float32 initialisers`;
  return new DistillError("E_MODEL", `${student.source}: no weight is left to train; ${quantised ?? check}`);
}

const shaped =
  (model: Model) =>
  (v: Value): { name: string; dims: readonly number[] } => ({
    name: v.name,
    dims: (model.graph.constants.get(v) as Tensor).dims,
  });
