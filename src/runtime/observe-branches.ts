// Observation of a model with If nodes: where a condition follows from shapes and constants alone, the branch that it takes
// is written out, so that what is in it can be seen, trained and differentiated like everything else.
import { toNumbers } from "../base/tensor.ts";
import type { Model } from "../onnx/model.ts";
import { inlineBranches } from "../onnx/read-model.ts";
import { type Observation, observe } from "./observe.ts";
import type { Runtime, Tensors } from "./session.ts";

/**
 * What `observe` finds, and the model that it holds for: the given one, with the branches written out that are taken
 * **for the shapes of these feeds**, nested ones included. An If whose condition depends on the data stays as it is.
 *
 * Errors: those of `observe`.
 *
 * @example
 * const { model, known } = await observeBranches(student, nodeRuntime, exampleFeeds(student, 32));
 */
export async function observeBranches(
  model: Model,
  runtime: Runtime,
  feeds: Tensors,
  wanted: readonly string[] = [],
): Promise<Observation & { readonly model: Model }> {
  const found = await observe(model, runtime, feeds, wanted);
  const conditions = new Map<string, boolean>();
  for (const { op, domain, inputs } of model.graph.nodes) {
    const condition = op === "If" && domain === "" ? inputs[0] : undefined;
    const value = condition && found.known.get(condition);
    if (condition && value) conditions.set(condition.name, toNumbers(value)[0] !== 0);
  }
  const written = conditions.size > 0 ? inlineBranches(model, conditions) : model;
  return written === model ? { ...found, model } : observeBranches(written, runtime, feeds, wanted);
}
