// The backward half of a step: the loss's gradient for every weight, packed as the state is, and all that a step hands out
// beside the next weights: the terms of the loss, and the next statistics and variables.
import { differentiate } from "../autodiff/differentiate.ts";
import { DistillError } from "../base/errors.ts";
import { type Node, typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { emitLoss } from "./emit-loss.ts";
import { describeUnmoved, endBefore } from "./gradient-ends.ts";
import type { StepPlan } from "./plan-step.ts";
import { packValues } from "./state.ts";
import { addOutput, names } from "./step-names.ts";

export function emitGradients(b: Builder, plan: StepPlan) {
  const { o } = plan;
  const { loss, parts, scheduled, auxiliary, weights, views, nextStatistics, masks } = emitLoss(b, plan);
  const userNames = new Map([...views].map(([name, view]) => [view, name]));
  const parameters = [...auxiliary.parameters];
  const wrt = [...views.values(), ...parameters.map(([, p]) => p.view)];
  const ends = new Map<Value, Node>();
  const found = differentiate(b, loss, wrt, userNames, ends);
  const gradients = new Map<string, Value>();
  const unmoved = new Map<string, Node | undefined>();
  for (const [name, view] of views) {
    const gradient = found.get(view);
    if (!gradient) unmoved.set(name, endBefore(view, b.graph, ends, plan.path));
    gradients.set(name, gradient ?? b.full(typeOf(view), 0));
  }
  if (unmoved.size === views.size) {
    const known = [...unmoved].filter(([, end]) => end);
    const why = known.length > 0 ? describeUnmoved(new Map(known)) : "comparisons and constants have none";
    throw new DistillError(
      "E_NO_GRADIENT",
      `the loss (${parts.map((t) => t.name).join(", ")}) reaches no weight of ${o.student.source} through operations that have a gradient, so nothing would be learned: ${why}; choose an earlier value with --student-logits, or another loss`,
    );
  }
  const packed = new Map(
    plan.weights.map((p) => [p.key, b.scope(`grad/${p.key}`, () => packValues(b, p, gradients))]),
  );
  for (const [key, { pack, input, view }] of parameters) {
    weights.set(key, input);
    packed.set(key, b.reshape(found.get(view) ?? b.full(typeOf(view), 0), [pack.size]));
  }
  addOutput(
    b,
    names.losses,
    b.concat(
      [loss, ...parts.map((t) => t.value)].map((v) => b.reshape(v, [1])),
      0,
    ),
  );
  const statistics = new Map(plan.statistics.map((p) => [p.key, packValues(b, p, nextStatistics)]));
  for (const [key, next] of statistics) addOutput(b, names.next(key), next);
  for (const [key, { pack, next }] of auxiliary.variables)
    addOutput(b, names.next(key), b.reshape(next, [pack.size]));
  return {
    weights,
    gradients: packed,
    /** The next ones. */
    statistics,
    /** Weights that the loss does not depend on, or in steps only, and the node at which the gradient ends. */
    unmoved,
    auxiliary,
    terms: ["loss", ...parts.map((t) => `loss/${t.name}`)],
    scheduled,
    masks,
  };
}
