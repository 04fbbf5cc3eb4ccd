// What a place in a graph says of the constant that lies there: a table by op, and the questions that the roles of constants
// ask of it. Looks at nodes and numbers; decides no role.
import { sizeOf, type Tensor } from "../base/tensor.ts";
import { type Node, usersOf, type Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { tableKey } from "./builder.ts";

/** One place that takes a constant. */
export interface Use {
  readonly node: Node;
  readonly slot: number;
}

interface Traits {
  /** A layer of weights: what is added behind it is its bias. */
  readonly linear?: true;
  /** Sums, differences, products and quotients, element by element. */
  readonly arithmetic?: true;
  readonly sum?: true;
  /** Gives its first input in another form. */
  readonly view?: true;
  /** Slots that must not be zero or below: what is added before them is there for that. */
  readonly guarded?: readonly number[];
  /** Parts of which exporters build activations (a Gelu of Erf or Tanh, a HardSwish of Clip). */
  readonly curve?: true;
  readonly power?: true;
  /** Takes each element from one of two inputs. */
  readonly chooses?: true;
  /** Makes one number of all along axes: what scales it by their size counts them. "root": of squares, under a root. */
  readonly reduces?: "sum" | "mean" | "square" | "root";
  /** Turns scores into shares: what scales them before is a number of the attention. */
  readonly shares?: true;
  /** Slots in which one number is no weight, and what it is. */
  readonly literal?: Readonly<Record<number, string>>;
}

const linear: Traits = { linear: true };
const view: Traits = { view: true };
const curve: Traits = { curve: true };
const comparison: Traits = { literal: { 0: "a threshold", 1: "a threshold" } };

const traits: Readonly<Record<string, Traits>> = {
  Conv: linear,
  ConvTranspose: linear,
  DeformConv: linear,
  Gemm: linear,
  MatMul: linear,
  Einsum: linear,
  "com.microsoft::FusedConv": linear,
  "com.microsoft::FusedGemm": linear,
  "com.microsoft::FusedMatMul": linear,
  Add: { arithmetic: true, sum: true },
  Sub: { arithmetic: true, literal: { 0: "what is subtracted from" } },
  Mul: { arithmetic: true },
  Div: { arithmetic: true, guarded: [1], literal: { 0: "a numerator" } },
  Sum: { arithmetic: true, sum: true },
  Reshape: view,
  Transpose: view,
  Squeeze: view,
  Unsqueeze: view,
  Flatten: view,
  Identity: view,
  Cast: view,
  ReduceSum: { reduces: "sum" },
  ReduceL1: { reduces: "sum" },
  ReduceSumSquare: { reduces: "square" },
  ReduceL2: { reduces: "root" },
  ReduceMean: { reduces: "mean" },
  GlobalAveragePool: { reduces: "mean" },
  Sqrt: { guarded: [0], literal: { 0: "a number under a root" } },
  Reciprocal: { guarded: [0] },
  Log: { guarded: [0] },
  Erf: curve,
  Tanh: curve,
  Sigmoid: curve,
  Exp: { curve: true, shares: true },
  Relu: curve,
  Softplus: curve,
  HardSigmoid: curve,
  Softmax: { shares: true },
  LogSoftmax: { shares: true },
  Pow: { power: true, guarded: [0], literal: { 0: "a base", 1: "an exponent" } },
  Clip: { curve: true, literal: { 1: "a bound", 2: "a bound" } },
  Max: { literal: { 0: "a bound", 1: "a bound" } },
  Min: { literal: { 0: "a bound", 1: "a bound" } },
  Where: { chooses: true, literal: { 1: "a filling", 2: "a filling" } },
  Pad: { literal: { 2: "a filling" } },
  Mod: { literal: { 0: "a number to count with", 1: "a number to count with" } },
  Range: {
    literal: { 0: "a number to count with", 1: "a number to count with", 2: "a number to count with" },
  },
  Less: comparison,
  LessOrEqual: comparison,
  Greater: comparison,
  GreaterOrEqual: comparison,
  Equal: comparison,
  OneHot: { literal: { 1: "a depth" } },
  ConstantOfShape: { literal: { 0: "a shape" } },
};

const none: Traits = {};
const traitsOf = (node: Node | undefined): Traits => (node && traits[tableKey(node.op, node.domain)]) ?? none;

export const isArithmetic = ({ node }: Use): boolean => traitsOf(node).arithmetic === true;
export const isLinear = ({ node }: Use): boolean => traitsOf(node).linear === true;

/** Every place that takes each value, in the order of the nodes. */
export function usesByValue(nodes: readonly Node[]): Map<Value, Use[]> {
  const uses = new Map<Value, Use[]>();
  for (const node of nodes)
    node.inputs.forEach((x, slot) => {
      if (!x) return;
      const list = uses.get(x);
      if (list) list.push({ node, slot });
      else uses.set(x, [{ node, slot }]);
    });
  return uses;
}

/** The other operands of a node. */
export const othersOf = ({ node, slot }: Use): Value[] =>
  node.inputs.filter((x, i): x is Value => x !== undefined && i !== slot);

/** Whether a constant stretches a last axis that was just made: `x[:, :, None] * scale` of a column's embedding. */
export const expands = (other: Value, constant: Tensor): boolean =>
  other.producer?.op === "Unsqueeze" && (constant.dims.at(-1) ?? 1) > 1;

/** Data less or by other data (x − mean(x), x / std(x)), or an op that normalises. */
export const isOwnStatistics = (node: Node, constants: ReadonlyMap<Value, Tensor>): boolean =>
  /Normalization$/.test(node.op) ||
  ((node.op === "Sub" || node.op === "Div") && node.inputs.every((x) => x && !constants.has(x)));

/** The linear layer behind which a constant is added (views may lie between), if there is one. */
function layerBefore(use: Use): Node | undefined {
  if (!traitsOf(use.node).sum) return undefined;
  for (let x of othersOf(use)) {
    while (x.producer && traitsOf(x.producer).view && x.producer.inputs[0]) x = x.producer.inputs[0];
    if (x.producer && traitsOf(x.producer).linear) return x.producer;
  }
  return undefined;
}

/** Whether a constant is added behind a linear layer with constant weights, one number per neuron of it. */
export function isBias(use: Use, tensor: Tensor, constants: ReadonlyMap<Value, Tensor>): boolean {
  const layer = layerBefore(use);
  const weight = layer?.inputs[1] && constants.get(layer.inputs[1]);
  if (!weight) return false;
  const size = sizeOf(tensor.dims);
  return tensor.dims.filter((d) => d > 1).length <= 1 && weight.dims.some((d) => d === size);
}

/**
 * Whether a vector under a name of TorchScript's own (`onnx::Mul_63`, `onnx::Add_65`) is the factor or the summand of a map
 * x·a + b right behind a Conv without bias: FrozenBatchNorm2d, whose numbers are buffers, is folded so.
 */
export function isFoldedNorm(
  { node, slot }: Use,
  name: string,
  constants: ReadonlyMap<Value, Tensor>,
): boolean {
  if (!/^onnx::(Mul|Add)_\d+$/.test(name)) return false;
  const other = node.inputs[1 - slot]?.producer;
  if (node.op === "Add") {
    const factor = other?.op === "Mul" ? other.inputs.find((x) => x && constants.has(x)) : undefined;
    return (
      factor !== undefined &&
      isFoldedNorm({ node: other as Node, slot: other?.inputs.indexOf(factor) ?? 0 }, factor.name, constants)
    );
  }
  return node.op === "Mul" && other?.op === "Conv" && other.inputs[2] === undefined;
}

/** Numbers of which exporters put activations together: those of Gelu in its three forms, HardSwish, HardSigmoid, 1 − x. */
const numbersOfCurves = [
  0.5,
  1,
  2,
  3,
  6,
  1 / 6,
  1 / 3,
  0.2,
  Math.SQRT2,
  Math.SQRT1_2,
  0.044715,
  Math.sqrt(2 / Math.PI),
  1.702,
];

const near = (a: number, b: number, within = 1e-5): boolean => Math.abs(a - b) <= within * Math.abs(b);

/** Why one number at such a place is none that is learned, judged by the slot alone; undefined where it may be. */
export function literalSlot({ node, slot }: Use): string | undefined {
  const what = traitsOf(node).literal?.[slot];
  return what && `${what} of ${node.op}`;
}

/** The same, judged by its value and by what lies around. */
export class Neighbourhood {
  readonly #users: ReadonlyMap<Value, readonly Node[]>;
  readonly #constants: ReadonlyMap<Value, Tensor>;
  constructor(model: Model) {
    this.#users = usersOf(model.graph);
    this.#constants = model.graph.constants;
  }

  literal(use: Use, value: number): string | undefined {
    if (!isArithmetic(use)) return undefined;
    return (
      this.#epsilon(use, value) ??
      this.#scaleOfScores(use, value) ??
      this.#sizeOfAxes(use, value) ??
      this.#partOfCurve(use, value)
    );
  }

  /** A factor or divisor that is the size of the axes that are summed over (or multiplied away) before or behind it. */
  #sizeOfAxes(use: Use, value: number): string | undefined {
    if (traitsOf(use.node).sum || use.node.op === "Sub" || !(value > 0) || value === 1) return undefined;
    const before = othersOf(use).flatMap((x) => this.#countedBefore(x));
    const behind = this.#after(use.node).flatMap((n) => this.#counted(n, traitsOf(n).reduces === "square"));
    const found = [...before, ...behind].find(({ by }) =>
      by.some((n) => Number.isFinite(n) && (near(value, n, 1e-6) || near(value, 1 / n, 1e-6))),
    );
    return found && `the size of what ${found.op} sums over`;
  }

  #countedBefore(from: Value): { op: string; by: number[] }[] {
    let x: Value | undefined = from;
    let root = false;
    for (let hop = 0; x?.producer && hop < 6; hop++) {
      const node: Node = x.producer;
      const counted = this.#counted(node, root);
      if (counted.length > 0) return counted;
      const { view, arithmetic } = traitsOf(node);
      const operands = node.inputs.filter((v) => v && !this.#constants.has(v));
      root ||= node.op === "Sqrt";
      x = view || node.op === "Sqrt" || (arithmetic && operands.length === 1) ? operands[0] : undefined;
    }
    return [];
  }

  /** What numbers count the axes that a node sums over: their size; less one (an unbiased variance); roots of it. */
  #counted(node: Node, root: boolean): { op: string; by: number[] }[] {
    const dims = node.inputs[0]?.type?.dims;
    const how = traitsOf(node).reduces;
    if (!dims || (!how && !this.#multipliesData(node))) return [];
    const n = how ? this.#reducedSize(node, dims) : (dims.at(-1) as number);
    if (!(n > 1)) return [];
    const whole = how === "mean" ? [n, n / (n - 1)] : [n, n - 1];
    if (!how) return [{ op: node.op, by: [n, Math.sqrt(n)] }];
    return [{ op: node.op, by: root || how === "root" ? whole.map(Math.sqrt) : whole }];
  }

  /** Whether a MatMul has data on both sides: behind weights, a number may well be a learned one. */
  #multipliesData(node: Node): boolean {
    return node.op === "MatMul" && node.inputs.every((x) => x && !this.#constants.has(x));
  }

  #reducedSize(node: Node, dims: readonly number[]): number {
    if (node.op === "GlobalAveragePool") return dims.slice(2).reduce((n, d) => n * d, 1);
    const attribute = node.attributes.axes;
    const input = node.inputs[1] && this.#constants.get(node.inputs[1]);
    const axes = attribute?.kind === "ints" ? attribute.value : [...(input?.data ?? [])].map(Number);
    return (axes.length > 0 ? axes.map((a) => dims.at(a) ?? 1) : dims).reduce((n, d) => n * d, 1);
  }

  /** Added under a root or a quotient, and small. */
  #epsilon({ node }: Use, value: number): string | undefined {
    if (Math.abs(value) > 1e-2 || value === 0) return undefined;
    const y = node.outputs[0];
    const guarded = this.#after(node).find((n) => traitsOf(n).guarded?.some((slot) => n.inputs[slot] === y));
    return guarded && `an epsilon before ${guarded.op}`;
  }

  /** A factor √d, 1/√d or a root of these, on the way to a softmax. */
  #scaleOfScores({ node }: Use, value: number): string | undefined {
    const powers = [value ** 2, value ** -2, value ** 4, value ** -4];
    const whole = powers.some((p) => p < 1e5 && p > 1.5 && near(p, Math.round(p), 1e-4));
    if (!(value > 0) || value === 1 || !whole || !this.#reachesSoftmax(node)) return undefined;
    return "a scale of attention scores";
  }

  #reachesSoftmax(from: Node): boolean {
    let front = [from];
    for (let hop = 0; hop < 8 && front.length > 0; hop++) {
      front = front.flatMap((n) => this.#after(n));
      if (front.some((n) => traitsOf(n).shares)) return true;
      front = front.filter((n) => {
        const t = traitsOf(n);
        return t.view || t.arithmetic || t.chooses || t.linear;
      });
    }
    return false;
  }

  #partOfCurve({ node }: Use, value: number): string | undefined {
    if (!numbersOfCurves.some((v) => near(Math.abs(value), v))) return undefined;
    const seen = new Set([node]);
    let front = [node];
    for (let hop = 0; hop < 3; hop++) {
      front = front
        .flatMap((n) => [...this.#after(n), ...n.inputs.flatMap((x) => x?.producer ?? [])])
        .filter((n) => !seen.has(n));
      for (const n of front) seen.add(n);
      const part = front.find((n) => traitsOf(n).curve);
      if (part) return `part of an activation with ${part.op}`;
      front = front.filter((n) => traitsOf(n).arithmetic || traitsOf(n).power);
    }
    return undefined;
  }

  #after(node: Node): readonly Node[] {
    return node.outputs.flatMap((y) => (y && this.#users.get(y)) ?? []);
  }
}

/** Names that exporters give to numbers of their own, not to what a model learned. */
const literalNames = [
  /(^|\/)Constant(_\d+)?(_output_\d+)?$/, // TorchScript, also after a simplifier
  /^onnx::\w+$/, // TorchScript, folded
  /^_?(val|const|constant|scalar_tensor_default|lifted_tensor|_tensor_constant)_?\d*$/, // dynamo
  /const_fold_opt__\d+/, // tf2onnx
  /\/(x|y|Const(_\d+)?|axis|epsilon|eps)(:\d+)?$/, // operands of TensorFlow's arithmetic
  /cst\d*$/, // skl2onnx
  /^scalar_op\d+$|_[a-z]+scalar\d+(_\w+)?$/, // MXNet
  /^\d+$/,
  /^ortshared_/,
  /(^|[./_])(eps|epsilon)$/i,
];

export const isLiteralName = (name: string): boolean => literalNames.some((r) => r.test(name));

/** Names that frameworks give to what is learned: `head.bias`, `dense/BiasAdd/ReadVariableOp:0`. */
const learnedNames = [/(^|[./_])(weight|bias|kernel|gamma|beta)(:\d+)?$/i, /ReadVariableOp/];

export const isLearnedName = (name: string): boolean => learnedNames.some((r) => r.test(name));

/** Names that people give to the statistics by which inputs are normalised: `pixel_mean`, `normalize.std`. */
export const isNormalisationName = (name: string): boolean =>
  /(^|[./_])(mean|std|var|variance)(:\d+)?$/i.test(name);

/**
 * A name of PyTorch's: a path of modules, `blocks.0.gate`. PyTorch's exporters give numbers of their own no such names. In a
 * file of TorchScript's exporter (`torchScript`) the same holds for names of the outermost module, `gate`.
 */
export const isModuleName = (name: string, torchScript: boolean): boolean =>
  (/^\w+(\.\w+)+$/.test(name) || (torchScript && /^[A-Za-z_]\w*$/.test(name))) && !isLiteralName(name);
