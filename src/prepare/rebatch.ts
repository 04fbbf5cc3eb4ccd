// A model made for one batch size, for another: declared batch dimensions are opened, and constants that spell the old
// size are rewritten. Nothing is taken on trust: two batches of real samples go through the model as it was, both
// together through the edited one, and every value must come out as the two stacked. A node where that fails is mended
// if it can be (a batch that does not lie outermost), or named in the refusal.
import { DistillError } from "../base/errors.ts";
import { takeSamples } from "../base/samples.ts";
import { formatShape, isFloat, type Tensor, tensor, toNumbers } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import { type AddedNode, editModel, type ModelEdits } from "../onnx/edit-model.ts";
import type { Model } from "../onnx/model.ts";
import { failedNode } from "../runtime/failed-node.ts";
import type { Runtime, Tensors } from "../runtime/session.ts";
import { type BatchContext, type BatchEdit, concatAlong, guessEdits, reshapeAlong } from "./batch-edits.ts";
import { runFor, valuesOf } from "./run-values.ts";
import { axesFor, nearlyEqual, stackedAt } from "./stacked.ts";

export interface RebatchOptions {
  readonly runtime: Runtime;
  /** The batch size that the model was made for. */
  readonly fixed: number;
  readonly batch: number;
  /** Samples to prove it on, [n, …] by input name; taken again where there are fewer than two batches. */
  readonly feeds: Tensors;
  /** The values that are wanted; what they do not need is left out. */
  readonly wanted: readonly string[];
}

/**
 * The model for batches of `batch` samples: same names, with the nodes and values that `wanted` need. Its first dimension
 * is open where the edits allow any size, `batch` where they name it.
 *
 * Errors: E_MODEL for a model whose graph allows no other batch size than its own, naming the node and its constant, or one
 * in which a sample's result depends on the others in its batch.
 *
 * @example
 * const model = await rebatch(student, { runtime, fixed: 1, batch: 128, feeds, wanted: ["logits"] });
 */
export async function rebatch(model: Model, o: RebatchOptions): Promise<Model> {
  const inputs = model.inputs.filter((i) => i.dims[0] === o.fixed).map((i) => i.name);
  const pruned = editModel(model, { batch: { inputs }, outputs: o.wanted });
  const plan = await Plan.make(pruned, o);
  await plan.prove();
  const edited = editModel(pruned, plan.edits(o.batch));
  return plan.sized ? editModel(edited, { batch: { inputs, size: o.batch } }) : edited;
}

class Plan {
  readonly #model: Model;
  readonly #o: RebatchOptions;
  readonly #context: BatchContext;
  /** What two batches of the old size give, value by value. */
  readonly #alone: readonly [Tensors, Tensors];
  readonly #together: Tensors;
  readonly #edits = new Map<Node, Map<number, BatchEdit>>();
  /** Axes that the batch was tried along, by node. */
  readonly #tried = new Map<Node, Set<number>>();

  static async make(model: Model, o: RebatchOptions): Promise<Plan> {
    const samples = Object.values(o.feeds)[0]?.dims[0] ?? 1;
    const take = (from: number, n: number): Tensors => {
      const at = Array.from({ length: n }, (_, i) => (from + i) % samples);
      return Object.fromEntries(
        model.inputs.map(({ name }) => [name, takeSamples(o.feeds[name] as Tensor, at)]),
      );
    };
    const [first, second] = [take(0, o.fixed), take(o.fixed, o.fixed)];
    const alone = await runFor(valuesOf(model.graph.nodes), model, o.runtime, [first, second]);
    return new Plan(model, o, alone as [Tensors, Tensors], take(0, 2 * o.fixed));
  }

  private constructor(model: Model, o: RebatchOptions, alone: [Tensors, Tensors], together: Tensors) {
    this.#model = model;
    this.#o = o;
    this.#alone = alone;
    this.#together = together;
    const { constants } = model.graph;
    const fed = new Set<Value>(model.graph.inputs);
    for (const node of model.graph.nodes)
      if (node.inputs.some((x) => x && fed.has(x))) for (const y of node.outputs) if (y) fed.add(y);
    this.#context = {
      fixed: o.fixed,
      dims: (v) => (alone[0][v.name] ?? constants.get(v))?.dims,
      constant: (v) => constants.get(v) ?? alone[0][v.name],
      fed: (v) => fed.has(v),
    };
    for (const node of model.graph.nodes) this.#edits.set(node, guessEdits(node, this.#context));
  }

  /** Edits the model until both batches together come out as they do apart. */
  async prove(): Promise<void> {
    const { nodes } = this.#model.graph;
    const beyond = new Set<Node>();
    for (;;) {
      let found: Tensors;
      try {
        found = await this.#runTogether(nodes.filter((n) => !beyond.has(n)));
      } catch (error) {
        const failed = nodes.find((n) => n.name === failedNode(error));
        if (!failed || beyond.has(failed)) throw this.#refused(failed, error);
        // Without it and all that depends on it, what comes before can be looked at.
        beyond.add(failed);
        for (const n of nodes) if (n.inputs.some((x) => x?.producer && beyond.has(x.producer))) beyond.add(n);
        continue;
      }
      const { wrong, outer } = this.#compare(found);
      const failed = nodes.find((n) => beyond.has(n));
      const all = wrong.length > 0 || !failed ? wrong : [failed];
      if (all.length === 0) return;
      for (const bad of all) {
        // What a node can't take may have been made so by a Reshape before it, which fits in more than one way.
        const before = this.#nodesBefore(bad).filter((n) => n.op === "Reshape");
        if (![bad, ...before].some((n) => this.#mend(n, outer))) throw this.#refused(bad);
      }
      beyond.clear();
    }
  }

  async #runTogether(nodes: readonly Node[]): Promise<Tensors> {
    const { fixed, runtime } = this.#o;
    const edited = editModel(this.#model, this.edits(2 * fixed));
    return (await runFor(valuesOf(nodes), edited, runtime, [this.#together]))[0] as Tensors;
  }

  /**
   * The first nodes whose output is not the two batches' outputs stacked (those after them are wrong anyway), and into how many
   * pieces every value that is one is cut by what lies outside the batch. What follows from shapes alone may differ.
   */
  #compare(found: Tensors): { wrong: Node[]; outer: ReadonlyMap<Value, number> } {
    const outer = new Map<Value, number>(this.#model.graph.inputs.map((x) => [x, 1]));
    const wrong: Node[] = [];
    const tainted = new Set<Value>();
    for (const node of this.#model.graph.nodes) {
      const before = node.inputs.some((x) => x && tainted.has(x));
      let right = !before;
      for (const y of node.outputs)
        if (right && y && this.#context.fed(y)) {
          const at = this.#placeOf(y, found);
          if (at === "wrong") right = false;
          else if (at !== undefined) outer.set(y, at);
        }
      if (right) continue;
      if (!before) wrong.push(node);
      for (const y of node.outputs) if (y) tainted.add(y);
    }
    return { wrong, outer };
  }

  #placeOf(y: Value, found: Tensors): number | "wrong" | undefined {
    const [a, b, both] = [this.#alone[0][y.name], this.#alone[1][y.name], found[y.name]];
    if (!a || !b || !both) return undefined;
    const at = stackedAt(a, b, both);
    if (at !== undefined || !isFloat(a.dtype)) return at;
    const depends = this.#o.wanted.includes(y.name) || !nearlyEqual(a, both) || !nearlyEqual(b, both);
    return depends ? "wrong" : undefined;
  }

  /** Another edit for a node, one that was not tried, now that it is known where the batch lies in what it takes. */
  #mend(node: Node, outer: ReadonlyMap<Value, number>): boolean {
    const at = node.inputs.map((x) => x && outer.get(x)).find((p) => p !== undefined);
    const dims = node.outputs[0] && this.#context.dims(node.outputs[0]);
    if (at === undefined || node.domain !== "" || !(node.op === "Reshape" || node.op === "Concat"))
      return false;
    const edits = this.#edits.get(node) as Map<number, BatchEdit>;
    const tried = this.#tried.get(node) ?? new Set(edits.size > 0 ? [0] : []);
    this.#tried.set(node, tried);
    const axis = axesFor(dims, at, this.#o.fixed).find((a) => !tried.has(a));
    if (axis === undefined) return false;
    tried.add(axis);
    if (node.op === "Concat") {
      edits.clear();
      concatAlong(node, this.#context, axis, edits);
      return edits.size > 0;
    }
    const edit = reshapeAlong(node, this.#context, axis);
    if (!edit) return false;
    edits.set(1, edit);
    // Blocks repeat: what was right for one is the better guess for those that come after it.
    for (const other of this.#model.graph.nodes)
      if (other.op === "Reshape" && !this.#tried.has(other) && this.#shapes(other) === this.#shapes(node)) {
        this.#tried.set(other, new Set([axis]));
        this.#edits.get(other)?.set(1, edit);
      }
    return true;
  }

  #shapes({ inputs, outputs }: Node): string {
    return [inputs[0], outputs[0]].map((v) => formatShape((v && this.#context.dims(v)) ?? [])).join();
  }

  /** Whether the edits name the batch size themselves, so that the edited model works for one alone. */
  get sized(): boolean {
    return [...this.#edits.values()].some((edits) => [...edits.values()].some((e) => e.kind !== "shape"));
  }

  /** All edits, for a batch of `batch`. */
  edits(batch: number): ModelEdits {
    const constants = new Map<string, Tensor>();
    const nodes: AddedNode[] = [];
    const rewired = new Map<string, Map<number, string>>();
    for (const [node, edits] of this.#edits) {
      const y = node.outputs.find((v) => v !== undefined);
      if (!y || edits.size === 0) continue;
      const slots = new Map<number, string>();
      for (const [slot, edit] of edits) {
        const operand = this.#model.graph.freeName(`${y.name}/batch/${slot}`);
        slots.set(slot, operand);
        if (edit.kind === "shape") constants.set(operand, tensor("int64", edit.dims));
        else if (edit.kind === "sizes") constants.set(operand, tensor("int64", [batch, ...edit.rest]));
        else {
          const x = node.inputs[slot] as Value;
          const repeats = this.#repeats(node, x, edit.axis, batch);
          const held = this.#context.constant(x);
          if (edit.kind === "copies" && held) {
            const at = Array.from({ length: batch }, (_, i) => i % this.#o.fixed);
            constants.set(operand, takeSamples(held, at, edit.axis));
            continue;
          }
          constants.set(`${operand}/repeats`, tensor("int64", repeats));
          // Expand is the cheaper, but only repeats what is there once.
          const op = this.#o.fixed === 1 ? "Expand" : "Tile";
          nodes.push({ op, name: operand, inputs: [x.name, `${operand}/repeats`], outputs: [operand] });
        }
      }
      rewired.set(y.name, slots);
    }
    return { constants, nodes, rewired };
  }

  #repeats(node: Node, x: Value, axis: number, batch: number): number[] {
    const dims = this.#context.dims(x) ?? [];
    const { fixed } = this.#o;
    if (dims[axis] !== fixed || batch % fixed !== 0)
      throw new DistillError(
        "E_MODEL",
        `${this.#model.source}: made for a batch of ${fixed}, and node ${node.op} "${node.name}" takes "${x.name}" ${formatShape(dims)}, which can't be repeated for a batch of ${batch}; train with a multiple of ${fixed}, or export the model with a dynamic first dimension`,
      );
    return dims.map((_, i) => (i === axis ? batch / fixed : 1));
  }

  #refused(node: Node | undefined, cause?: unknown): DistillError {
    const { source } = this.#model;
    const { fixed } = this.#o;
    const blamed = node && (this.#tying(node) ? node : (this.#reshapeBefore(node) ?? node));
    const operand = blamed && this.#tying(blamed);
    const where = blamed && `node ${blamed.op} "${blamed.name}"`;
    const why = !where
      ? `it does not run with another${cause instanceof Error ? ` (${cause.message})` : ""}`
      : operand
        ? `${where} allows no other, because of its constant "${operand.name}" ${this.#spell(operand)}`
        : cause
          ? `${where} does not run with another`
          : `${where} mixes the samples of a batch`;
    return new DistillError(
      "E_MODEL",
      `${source}: made for a batch of ${fixed}, and ${why}; train with a batch of ${fixed}, or export the model with a dynamic first dimension`,
      { cause },
    );
  }

  /** The constant that ties a node to the batch size: whole numbers (a shape, axes), or one part for each sample. */
  #tying(node: Node): Value | undefined {
    return node.inputs.find((x) => {
      const t = x && !this.#context.fed(x) && this.#context.constant(x);
      if (!t || t.dims.length === 0) return false;
      return isFloat(t.dtype) ? this.#o.fixed > 1 && t.dims[0] === this.#o.fixed : true;
    });
  }

  /** The nearest Reshape to a constant shape among what a node depends on. */
  #reshapeBefore(node: Node): Node | undefined {
    return this.#nodesBefore(node).find(
      (n) => n.op === "Reshape" && n.domain === "" && this.#tying(n) !== undefined,
    );
  }

  /** What a node depends on, nearest first. */
  #nodesBefore(node: Node): Node[] {
    const above = new Set<Value | undefined>(node.inputs);
    return this.#model.graph.nodes.toReversed().filter((n) => {
      if (n === node || !n.outputs.some((y) => y && above.has(y))) return false;
      for (const x of n.inputs) above.add(x);
      return true;
    });
  }

  #spell(operand: Value): string {
    const t = this.#context.constant(operand) as Tensor;
    return t.data.length <= 8 && !isFloat(t.dtype) ? `(${toNumbers(t).join(", ")})` : formatShape(t.dims);
  }
}
