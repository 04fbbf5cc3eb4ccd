// LSTM, GRU and RNN, unrolled over time: what one call of the op is, written out as products and activations, so that its
// gradient is backpropagation through time. The inputs' products of all steps are one product. Sequences that end
// earlier keep their state from there on. Source: ONNX operator specification, LSTM-22, GRU-22, RNN-22.
import { DistillError } from "../base/errors.ts";
import { formatShape, sizeOf, toNumbers } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { type Builder, int } from "./builder.ts";
import { defineOp, type EmitContext } from "./define.ts";
import { sameAsFirst } from "./infer.ts";
import { type Activation, activationsOf } from "./recurrent-activations.ts";

/** What a step takes over from the one before: [B, H] each; an LSTM has a cell too. */
interface State {
  readonly h: Value;
  readonly c?: Value;
}

/** One direction: weights [G·H, I] and [G·H, H], biases [G·H], peepholes [3·H], and its activations. */
interface Cell {
  readonly c: EmitContext;
  readonly b: Builder;
  readonly hidden: number;
  readonly input: Value;
  readonly recurrent: Value;
  readonly inputBias: Value | undefined;
  readonly recurrentBias: Value | undefined;
  readonly peepholes: Value | undefined;
  readonly act: readonly Activation[];
}

interface Kind {
  /** How many times H the weights have rows. */
  readonly gates: number;
  readonly activations: readonly string[];
  /** What is added to the inputs' products of all steps at once. */
  bias(cell: Cell): Value | undefined;
  /** The next state from the inputs' product [B, G·H]. */
  step(cell: Cell, product: Value, before: State): State;
}

/** left · rightᵀ + sum. */
const product = (b: Builder, left: Value, right: Value, sum: Value | undefined): Value =>
  b.node("Gemm", [left, right, sum], { transB: int(1) });

function bothBiases({ b, inputBias, recurrentBias }: Cell): Value | undefined {
  return inputBias && recurrentBias && b.add(inputBias, recurrentBias);
}

/** h' = f(x·Wᵀ + h·Rᵀ + biases). */
const rnnKind: Kind = {
  gates: 1,
  activations: ["Tanh"],
  bias: bothBiases,
  step: ({ b, recurrent, act }, xw, { h }) => ({
    h: (act[0] as Activation)(b, product(b, h, recurrent, xw)),
  }),
};

/**
 * Gates in the order z, r, h:  z, r = f(x·Wᵀ + h·Rᵀ + biases);  n = g(x·Wᵀ + (r⊙h)·Rᵀ + biases), or with linear_before_reset
 * n = g(x·Wᵀ + bias + r⊙(h·Rᵀ + bias));  h' = (1 − z)⊙n + z⊙h.
 */
const gruKind: Kind = {
  gates: 3,
  activations: ["Sigmoid", "Tanh"],
  bias: (cell) => {
    const { b, c, hidden, inputBias, recurrentBias } = cell;
    if (!inputBias || !recurrentBias || !linearBeforeReset(c)) return bothBiases(cell);
    const nothing = b.full({ dtype: typeOf(inputBias).dtype, dims: [hidden] }, 0);
    const gates = b.slice(recurrentBias, [0], [2 * hidden], [0]);
    return b.add(inputBias, b.concat([gates, nothing], 0));
  },
  step: ({ b, c, hidden, recurrent, recurrentBias, act }, xw, { h }) => {
    const [f, g] = act as [Activation, Activation];
    const sizes = [2 * hidden, hidden];
    const [gates, last] = b.split(recurrent, sizes, 0) as [Value, Value];
    const [xGates, xLast] = b.split(xw, sizes, 1) as [Value, Value];
    const opened = f(b, product(b, h, gates, xGates));
    const [z, r] = b.split(opened, [hidden, hidden], 1) as [Value, Value];
    let before: Value;
    if (linearBeforeReset(c)) {
      const bias = recurrentBias && b.slice(recurrentBias, [2 * hidden], [3 * hidden], [0]);
      before = b.add(xLast, b.mul(r, product(b, h, last, bias)));
    } else before = product(b, b.mul(r, h), last, xLast);
    const n = g(b, before);
    return { h: b.add(n, b.mul(z, b.sub(h, n))) };
  },
};

const linearBeforeReset = (c: EmitContext): boolean => c.attr.int("linear_before_reset", 0) !== 0;

/**
 * Gates in the order i, o, f, c:  i, f = f(x·Wᵀ + h·Rᵀ + biases + P⊙c), c' = f⊙c + i⊙g(…), o = f(… + P⊙c'), h' = o⊙h(c').
 * With input_forget f = 1 − i. Gers and Schmidhuber 2000 for the peepholes P.
 */
const lstmKind: Kind = {
  gates: 4,
  activations: ["Sigmoid", "Tanh", "Tanh"],
  bias: bothBiases,
  step: ({ b, c, hidden, recurrent, peepholes, act }, xw, { h, c: past }) => {
    const [f, g, out] = act as [Activation, Activation, Activation];
    const cell = past as Value;
    const all = product(b, h, recurrent, xw);
    const coupled = c.attr.int("input_forget", 0) !== 0;
    const third = [hidden, hidden, hidden];
    const holes = peepholes && b.split(peepholes, third, 0);
    const seen = (gate: Value, k: number, now: Value): Value =>
      holes ? f(b, b.add(gate, b.mul(holes[k] as Value, now))) : gate;
    // Without peepholes the three gates are one activation.
    const [sums, content] = b.split(all, [3 * hidden, hidden], 1) as [Value, Value];
    const [i, o, forget] = b.split(holes ? sums : f(b, sums), third, 1) as [Value, Value, Value];
    const input = seen(i, 0, cell);
    const kept = coupled ? b.sub(b.like(input, 1), input) : seen(forget, 2, cell);
    const next = b.add(b.mul(kept, cell), b.mul(input, g(b, content)));
    return { h: b.mul(seen(o, 1, next), out(b, next)), c: next };
  },
};

/** All outputs: Y [T, D, B, H], the last h [D, B, H], and for an LSTM the last cell. */
function unroll(kind: Kind, c: EmitContext): readonly (Value | undefined)[] {
  const { b, attr } = c;
  const batchFirst = attr.int("layout", 0) === 1;
  const x = batchFirst ? b.transpose(c.x(0), [1, 0, 2]) : c.x(0);
  const [steps, batch] = b.dims(x) as [number, number, number];
  const direction = attr.string("direction", "forward");
  const reversed = { forward: [false], reverse: [true], bidirectional: [false, true] }[direction];
  if (!reversed) throw new DistillError("E_MODEL", `${c.where}: direction "${direction}" is not known`);
  const hidden = b.dims(c.x(2)).at(-1) as number;
  if (b.dims(c.x(1))[1] !== kind.gates * hidden)
    throw new DistillError(
      "E_SHAPE",
      `${c.where}: weights ${formatShape(b.dims(c.x(1)))} do not fit ${formatShape(b.dims(c.x(2)))}; they want ${kind.gates}·${hidden} rows`,
    );
  const act = activationsOf(c, reversed.length, kind.activations);
  const lengths = lengthsOf(c, steps);
  const initial = (slot: number, d: number): Value => {
    if (!c.has(slot)) return b.full({ dtype: typeOf(x).dtype, dims: [batch, hidden] }, 0);
    const axis = batchFirst ? 1 : 0;
    return b.reshape(b.slice(c.x(slot), [d], [d + 1], [axis]), [batch, hidden]);
  };
  const runs = reversed.map((backwards, d) => {
    const cell = cellOf(c, kind, d, hidden, act[d] as readonly Activation[]);
    const first: State = kind === lstmKind ? { h: initial(5, d), c: initial(6, d) } : { h: initial(5, d) };
    return runOne(kind, cell, x, first, backwards, lengths);
  });
  const perDirection = (values: readonly Value[], axis: number): Value =>
    b.concat(
      values.map((v) => b.reshape(v, b.dims(v).toSpliced(axis, 0, 1))),
      axis,
    );
  const y = perDirection(
    runs.map((r) => r.y),
    1,
  );
  const last = (values: readonly Value[]): Value => perDirection(values, batchFirst ? 1 : 0);
  return [
    batchFirst ? b.transpose(y, [2, 0, 1, 3]) : y,
    last(runs.map((r) => r.last.h)),
    kind === lstmKind ? last(runs.map((r) => r.last.c as Value)) : undefined,
  ];
}

function cellOf(c: EmitContext, kind: Kind, d: number, hidden: number, act: readonly Activation[]): Cell {
  const { b } = c;
  const part = (slot: number): Value => {
    const [, ...dims] = b.dims(c.x(slot)) as [number, ...number[]];
    return b.reshape(b.slice(c.x(slot), [d], [d + 1], [0]), dims);
  };
  const rows = kind.gates * hidden;
  const biases = c.has(3) ? b.split(part(3), [rows, rows], 0) : [];
  return {
    c,
    b,
    hidden,
    input: part(1),
    recurrent: part(2),
    inputBias: biases[0],
    recurrentBias: biases[1],
    peepholes: kind === lstmKind && c.has(7) ? part(7) : undefined,
    act,
  };
}

/** Lengths [B] of the sequences, where some may end before the last step. */
function lengthsOf(c: EmitContext, steps: number): Value | undefined {
  if (!c.has(4)) return undefined;
  const known = c.b.constantOf(c.x(4));
  return known && toNumbers(known).every((n) => n === steps) ? undefined : c.x(4);
}

/** One direction over all steps: y [T, B, H] in the order of x, and the last state. */
function runOne(
  kind: Kind,
  cell: Cell,
  x: Value,
  first: State,
  backwards: boolean,
  lengths: Value | undefined,
): { y: Value; last: State } {
  const { b, hidden } = cell;
  const [steps, batch, width] = b.dims(x) as [number, number, number];
  const turned = backwards && lengths ? reverseSequences(b, x, lengths) : x;
  const rows = b.reshape(turned, [steps * batch, width]);
  const all = product(b, rows, cell.input, kind.bias(cell));
  // Steps are cut from rows and laid back into rows, so that no step needs a reshape of its own.
  const pieces = b.split(all, Array(steps).fill(batch), 0);
  const order = Array.from({ length: steps }, (_, t) => (backwards && !lengths ? steps - 1 - t : t));
  const ys: Value[] = [];
  let state = first;
  for (const t of order) {
    const next = kind.step(cell, pieces[t] as Value, state);
    const live = lengths && b.less(b.scalar(typeOf(lengths).dtype, t), b.reshape(lengths, [batch, 1]));
    const kept = (now: Value, before: Value): Value => (live ? b.where(live, now, before) : now);
    ys[t] = live ? b.where(live, next.h, b.like(next.h, 0)) : next.h;
    state = {
      h: kept(next.h, state.h),
      ...(next.c && state.c && { c: kept(next.c, state.c) }),
    };
  }
  const y = b.reshape(b.concat(ys, 0), [steps, batch, hidden]);
  const last = lengths ? zeroWhereEmpty(b, state, lengths) : state;
  return { y: backwards && lengths ? reverseSequences(b, y, lengths) : y, last };
}

/** The last state of a sequence of length 0 is 0 to ONNX Runtime, whatever the initial one. */
function zeroWhereEmpty(b: Builder, state: State, lengths: Value): State {
  const known = b.constantOf(lengths);
  if (known && toNumbers(known).every((n) => n > 0)) return state;
  const { dtype, dims } = typeOf(lengths);
  const some = b.less(b.scalar(dtype, 0), b.reshape(lengths, [sizeOf(dims), 1]));
  const orZero = (v: Value): Value => b.where(some, v, b.like(v, 0));
  return { h: orZero(state.h), ...(state.c && { c: orZero(state.c) }) };
}

/** x [T, B, …] with the first `lengths` steps of each sequence the other way round. */
function reverseSequences(b: Builder, x: Value, lengths: Value): Value {
  return b.node("ReverseSequence", [x, b.cast(lengths, "int64")], { time_axis: int(0), batch_axis: int(1) });
}

/** y = x with the first n steps of each sequence of the batch the other way round;  dx = dy turned the same way. */
const reverseSequence = defineOp({
  op: "ReverseSequence",
  versions: [10],
  emit: ({ b, x, attr }) => [
    b.node("ReverseSequence", [x(0), b.cast(x(1), "int64")], {
      time_axis: int(attr.int("time_axis", 0)),
      batch_axis: int(attr.int("batch_axis", 1)),
    }),
  ],
  infer: sameAsFirst,
  grad: ({ b, x, dy, node }) => [() => b.node("ReverseSequence", [dy(0), x(1)], node.attributes), "zero"],
});

const recurrent = <const Op extends string>(
  op: Op,
  kind: Kind,
  weights: readonly number[],
  initial: readonly number[],
) =>
  defineOp({
    op,
    versions: [7, 14, 22],
    weights,
    undecayed: [3],
    fixed: initial,
    note: "unrolled over time",
    composed: true,
    emit: (c) => unroll(kind, c),
  });

export const recurrentOps = [
  recurrent("RNN", rnnKind, [1, 2, 3], [5]),
  recurrent("GRU", gruKind, [1, 2, 3], [5]),
  recurrent("LSTM", lstmKind, [1, 2, 3, 7], [5, 6]),
  reverseSequence,
] as const;
