// The form in which a student is trained, and the way back to the user's own file. Everything that can be refused is
// refused here, before the first step.
import { DistillError } from "../base/errors.ts";
import { takeSamples } from "../base/samples.ts";
import type { Tensor } from "../base/tensor.ts";
import { likelyWeights, neededBy } from "../compile/check-path.ts";
import { valueNamed } from "../compile/compile-step.ts";
import type { PaddingRows } from "../compile/padding-rows.ts";
import type { ConstantEntry } from "../compile/role-table.ts";
import { frozenNames } from "../compile/roles.ts";
import { pathTo } from "../compile/student-forward.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { type ExportedModel, withWeights } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import { tableKey } from "../ops/builder.ts";
import { ofOptimizer } from "../ops/emit-node.ts";
import { unregisteredNode } from "../runtime/failed-node.ts";
import { type Observation, observe } from "../runtime/observe.ts";
import { observeBranches } from "../runtime/observe-branches.ts";
import type { Runtime, Tensors } from "../runtime/session.ts";
import type { OutputKind } from "../strategies/index.ts";
import { fixedBatchOf } from "./fixed-batch.ts";
import { foldBatchNorm } from "./fold-batch-norm.ts";
import { type FreshWeights, freshWeights } from "./fresh-weights.ts";
import { describeLeft, type InsertedBatchNorm, insertBatchNorm } from "./insert-batch-norm.ts";
import { describeChoice, describeLogits, type Logits, logitsOf, refuseSorted, withLogits } from "./logits.ts";
import { bareConvolutions, describeBareConvolutions } from "./normalization.ts";
import { describeRebatched } from "./prepare-teacher.ts";
import { rebatch } from "./rebatch.ts";
import { findTies, type Tie, tieEntries, withTiedValues, withTies, withUntied } from "./tied-weights.ts";
import type { WeightInit } from "./weight-init.ts";

export interface PrepareStudentOptions {
  readonly runtime: Runtime;
  readonly batch: number;
  /** A batch of samples by input name. */
  readonly feeds: Tensors;
  /** The output that was asked for; default: the first of floats. */
  readonly logits?: string | undefined;
  readonly activation: OutputKind;
  readonly taps: readonly { readonly name: string; readonly student: string }[];
  /** Default "keep". */
  readonly init?: WeightInit | undefined;
  /** Of fresh weights; default 0. */
  readonly seed?: number | undefined;
  readonly freeze?: readonly string[] | undefined;
  readonly train?: readonly string[] | undefined;
  readonly untie?: readonly string[] | undefined;
  readonly paddingRows?: PaddingRows | undefined;
  readonly insertBatchNorm?: boolean | undefined;
}

export interface PreparedStudent {
  /** The user's own model, with the branches written out that it takes. */
  readonly own: Model;
  /** What is compiled and trained. */
  readonly model: Model;
  readonly logits: Logits;
  /** Of `model`, at the run's batch. */
  readonly observation: Observation;
  /** First values that are not those of `model`. */
  readonly values: ReadonlyMap<string, Tensor>;
  /** Constants that follow others (see `findTies`). */
  readonly ties: readonly ConstantEntry[];
  readonly notes: readonly string[];
  /** What run.json records of the preparation. */
  readonly record: Readonly<Record<string, unknown>>;
  /** The user's own graph with the weights and statistics of `model` in it. */
  export(state: ReadonlyMap<string, Tensor>): ExportedModel;
}

/**
 * Errors: E_NAME for logits or taps that do not exist; E_MODEL for a model that allows no other batch size than its own, as
 * `rebatch`; E_OPTION where BatchNormalization cannot be inserted, as `insertBatchNorm`.
 */
export async function prepareStudent(file: Model, o: PrepareStudentOptions): Promise<PreparedStudent> {
  const { init = "keep", seed = 0, freeze = [], train = [], untie = [], paddingRows } = o;
  const own = withUntied(await withBranches(file, o), untie);
  const ties = findTies(own, { untie, frozen: frozenNames({ freeze, train }, own) });
  const logits = logitsOf(own, o.logits, o.activation, "the student");
  if (o.activation !== "identity") refuseSorted(own, logits, "the student");
  for (const { name, student: value } of o.taps) valueNamed(own, value, `tap "${name}"`);
  const batched = await atBatch(withLogits(withTies(own, ties), logits), logits, o).catch(
    (error: unknown) => {
      throw unknownToRuntime(own, o.runtime, error);
    },
  );
  const notes: (string | undefined)[] = [
    describeChoice(own, o.logits, logits, o.activation, "the student", "--student-logits"),
    describeLogits(logits, "the student"),
    batched.fixed === undefined ? undefined : describeRebatched("the student", batched.fixed, o.batch),
    describeTies(ties),
  ];
  const wanted = [logits.value, ...o.taps.map((t) => t.student)].map((name) =>
    valueNamed(batched.model, name, "logits"),
  );
  const { known } = batched.observation;

  const fresh =
    init === "keep"
      ? undefined
      : freshWeights(batched.model, { init, seed, freeze, train, paddingRows, wanted, known });
  if (fresh) notes.push(describeFresh(fresh, init, seed));

  if (!o.insertBatchNorm) notes.push(describeBareConvolutions(bareConvolutions(batched.model)));
  const inserted =
    o.insertBatchNorm &&
    (await insertBatchNorm(batched.model, {
      runtime: o.runtime,
      own,
      logits: wanted[0] as Value,
      path: pathTo(batched.model, wanted, known),
      frozen: frozenNames({ freeze, train }, batched.model),
      feeds: fresh ? undefined : o.feeds,
    }));
  if (inserted) notes.push(describeInserted(inserted, fresh === undefined));

  const model = inserted ? inserted.model : batched.model;
  return {
    own,
    model,
    logits,
    observation: inserted
      ? { ...(await observe(model, o.runtime, o.feeds)), seen: batched.observation.seen }
      : batched.observation,
    values: fresh?.values ?? new Map(),
    ties: tieEntries(own, ties),
    notes: notes.filter((note) => note !== undefined),
    record: {
      logits: logits.value,
      ...(batched.fixed !== undefined && { madeForBatch: batched.fixed }),
      ...(inserted && { batchNorm: inserted.folds.map((f) => f.weight) }),
    },
    export: (state) => {
      const all = withTiedValues(state, ties);
      return inserted ? withWeights(inserted.own, foldBatchNorm(all, inserted.folds)) : withWeights(own, all);
    },
  };
}

function describeTies(ties: readonly Tie[]): string | undefined {
  if (ties.length === 0) return undefined;
  const pairs = ties.map(
    ({ name, of, transposed }) => `"${name}" is ${transposed ? "the transpose of " : ""}"${of}"`,
  );
  return `tied, because the file holds one weight twice: ${listed(pairs)}; --untie trains them apart`;
}

function describeFresh({ values, kept }: FreshWeights, init: WeightInit, seed: number): string {
  const stayed = kept.length === 0 ? "" : `; as they were, because their part is not known: ${listed(kept)}`;
  return `fresh weights (${init}, seed ${seed}) in ${values.size} constants${stayed}`;
}

function describeInserted({ folds, left }: InsertedBatchNorm, kept: boolean): string {
  const all = folds.length + left.length;
  const without = left.length === 0 ? "" : `; not after ${describeLeft(left)}`;
  const begins = kept
    ? "; the student begins as it is (fresh weights, --init, learn faster if it was not trained before)"
    : "";
  return `BatchNormalization after ${folds.length} of ${all} convolutions while training, folded into their weights in the exported student${without}${begins}`;
}

function listed(items: readonly string[]): string {
  const shown = items.slice(0, 5).join(", ");
  return items.length > 5 ? `${shown} and ${items.length - 5} more` : shown;
}

/** Conditions may follow from shapes, so they are asked for in a batch that the model surely takes. */
async function withBranches(file: Model, o: PrepareStudentOptions): Promise<Model> {
  if (!file.graph.nodes.some((n) => n.op === "If" && n.domain === "")) return file;
  const n = Object.values(o.feeds)[0]?.dims[0] ?? 1;
  const at = Array.from({ length: fixedBatchOf(file) ?? o.batch }, (_, i) => i % n);
  const feeds = Object.fromEntries(Object.entries(o.feeds).map(([name, t]) => [name, takeSamples(t, at)]));
  return (await observeBranches(file, o.runtime, feeds)).model;
}

/** The error of a model that the runtime does not load because of an op of its author's own, said with its node and weight. */
function unknownToRuntime(model: Model, runtime: Runtime, error: unknown): unknown {
  const node = unregisteredNode(model.graph.nodes, error);
  if (!node) return error;
  const weight = neededBy(node, model.graph.nodes, likelyWeights(model));
  return new DistillError(
    "E_OP",
    `${model.source}: ${runtime.name} has no op ${tableKey(node.op, node.domain)} (node "${node.name}"${weight === undefined ? "" : `, needed by "${weight}"`}), so the model cannot be run; ${ofOptimizer(node) ? "it is from a file that ONNX Runtime has optimised for a processor: give the original, from the exporter" : "export it with standard ops in its place"}`,
    { cause: error },
  );
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
    return { model: made, observation: await observe(made, runtime, feeds, [logits.value]), fixed };
  };
  const fixed = fixedBatchOf(model);
  if (fixed !== undefined && fixed !== batch) return rebatched(fixed);
  let problem: unknown;
  try {
    const observation = await observe(model, runtime, feeds, [logits.value]);
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
