// What ties a graph to one batch size, op by op, and how each is loosened: constants that spell the batch (in Reshape,
// Expand, Resize), and constants that have one copy per sample (in Concat, initial states). Guesses only; rebatch.ts holds
// every guess to what the model computes.
import { sizeOf, type Tensor, toNumbers } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import { AttributeReader } from "../ops/attributes.ts";

/** What an input slot of a node takes instead. */
export type BatchEdit =
  /** Another shape, the same for every batch size. */
  | { readonly kind: "shape"; readonly dims: readonly number[] }
  /** Sizes that begin with the batch size. */
  | { readonly kind: "sizes"; readonly rest: readonly number[] }
  /** The value that it takes, repeated along an axis until it fits; it may be trained. */
  | { readonly kind: "repeat"; readonly axis: number }
  /** The same of a constant that is not trained, as a constant. */
  | { readonly kind: "copies"; readonly axis: number };

export interface BatchContext {
  /** The batch size that the model was made for. */
  readonly fixed: number;
  /** Shapes at that batch size. */
  readonly dims: (value: Value) => readonly number[] | undefined;
  /** The numbers of a constant, or of a value that follows from constants alone. */
  readonly constant: (value: Value) => Tensor | undefined;
  /** Whether a value depends on the model's inputs. */
  readonly fed: (value: Value) => boolean;
}

/** The edits of one node by input slot, as if the batch lay outermost in everything that is fed. */
export function guessEdits(node: Node, c: BatchContext): Map<number, BatchEdit> {
  const edits = new Map<number, BatchEdit>();
  const rule = node.domain === "" ? rules[node.op] : undefined;
  rule?.(node, c, edits);
  return edits;
}

type Rule = (node: Node, c: BatchContext, edits: Map<number, BatchEdit>) => void;

/** A rule about the constant in slot `slot` of a node whose first input is fed. */
const onConstant =
  (
    slot: number,
    make: (numbers: readonly number[], node: Node, c: BatchContext) => BatchEdit | undefined,
  ): Rule =>
  (node, c, edits) => {
    const [x, operand] = [node.inputs[0], node.inputs[slot]];
    if (!x || !operand || !c.fed(x)) return;
    const known = c.fed(operand) ? undefined : c.constant(operand);
    const edit = known && make(toNumbers(known), node, c);
    if (edit) edits.set(slot, edit);
  };

const initialStates: Rule = (node, c, edits) => {
  const batchFirst = new AttributeReader(node.attributes, node.name).int("layout", 0) === 1;
  for (const slot of [5, 6]) {
    const state = node.inputs[slot];
    if (state && !c.fed(state)) edits.set(slot, { kind: "copies", axis: batchFirst ? 0 : 1 });
  }
};

const rules: Readonly<Record<string, Rule>> = {
  Reshape: onConstant(1, (target, node, c) =>
    target[0] === 0 || target[0] === -1 ? undefined : reshapeAlong(node, c, 0),
  ),
  Expand: onConstant(1, (target, node, c) => {
    const x = c.dims(node.inputs[0] as Value);
    if (c.fixed === 1 || target[0] !== c.fixed || x?.length !== target.length) return undefined;
    return { kind: "shape", dims: [1, ...target.slice(1)] };
  }),
  Resize: onConstant(3, (sizes, _, c) =>
    sizes[0] === c.fixed ? { kind: "sizes", rest: sizes.slice(1) } : undefined,
  ),
  Concat: (node, c, edits) => concatAlong(node, c, 0, edits),
  LSTM: initialStates,
  GRU: initialStates,
  RNN: initialStates,
};

/** A Reshape to the shape that it has now, but with axis `axis` left to be found. */
export function reshapeAlong(node: Node, c: BatchContext, axis: number): BatchEdit | undefined {
  const out = node.outputs[0] && c.dims(node.outputs[0]);
  const size = out?.[axis];
  if (!out || size === undefined || size % c.fixed !== 0 || sizeOf(out) === 0) return undefined;
  return { kind: "shape", dims: out.map((d, i) => (i === axis ? -1 : d)) };
}

/** Inputs of a Concat that are not fed, repeated along the batch axis of the others. */
export function concatAlong(
  node: Node,
  c: BatchContext,
  batchAxis: number,
  edits: Map<number, BatchEdit>,
): void {
  const rank = node.outputs[0] && c.dims(node.outputs[0])?.length;
  const axis = new AttributeReader(node.attributes, node.name).int("axis");
  if (rank === undefined || (axis < 0 ? axis + rank : axis) === batchAxis) return;
  if (!node.inputs.some((x) => x && c.fed(x))) return;
  node.inputs.forEach((x, slot) => {
    if (x && !c.fed(x)) edits.set(slot, { kind: "repeat", axis: batchAxis });
  });
}
