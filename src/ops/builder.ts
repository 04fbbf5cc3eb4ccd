// Appends primitive nodes to a graph with their types, and offers the vocabulary in which gradient rules, losses
// and optimizers are written. Equal nodes on equal inputs are made once; operations on constants that cost nothing
// to see through (×1, +0, a reshape to the same shape) are not made at all.
import { DistillError } from "../base/errors.ts";
import {
  type DType,
  formatShape,
  isFloat,
  type NumericDType,
  normalizeAxes,
  type Shape,
  sameShape,
  sizeOf,
  type Tensor,
  type TensorType,
  tensor,
  toNumbers,
} from "../base/tensor.ts";
import {
  type Attributes,
  float,
  type Graph,
  int,
  ints,
  type Node,
  string,
  typeOf,
  type Value,
} from "../graph/graph.ts";
import { AttributeReader } from "./attributes.ts";
import type { GradEntry, InferContext, OpDefinition, Primitive } from "./define.ts";
import { isPrimitive } from "./define.ts";
import type { Target } from "./target.ts";

/** A stretch of nodes whose gradient is given as a whole, because the closed form is cheaper or differs on purpose. */
export interface Region {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly grad: (dy: (i: number) => Value) => readonly GradEntry[];
}

export type OpTable = ReadonlyMap<string, OpDefinition>;

export function tableKey(op: string, domain = ""): string {
  return domain === "" || domain === "ai.onnx" ? op : `${domain}::${op}`;
}

export class Builder {
  readonly graph: Graph;
  readonly target: Target;
  readonly table: OpTable;
  readonly regions = new Map<Value, Region>();
  /** Values that must stay themselves, because gradients are asked for them: nothing looks through them. */
  readonly anchors = new Set<Value>();
  readonly #made = new Map<string, readonly (Value | undefined)[]>();
  readonly #constants = new Map<string, Value>();
  #scope = "";

  constructor(graph: Graph, target: Target, table: OpTable) {
    this.graph = graph;
    this.target = target;
    this.table = table;
  }

  /** Runs `body` with the names of the nodes it makes beginning with `name`. */
  scope<T>(name: string, body: () => T): T {
    const outer = this.#scope;
    this.#scope = name;
    try {
      return body();
    } finally {
      this.#scope = outer;
    }
  }

  /** Makes one node; all outputs. Types come from the op's shape rule. */
  nodes(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    domain = "",
    outputs = 1,
  ): readonly (Value | undefined)[] {
    const definition = this.table.get(tableKey(op, domain));
    if (!definition || !isPrimitive(definition))
      throw new DistillError(
        "E_OP",
        `${tableKey(op, domain)} is no primitive of the op table; add a rule for it in src/ops`,
      );
    let last = inputs.length;
    while (last > 0 && inputs[last - 1] === undefined) last--;
    const trimmed = inputs.slice(0, last);
    const key = `${tableKey(op, domain)}(${trimmed.map((v) => v?.id ?? "").join(",")})${JSON.stringify(attributes)}`;
    const known = this.#made.get(key);
    if (known && known.length >= outputs) return known;
    const name = this.#scope === "" ? op : `${this.#scope}/${op}`;
    const types = definition.infer(this.#inferContext(op, name, trimmed, attributes));
    const unique = this.graph.freeName(`${name}:0`).replace(/:0(_\d+)?$/, "$1");
    const node = this.graph.addNode({
      op,
      domain,
      name: unique,
      inputs: trimmed,
      outputs: Array.from({ length: outputs }, (_, i) =>
        this.graph.freeName(i === 0 ? `${name}:0` : `${unique}:${i}`),
      ),
      types: types.slice(0, outputs),
      attributes,
    });
    this.#made.set(key, node.outputs);
    return node.outputs;
  }

  /** Makes one node; its first output. */
  node(op: string, inputs: readonly (Value | undefined)[], attributes: Attributes = {}, domain = ""): Value {
    return this.nodes(op, inputs, attributes, domain)[0] as Value;
  }

  /** Output i of a node of this graph, which gets it if it did without so far (MaxPool's Indices, for its gradient). */
  outputOf(node: Node, i: number): Value {
    const found = node.outputs[i];
    if (found) return found;
    const definition = this.table.get(tableKey(node.op, node.domain)) as Primitive;
    const types = definition.infer(this.#inferContext(node.op, node.name, node.inputs, node.attributes));
    return this.graph.addNodeOutput(node, i, this.graph.freeName(`${node.name}:${i}`), types[i]);
  }

  /** Gives `outputs`, made from `inputs`, a gradient of their own instead of that of the nodes between. */
  region(region: Region): void {
    for (const output of region.outputs) this.regions.set(output, region);
  }

  /** x as a constant for the gradient: nothing flows back through it. */
  stopGradient(x: Value): Value {
    const y = this.node("Identity", [x]);
    // Identity nodes are shared by equal inputs, so this one is marked for good: nobody else emits a bare Identity.
    this.region({ inputs: [x], outputs: [y], grad: () => ["zero"] });
    return y;
  }

  // -- constants ------------------------------------------------------------------------------------------

  constant(value: Tensor, name = "const"): Value {
    const small = value.data.length <= 4096;
    const key = small
      ? `${value.dtype}${formatShape(value.dims)}${Array.from(value.data as ArrayLike<unknown>, (v) => (Object.is(v, -0) ? "-0" : String(v))).join(",")}`
      : "";
    const known = small ? this.#constants.get(key) : undefined;
    if (known) return known;
    const made = this.graph.addConstant(this.graph.freeName(name), value);
    if (small) this.#constants.set(key, made);
    return made;
  }

  /** int64 vector. */
  ints(values: readonly number[]): Value {
    return this.constant(tensor("int64", values), "ints");
  }

  scalar(dtype: DType, value: number): Value {
    return this.constant(tensor(dtype as NumericDType, [value], []), "scalar");
  }

  /** A scalar of x's element type. */
  like(x: Value, value: number): Value {
    return this.scalar(typeOf(x).dtype, value);
  }

  /** x's shape filled with one number; as a small constant that is expanded at run time. */
  full(type: TensorType, value: number): Value {
    return this.expand(this.scalar(type.dtype, value), type.dims);
  }

  constantOf(value: Value): Tensor | undefined {
    return this.graph.constants.get(value);
  }

  /** The numbers of a constant; an error where it is not one. */
  numbersOf(value: Value, where: string): readonly number[] {
    const found = this.constantOf(value);
    if (!found)
      throw new DistillError(
        "E_OP",
        `${where}: "${value.name}" must be known before training, but it is computed from the data`,
      );
    return toNumbers(found);
  }

  dims(x: Value): Shape {
    return typeOf(x).dims;
  }

  // -- elementwise ----------------------------------------------------------------------------------------

  add(a: Value, c: Value): Value {
    if (this.#isFilledWith(c, 0) && this.#absorbs(a, c)) return a;
    if (this.#isFilledWith(a, 0) && this.#absorbs(c, a)) return c;
    return this.node("Add", [a, c]);
  }
  sub(a: Value, c: Value): Value {
    return this.#isFilledWith(c, 0) && this.#absorbs(a, c) ? a : this.node("Sub", [a, c]);
  }
  mul(a: Value, c: Value): Value {
    if (this.#isFilledWith(c, 1) && this.#absorbs(a, c)) return a;
    if (this.#isFilledWith(a, 1) && this.#absorbs(c, a)) return c;
    return this.node("Mul", [a, c]);
  }
  div(a: Value, c: Value): Value {
    return this.#isFilledWith(c, 1) && this.#absorbs(a, c) ? a : this.node("Div", [a, c]);
  }
  /** x · k for a plain number. */
  scale(x: Value, k: number): Value {
    return k === 1 ? x : this.mul(x, this.like(x, k));
  }
  /** x + k for a plain number. */
  shift(x: Value, k: number): Value {
    return k === 0 ? x : this.add(x, this.like(x, k));
  }
  square(x: Value): Value {
    return this.mul(x, x);
  }
  pow(x: Value, y: Value): Value {
    return this.node("Pow", [x, y]);
  }
  neg(x: Value): Value {
    return this.node("Neg", [x]);
  }
  abs(x: Value): Value {
    return this.node("Abs", [x]);
  }
  exp(x: Value): Value {
    return this.node("Exp", [x]);
  }
  log(x: Value): Value {
    return this.node("Log", [x]);
  }
  sqrt(x: Value): Value {
    return this.node("Sqrt", [x]);
  }
  reciprocal(x: Value): Value {
    return this.node("Reciprocal", [x]);
  }
  /**
   * σ(x) = e^min(x,0) / (1 + e^−|x|), right to a few units in the last place down to the smallest float. For losses: ONNX
   * Runtime's float32 Sigmoid, which a student's ops must agree with, is exactly 0 below −18 and twice the value at −17.
   */
  sigmoid(x: Value): Value {
    const whole = this.shift(this.exp(this.neg(this.abs(x))), 1);
    const part = (of: Value) => this.div(this.exp(this.min(of, this.like(of, 0))), whole);
    const y = part(x);
    this.region({
      inputs: [x],
      outputs: [y],
      grad: (dy) => [() => this.mul(dy(0), this.mul(y, part(this.neg(x))))],
    });
    return y;
  }
  tanh(x: Value): Value {
    return this.node("Tanh", [x]);
  }
  relu(x: Value): Value {
    return this.node("Relu", [x]);
  }
  erf(x: Value): Value {
    return this.node("Erf", [x]);
  }
  min(a: Value, c: Value): Value {
    return this.node("Min", [a, c]);
  }
  max(a: Value, c: Value): Value {
    return this.node("Max", [a, c]);
  }
  /** −1, 0 or 1; by comparisons, because Sign lacks a kernel on WebGPU. */
  sign(x: Value): Value {
    const nought = this.like(x, 0);
    return this.sub(
      this.cast(this.greater(x, nought), typeOf(x).dtype),
      this.cast(this.less(x, nought), typeOf(x).dtype),
    );
  }

  greater(a: Value, c: Value): Value {
    return this.node("Greater", [a, c]);
  }
  greaterOrEqual(a: Value, c: Value): Value {
    return this.node("GreaterOrEqual", [a, c]);
  }
  less(a: Value, c: Value): Value {
    return this.node("Less", [a, c]);
  }
  lessOrEqual(a: Value, c: Value): Value {
    return this.node("LessOrEqual", [a, c]);
  }
  equal(a: Value, c: Value): Value {
    return this.node("Equal", [a, c]);
  }
  and(a: Value, c: Value): Value {
    return this.node("And", [a, c]);
  }
  not(a: Value): Value {
    return this.node("Not", [a]);
  }
  where(condition: Value, a: Value, c: Value): Value {
    return this.node("Where", [condition, a, c]);
  }
  cast(x: Value, to: DType): Value {
    return typeOf(x).dtype === to ? x : this.node("Cast", [x], { to: int(onnxTypeNumber(to)) });
  }

  // -- linear algebra -------------------------------------------------------------------------------------

  matmul(a: Value, c: Value): Value {
    return this.node("MatMul", [a, c]);
  }
  /** op(a) · op(c) where op swaps the last two axes if asked; FusedMatMul where the target has it. */
  matmulT(a: Value, transA: boolean, c: Value, transB: boolean): Value {
    if (!transA && !transB) return this.matmul(a, c);
    if (this.target.fusedMatMul && this.dims(a).length >= 2 && this.dims(c).length >= 2)
      return this.node(
        "FusedMatMul",
        [a, c],
        { transA: int(transA ? 1 : 0), transB: int(transB ? 1 : 0) },
        "com.microsoft",
      );
    return this.matmul(transA ? this.swapLast(a) : a, transB ? this.swapLast(c) : c);
  }
  /** Swaps the last two axes. */
  swapLast(x: Value): Value {
    const rank = this.dims(x).length;
    const perm = Array.from({ length: rank }, (_, i) => i);
    perm[rank - 1] = rank - 2;
    perm[rank - 2] = rank - 1;
    return this.transpose(x, perm);
  }

  // -- reductions -----------------------------------------------------------------------------------------

  /** Sum over `axes` (all, if not given). */
  reduceSum(x: Value, axes?: readonly number[], keepdims = false): Value {
    return this.#reduce("ReduceSum", x, axes, keepdims);
  }
  reduceMean(x: Value, axes?: readonly number[], keepdims = false): Value {
    return this.#reduce("ReduceMean", x, axes, keepdims);
  }
  reduceMax(x: Value, axes?: readonly number[], keepdims = false): Value {
    return this.#reduce("ReduceMax", x, axes, keepdims);
  }
  reduceSumSquare(x: Value, axes?: readonly number[], keepdims = false): Value {
    return this.#reduce("ReduceSumSquare", x, axes, keepdims);
  }

  #reduce(op: string, x: Value, axes: readonly number[] | undefined, keepdims: boolean): Value {
    const rank = this.dims(x).length;
    const over = normalizeAxes(axes ?? Array.from({ length: rank }, (_, i) => i), rank);
    if (over.length === 0) return op === "ReduceSumSquare" ? this.square(x) : x;
    return this.node(op, [x, this.ints(over)], { keepdims: int(keepdims ? 1 : 0) });
  }

  /** Sums x down to `dims`: the transpose of broadcasting. */
  sumTo(x: Value, dims: Shape): Value {
    const from = this.dims(x);
    if (sameShape(from, dims)) return x;
    const lead = from.length - dims.length;
    const axes = from.map((_, i) => i).filter((i) => i < lead || (dims[i - lead] === 1 && from[i] !== 1));
    return this.reshape(this.reduceSum(x, axes), dims);
  }

  logSoftmax(x: Value, axis = -1): Value {
    if (this.target.logSoftmax) return this.node("LogSoftmax", [x], { axis: int(axis) });
    const shifted = this.sub(x, this.reduceMax(x, [axis], true));
    const y = this.sub(shifted, this.log(this.reduceSum(this.exp(shifted), [axis], true)));
    this.region({
      inputs: [x],
      outputs: [y],
      grad: (dy) => [() => this.sub(dy(0), this.mul(this.exp(y), this.reduceSum(dy(0), [axis], true)))],
    });
    return y;
  }
  softmax(x: Value, axis = -1): Value {
    return this.node("Softmax", [x], { axis: int(axis) });
  }

  // -- movement -------------------------------------------------------------------------------------------

  reshape(x: Value, dims: Shape): Value {
    if (sameShape(this.dims(x), dims)) return x;
    // A reshape of a reshape is one reshape.
    const from =
      x.producer?.op === "Reshape" && !this.regions.has(x) && !this.anchors.has(x)
        ? (x.producer.inputs[0] as Value)
        : x;
    if (sameShape(this.dims(from), dims)) return from;
    // An axis of length 0 would else be read as "as the input's".
    return this.node("Reshape", [from, this.ints(dims)], dims.includes(0) ? { allowzero: int(1) } : {});
  }
  transpose(x: Value, perm: readonly number[]): Value {
    return perm.every((p, i) => p === i) ? x : this.node("Transpose", [x], { perm: ints(perm) });
  }
  expand(x: Value, dims: Shape): Value {
    return sameShape(this.dims(x), dims) ? x : this.node("Expand", [x, this.ints(dims)]);
  }
  concat(xs: readonly Value[], axis: number): Value {
    return xs.length === 1 ? (xs[0] as Value) : this.node("Concat", xs, { axis: int(axis) });
  }
  /** Pieces of the given sizes along `axis`. */
  split(x: Value, sizes: readonly number[], axis: number): Value[] {
    if (sizes.length === 1) return [x];
    return this.nodes("Split", [x, this.ints(sizes)], { axis: int(axis) }, "", sizes.length) as Value[];
  }
  slice(
    x: Value,
    starts: readonly number[],
    ends: readonly number[],
    axes: readonly number[],
    steps?: readonly number[],
  ): Value {
    return this.node("Slice", [
      x,
      this.ints(starts),
      this.ints(ends),
      this.ints(axes),
      this.ints(steps ?? axes.map(() => 1)),
    ]);
  }
  /** Constant padding; `before` and `after` one number per axis. */
  pad(x: Value, before: readonly number[], after: readonly number[], value = 0): Value {
    if ([...before, ...after].every((p) => p === 0)) return x;
    return this.node("Pad", [x, this.ints([...before, ...after]), this.like(x, value)], {
      mode: string("constant"),
    });
  }
  gather(x: Value, indices: Value, axis: number): Value {
    return this.node("Gather", [x, indices], { axis: int(axis) });
  }

  /** Marks where emission of one user's node happens, for messages. */
  #inferContext(
    op: string,
    name: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
  ): InferContext {
    const where = `${op} "${name}"`;
    const value = (i: number): Value => {
      const v = inputs[i];
      if (!v) throw new DistillError("E_MODEL", `${where}: input ${i} is missing`);
      return v;
    };
    return {
      count: inputs.length,
      has: (i) => inputs[i] !== undefined,
      type: (i) => typeOf(value(i)),
      dims: (i) => typeOf(value(i)).dims,
      numbers: (i) => this.numbersOf(value(i), where),
      attr: new AttributeReader(attributes, where),
      where,
    };
  }

  #isFilledWith(v: Value, number: number): boolean {
    const c = this.constantOf(v);
    return c !== undefined && isFloat(c.dtype) && c.data.length === 1 && Number(c.data[0]) === number;
  }
  /** Combining x with a one-element c leaves x's shape as it is. */
  #absorbs(x: Value, c: Value): boolean {
    return this.dims(c).length <= this.dims(x).length && sizeOf(this.dims(c)) === 1;
  }
}

/** TensorProto.DataType numbers, as Cast's attribute wants them. */
const typeNumbers: Record<DType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  uint2: 25,
  int2: 26,
};

export function onnxTypeNumber(dtype: DType): number {
  return typeNumbers[dtype];
}

/** The element type of that number in TensorProto.DataType; undefined for one that we don't hold. */
export function dtypeNumbered(number: number): DType | undefined {
  for (const [name, n] of Object.entries(typeNumbers)) if (n === number) return name as DType;
  return undefined;
}

export function dtypeFromOnnx(number: number, where: string): DType {
  const found = dtypeNumbered(number);
  if (found) return found;
  throw new DistillError("E_OP", `${where}: element type ${number} of ONNX is not supported`);
}

export type { Node };
export { float, int, ints, string };
