// The shape of an op's literal: versions, emission, shape rule and gradient rule together.
//
// Two sorts of op:
// - a *primitive* is written into the training step as one node of the target opset; it has a shape rule and a
//   gradient rule. Its `emit` turns the spellings of older opsets into that one form.
// - a *composite* is emitted as several primitives, so its shape and gradient follow from theirs.
import type { DType, Shape, Tensor, TensorType } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { AttributeReader } from "./attributes.ts";
import type { Builder } from "./builder.ts";

/** What a shape rule sees of the node that is about to be made. */
export interface InferContext {
  readonly count: number;
  has(i: number): boolean;
  /** Type of input i. */
  type(i: number): TensorType;
  dims(i: number): Shape;
  /** The numbers of input i, which must be a constant. */
  numbers(i: number): readonly number[];
  readonly attr: AttributeReader;
  /** `op "node name"`, for messages. */
  readonly where: string;
}

export type InferRule = (c: InferContext) => readonly TensorType[];

/** What an emission sees of one node of the user's model, its inputs already in the step's graph. */
export interface EmitContext {
  readonly b: Builder;
  readonly node: Node;
  /** The since-version of this op under the model's opset. */
  readonly version: number;
  readonly count: number;
  has(i: number): boolean;
  x(i: number): Value;
  /** The numbers of input i, which must be known before training. */
  numbers(i: number): readonly number[];
  readonly attr: AttributeReader;
  readonly where: string;
  readonly hooks: EmitHooks;
}

/** How the compiler lets ops take part in training. */
export interface EmitHooks {
  /**
   * Asked by BatchNormalization. Undefined: frozen, use the running statistics. Otherwise the statistics of the batch
   * are used, and `update` is told the next running values.
   */
  runningStatistics(mean: Value, variance: Value): { update(mean: Value, variance: Value): void } | undefined;
  /** A fresh 0-or-1/(1−ratio) mask per step, as an input of the step; undefined: no dropout. */
  dropoutMask(name: string, like: TensorType, ratio: number): Value | undefined;
}

/** Which slots of a node are fixed; `constant` gives the constant that an input is, if it is one. */
export type FixedSlots = (node: Node, constant: (x: Value) => Tensor | undefined) => readonly number[];

export type EmitRule = (c: EmitContext) => readonly (Value | undefined)[];

export interface GradContext {
  readonly b: Builder;
  readonly node: Node;
  readonly count: number;
  has(i: number): boolean;
  x(i: number): Value;
  y(i: number): Value;
  /** Cotangent of output i; zeros where nothing depends on that output. */
  dy(i: number): Value;
  hasDy(i: number): boolean;
  dims(i: number): Shape;
  numbers(i: number): readonly number[];
  readonly attr: AttributeReader;
}

/**
 * One entry per input: how to make its gradient; or that there is none to be had (`notDifferentiable`: an error if
 * someone needs it); or that it is zero everywhere it exists (`zero`).
 */
export type GradEntry = (() => Value) | typeof notDifferentiable | typeof zero;
export type GradRule = (c: GradContext) => readonly GradEntry[];

export const notDifferentiable = "not-differentiable";
export const zero = "zero";

interface OpBase {
  readonly op: string;
  /** "" (ai.onnx) unless said. */
  readonly domain?: string;
  /** Since-versions, ascending, of the spellings that `emit` understands. */
  readonly versions: readonly number[];
  /** What docs/ops.md should say of it, where that is not obvious. */
  readonly note?: string;
  /** Input slots that hold weights even when they have one element (a convolution's bias, PRelu's slope). */
  readonly weights?: readonly number[];
  /**
   * Input slots whose constants are part of the architecture (scales of a Resize, initial states), so not trained; for a
   * node, if that depends on it.
   */
  readonly fixed?: readonly number[] | FixedSlots;
  /**
   * Input slots that an optimizer's weight decay spares by default (`noDecay` "auto"): biases, and scales and offsets of
   * normalisations; "vectors": any slot, for a constant that is longer than 1 along one axis at most.
   */
  readonly undecayed?: readonly number[] | "vectors";
  /** Input slots that hold running statistics: state, but not trained. */
  readonly statistics?: readonly number[];
  /**
   * Element type of what the node makes, where that is not its first input's: for types that a session does not hand out.
   * `dtypeOf` knows constants, and values of such types.
   */
  readonly makes?: (node: Node, dtypeOf: (x: Value) => DType | undefined) => DType | undefined;
  /** Gives another result each time, or does in training. */
  readonly random?: true;
}

export interface Primitive extends OpBase {
  readonly emit: EmitRule;
  readonly infer: InferRule;
  /** `notDifferentiable` or `zero` alone stand for every input. */
  readonly grad: GradRule | typeof notDifferentiable | typeof zero;
}

export interface Composite extends OpBase {
  readonly emit: EmitRule;
  readonly composed: true;
}

/** An op that a student must not need, though we know it: why, and what to do. A teacher may. */
export interface Refusal extends OpBase {
  readonly refused: string;
}

export type OpDefinition = Primitive | Composite | Refusal;

/** A definition whose name the compiler knows, so that it can hold tables by op to be complete (`OpKey`). */
export type Named<T extends OpDefinition> = (T extends Primitive
  ? Primitive
  : T extends Composite
    ? Composite
    : Refusal) &
  Pick<T, "op"> &
  (T extends { readonly domain: infer Domain extends string }
    ? { readonly domain: Domain }
    : { readonly domain?: "" });

export function defineOp<const T extends OpDefinition>(definition: T): Named<T> {
  return definition as unknown as Named<T>;
}

export function isPrimitive(definition: OpDefinition): definition is Primitive {
  return "infer" in definition;
}

export function isRefusal(definition: OpDefinition): definition is Refusal {
  return "refused" in definition;
}

/** Emission of an op whose spelling is the same in every version: the node as it is. */
export const oneNode: EmitRule = ({ b, node, x, has, count }) => {
  const inputs = Array.from({ length: count }, (_, i) => (has(i) ? x(i) : undefined));
  return b.nodes(node.op, inputs, node.attributes, node.domain, Math.max(1, node.outputs.length));
};

/** Emission of an op of which only the first output is wanted. */
export const oneOutput =
  (emit: (c: EmitContext) => Value): EmitRule =>
  (c) => [emit(c)];

/** The slots in which weight decay spares that constant. */
export function undecayedSlots(definition: OpDefinition | undefined, { dims }: Tensor): readonly number[] {
  const slots = definition?.undecayed ?? [];
  if (slots !== "vectors") return slots;
  return dims.filter((d) => d > 1).length <= 1 ? [0, 1] : [];
}

/** The fixed slots of a node by its definition. */
export function fixedSlotsOf(
  definition: OpDefinition | undefined,
  node: Node,
  constant: (x: Value) => Tensor | undefined,
): readonly number[] {
  const fixed = definition?.fixed ?? [];
  return typeof fixed === "function" ? fixed(node, constant) : fixed;
}
