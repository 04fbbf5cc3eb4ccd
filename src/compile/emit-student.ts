// The student's forward pass in a step: its weights and statistics are views on the state that comes in, dropout masks are
// inputs, and what BatchNormalization has seen goes into the next statistics.
import type { TensorType } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { project, projectOutputs } from "../losses/projection.ts";
import type { Builder } from "../ops/builder.ts";
import type { EmitHooks } from "../ops/define.ts";
import { emitForm } from "../taps/emit-form.ts";
import { readRows } from "../tasks/index.ts";
import type { Auxiliary } from "./auxiliary.ts";
import { neuronsOf } from "./check-taps.ts";
import { PaddingRowStops } from "./padding-rows.ts";
import type { StepPlan } from "./plan-step.ts";
import { unpack } from "./state.ts";
import { names, studentName, vector } from "./step-names.ts";
import { emitForward } from "./student-forward.ts";

export interface DropoutMask {
  readonly input: string;
  readonly type: TensorType;
  readonly ratio: number;
}

/** The student's forward pass on state inputs: rows of logits, and its taps as the loss sees them. */
export function emitStudent(b: Builder, plan: StepPlan, auxiliary: Auxiliary) {
  const { o } = plan;
  const given = new Map<Value, Value>();
  for (const x of o.student.graph.inputs) given.set(x, b.graph.addInput(studentName(x.name), typeOf(x)));
  for (const x of plan.front.values) given.set(x, b.graph.addInput(names.front(x.name), typeOf(x)));
  const constants = new Map([...o.student.graph.constants.keys()].map((v) => [v.name, v]));
  const weights = new Map<string, Value>();
  const views = new Map<string, Value>();
  for (const pack of plan.weights) {
    const input = b.graph.addInput(names.state(pack.key), vector(pack));
    weights.set(pack.key, input);
    for (const [name, view] of unpack(b, pack, input)) {
      given.set(constants.get(name) as Value, view);
      views.set(name, view);
      b.anchors.add(view);
    }
  }
  const running = new Map<Value, string>();
  for (const pack of plan.statistics)
    for (const [name, view] of unpack(b, pack, b.graph.addInput(names.state(pack.key), vector(pack)))) {
      given.set(constants.get(name) as Value, view);
      running.set(view, name);
    }
  const nextStatistics = new Map<string, Value>([...running].map(([view, name]) => [name, view]));
  const masks: DropoutMask[] = [];
  const hooks: EmitHooks = {
    runningStatistics: (mean, variance) => {
      const [ofMean, ofVariance] = [running.get(mean), running.get(variance)];
      if (!o.trainStatistics || ofMean === undefined || ofVariance === undefined) return undefined;
      return {
        update: (nextMean, nextVariance) => {
          nextStatistics.set(ofMean, nextMean);
          nextStatistics.set(ofVariance, nextVariance);
        },
      };
    },
    dropoutMask: (name, type, ratio) => {
      if (ratio === 0) return undefined;
      const input = names.mask(name);
      masks.push({ input, type, ratio });
      return b.graph.addInput(input, type);
    },
  };
  const stops = new PaddingRowStops(b, plan.roles.paddingRows);
  const values = emitForward(b, o.student, plan.path, given, plan.known, hooks, (node, slot, x) =>
    stops.input(node, slot, x),
  );
  const taps = o.taps.map((t, i) => {
    const tapped = values.get(plan.tapValues[i] as Value) as Value;
    const value = b.scope(`tap/${t.name}`, () => emitForm(b, tapped, t.form ?? {}));
    const width = neuronsOf(t.teacher.dims);
    return {
      name: t.name,
      value: t.project ? project(b, auxiliary, t.name, value, width, t.project) : value,
    };
  });
  const own = readRows(b, values.get(plan.logits) as Value, plan.reading, plan.task);
  const rows = o.outputs ? projectOutputs(b, auxiliary, own, o.outputs.width, o.outputs.projection) : own;
  return { rows, taps, weights, views, nextStatistics, masks, values };
}
