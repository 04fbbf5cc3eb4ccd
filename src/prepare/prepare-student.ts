// The form in which a student is trained, and the way back to the user's own file. Everything that can be refused is
// refused here, before the first step.
import { DistillError } from "../base/errors.ts";
import { takeSamples } from "../base/samples.ts";
import type { Tensor } from "../base/tensor.ts";
import { valueNamed } from "../compile/compile-step.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { type ExportedModel, withWeights } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import { type Observation, observe } from "../runtime/observe.ts";
import { observeBranches } from "../runtime/observe-branches.ts";
import type { Runtime, Tensors } from "../runtime/session.ts";
import type { OutputKind } from "../strategies/index.ts";
import { fixedBatchOf } from "./fixed-batch.ts";
import { describeLogits, type Logits, logitsOf, withLogits } from "./logits.ts";
import { describeRebatched } from "./prepare-teacher.ts";
import { rebatch } from "./rebatch.ts";

export interface PrepareStudentOptions {
  readonly runtime: Runtime;
  readonly batch: number;
  /** A batch of samples by input name. */
  readonly feeds: Tensors;
  /** The output that was asked for; default: the first of floats. */
  readonly logits?: string | undefined;
  readonly activation: OutputKind;
  readonly taps: readonly { readonly name: string; readonly student: string }[];
}

export interface PreparedStudent {
  /** The user's own model, with the branches written out that it takes. */
  readonly own: Model;
  /** What is compiled and trained. */
  readonly model: Model;
  readonly logits: Logits;
  /** Of `model`, at the run's batch. */
  readonly observation: Observation;
  readonly notes: readonly string[];
  /** What run.json records of the preparation. */
  readonly record: Readonly<Record<string, unknown>>;
  /** The user's own graph with the weights and statistics of `model` in it. */
  export(state: ReadonlyMap<string, Tensor>): ExportedModel;
}

/**
 * Errors: E_NAME for logits or taps that do not exist; E_MODEL for a model that allows no other batch size than its own, as
 * `rebatch`.
 */
export async function prepareStudent(file: Model, o: PrepareStudentOptions): Promise<PreparedStudent> {
  const student = await withBranches(file, o);
  const logits = logitsOf(student, o.logits, o.activation, "the student");
  const said = describeLogits(logits, "the student");
  const notes = said ? [said] : [];
  for (const { name, student: value } of o.taps) valueNamed(student, value, `tap "${name}"`);
  const asked = withLogits(student, logits);
  const { fixed, ...batched } = await atBatch(asked, logits, o);
  if (fixed !== undefined) notes.push(describeRebatched("the student", fixed, o.batch));
  return {
    own: student,
    ...batched,
    logits,
    notes,
    record: { logits: logits.value, ...(fixed !== undefined && { madeForBatch: fixed }) },
    export: (state) => withWeights(student, state),
  };
}

/** Conditions may follow from shapes, so they are asked for in a batch that the model surely takes. */
async function withBranches(file: Model, o: PrepareStudentOptions): Promise<Model> {
  if (!file.graph.nodes.some((n) => n.op === "If" && n.domain === "")) return file;
  const n = Object.values(o.feeds)[0]?.dims[0] ?? 1;
  const at = Array.from({ length: fixedBatchOf(file) ?? o.batch }, (_, i) => i % n);
  const feeds = Object.fromEntries(Object.entries(o.feeds).map(([name, t]) => [name, takeSamples(t, at)]));
  return (await observeBranches(file, o.runtime, feeds)).model;
}

interface AtBatch {
  readonly model: Model;
  readonly observation: Observation;
  /** The batch size that the model was made for, where it had to be rebatched. */
  readonly fixed?: number;
}

async function atBatch(model: Model, logits: Logits, o: PrepareStudentOptions): Promise<AtBatch> {
  const { runtime, batch, feeds } = o;
  const wanted = [...new Set([logits.value, ...o.taps.map((t) => t.student)])].filter(
    (name) => model.graph.find(name)?.producer,
  );
  const rebatched = async (fixed: number): Promise<AtBatch> => {
    const made = await rebatch(model, { runtime, batch, feeds, fixed, wanted });
    return { model: made, observation: await observe(made, runtime, feeds), fixed };
  };
  const fixed = fixedBatchOf(model);
  if (fixed !== undefined && fixed !== batch) return rebatched(fixed);
  let problem: unknown;
  try {
    const observation = await observe(model, runtime, feeds);
    const { dims } = typeOf(model.graph.find(logits.value) as Value);
    if (dims.slice(0, 2).includes(batch)) return { model, observation };
  } catch (error) {
    if (!(error instanceof DistillError) || error.code !== "E_RUNTIME") throw error;
    problem = error;
  }
  // The first dimension is open, but constants inside may still spell the batch of one that the model was exported with.
  try {
    return await rebatched(1);
  } catch (error) {
    if (error instanceof DistillError && error.code === "E_MODEL") throw error;
    throw problem ?? error;
  }
}
