// What a constant is to the layer that takes it: weights with so many inputs, a bias, a scale, an embedding. Read from the
// op and the slot, through transposes and reshapes; by that a fresh value is chosen (fresh-weights.ts).
import { sizeOf } from "../base/tensor.ts";
import { type Node, usersOf, type Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { AttributeReader } from "../ops/attributes.ts";
import { tableKey } from "../ops/builder.ts";

export type Fill =
  /** Each of fanOut outputs is a sum over fanIn products. */
  | { readonly kind: "weights"; readonly fanIn: number; readonly fanOut: number }
  /** Rows that are looked up, positions that are added, tokens that are put in front. */
  | { readonly kind: "embedding" }
  /** Weights of a recurrent layer with so many hidden units. */
  | { readonly kind: "recurrent"; readonly hidden: number }
  /** Biases [directions, 2·4·H] of an LSTM, its gates in the order i, o, f, c. */
  | { readonly kind: "lstm-bias"; readonly hidden: number }
  /** A bias (0), a scale (1), a slope. */
  | { readonly kind: "value"; readonly value: number };

/** What the nodes of `path` take each constant for; constants that none of them takes as a part of a layer are left out. */
export function fillsOf(model: Model, path: readonly Node[]): Map<Value, Fill> {
  const users = usersOf(model.graph);
  const onPath = new Set(path);
  const fills = new Map<Value, Fill>();
  for (const constant of model.graph.constants.keys()) {
    const found = usesOf(constant, users)
      .filter((use) => onPath.has(use.node))
      .map(fillOf)
      .filter((fill) => fill !== undefined);
    // Tied weights, of an embedding and of the layer that gives the logits, are an embedding.
    const fill = found.find((f) => f.kind === "embedding") ?? found[0];
    if (fill) fills.set(constant, fill);
  }
  return fills;
}

interface Use {
  readonly node: Node;
  readonly slot: number;
  /** Shape that the node sees. */
  readonly dims: readonly number[];
}

const viewOps = new Set(["Transpose", "Reshape", "Identity", "Cast", "Unsqueeze", "Squeeze", "Flatten"]);

function usesOf(value: Value, users: ReadonlyMap<Value, readonly Node[]>): Use[] {
  return (users.get(value) ?? []).flatMap((node) => {
    const view = node.domain === "" && viewOps.has(node.op) && node.inputs[0] === value && node.outputs[0];
    if (view) return usesOf(view, users);
    return node.inputs.flatMap((x, slot) =>
      x === value && value.type ? [{ node, slot, dims: value.type.dims }] : [],
    );
  });
}

type FillRule = (use: Use, attr: AttributeReader) => Fill | undefined;

const value = (v: number): Fill => ({ kind: "value", value: v });
const embedding: Fill = { kind: "embedding" };
const weights = (fanIn: number, fanOut: number): Fill => ({ kind: "weights", fanIn, fanOut });
const bySlot =
  (slots: Readonly<Record<number, Fill>>): FillRule =>
  ({ slot }) =>
    slots[slot];
/** Whether a constant that is added or multiplied has one number per neuron. */
const isVector = (dims: readonly number[]): boolean => dims.filter((d) => d > 1).length <= 1;
const at = (dims: readonly number[], i: number): number => dims.at(i) ?? 1;

const conv: FillRule = ({ slot, dims }) => {
  const kernel = sizeOf(dims.slice(2));
  if (slot === 1) return weights(at(dims, 1) * kernel, at(dims, 0) * kernel);
  return slot === 2 ? value(0) : undefined;
};

/** [C, M / groups, …]: an output element is a sum over one of `stride` kernel elements in each direction. */
const convTranspose: FillRule = ({ slot, dims }, attr) => {
  const kernel = sizeOf(dims.slice(2));
  const group = attr.int("group", 1);
  const strides = sizeOf(attr.ints("strides", [1]));
  if (slot === 1) return weights((at(dims, 0) * kernel) / group / strides, at(dims, 1) * group * kernel);
  return slot === 2 ? value(0) : undefined;
};

/** A factor [.., in, out] on the right, [.., out, in] on the left; a flag swaps the two. */
const product: FillRule = ({ slot, dims }, attr) => {
  if (slot === 2) return value(0);
  if (slot > 1) return undefined;
  if (dims.length < 2) return weights(at(dims, 0), 1);
  const swapped = attr.int(slot === 0 ? "transA" : "transB", 0) !== 0;
  const [rows, columns] = swapped ? [at(dims, -1), at(dims, -2)] : [at(dims, -2), at(dims, -1)];
  return slot === 1 ? weights(rows, columns) : weights(columns, rows);
};

/** Labels that vanish in the output are summed over; those that only this operand has are its outputs. */
const einsum: FillRule = ({ slot, dims }, attr) => {
  const [left = "", output] = attr.string("equation").replaceAll(" ", "").split("->");
  const terms = left.split(",");
  const own = [...(terms[slot] ?? "")];
  if (left.includes(".") || output === undefined || own.length !== dims.length || terms.length !== 2)
    return undefined;
  const other = terms[1 - slot] ?? "";
  const size = (keep: (label: string) => boolean) => sizeOf(dims.filter((_, i) => keep(own[i] as string)));
  return weights(
    size((l) => !output.includes(l)),
    size((l) => output.includes(l) && !other.includes(l)),
  );
};

const recurrent: FillRule = ({ node, slot }, attr) => {
  const hidden = attr.int("hidden_size");
  if (slot === 1 || slot === 2) return { kind: "recurrent", hidden };
  if (slot !== 3) return undefined;
  return node.op === "LSTM" ? { kind: "lstm-bias", hidden } : value(0);
};

const added: FillRule = ({ dims }) => (isVector(dims) ? value(0) : embedding);
const scaleAndBias = bySlot({ 1: value(1), 2: value(0) });
const lookedUp = bySlot({ 0: embedding });
const biasAfter = bySlot({ 1: value(0) });

const rules: Readonly<Record<string, FillRule>> = {
  Conv: conv,
  "com.microsoft::FusedConv": conv,
  ConvTranspose: convTranspose,
  Gemm: product,
  "com.microsoft::FusedGemm": product,
  MatMul: product,
  "com.microsoft::FusedMatMul": product,
  Einsum: einsum,
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  BatchNormalization: bySlot({ 1: value(1), 2: value(0), 3: value(0), 4: value(1) }),
  InstanceNormalization: scaleAndBias,
  GroupNormalization: scaleAndBias,
  LayerNormalization: scaleAndBias,
  RMSNormalization: scaleAndBias,
  SimplifiedLayerNormalization: scaleAndBias,
  "com.microsoft::SimplifiedLayerNormalization": scaleAndBias,
  "com.microsoft::SkipLayerNormalization": bySlot({ 2: value(1), 3: value(0), 4: value(0) }),
  "com.microsoft::SkipSimplifiedLayerNormalization": bySlot({ 2: value(1), 3: value(0) }),
  "com.microsoft::EmbedLayerNormalization": bySlot({
    2: embedding,
    3: embedding,
    4: embedding,
    5: value(1),
    6: value(0),
  }),
  "com.microsoft::Attention": ({ slot, dims }) =>
    slot === 1 ? weights(at(dims, 0), at(dims, 1) / 3) : slot === 2 ? value(0) : undefined,
  "com.microsoft::MultiHeadAttention": bySlot({ 3: value(0) }),
  "com.microsoft::BiasGelu": biasAfter,
  "com.microsoft::FastGelu": biasAfter,
  PRelu: bySlot({ 1: value(0.25) }),
  Gather: lookedUp,
  GatherElements: lookedUp,
  GatherND: lookedUp,
  Add: added,
  Sum: added,
  Concat: () => embedding,
  Expand: lookedUp,
  Tile: lookedUp,
  // Only as the scale of a normalisation that is written out, or of a residual branch.
  Mul: ({ dims }) => (isVector(dims) ? value(1) : undefined),
};

function fillOf(use: Use): Fill | undefined {
  const { node } = use;
  const rule = rules[tableKey(node.op, node.domain)];
  return rule?.(use, new AttributeReader(node.attributes, `${node.op} at node "${node.name}"`));
}
