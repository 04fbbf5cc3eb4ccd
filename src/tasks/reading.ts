// How one model's output is read: which of its axes count samples and classes, and whether its values are logits or
// probabilities. As graph values and on arrays; both give logits in the form that the tasks know (see rows.ts): samples in
// front, classes second of rank 4 and more and last otherwise, axes of length 1 that the task has no use for left out.
import { neuronAxis } from "../base/layout.ts";
import { type Shape, sizeOf, type Tensor } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { OutputKind } from "../strategies/index.ts";
import { type Gives, givesNames } from "./gives.ts";
import type { Task } from "./task.ts";

export { type Gives, givesNames };

export interface OutputLayout {
  /** Of the output as the model gives it. */
  readonly rank: number;
  readonly batchAxis: number;
  /** Undefined of rank 1: one number for each sample. */
  readonly classAxis: number | undefined;
}

export interface OutputReading extends OutputLayout {
  readonly gives: Gives;
}

/** The layout that a rank has where nothing tells of another. */
export function usualLayout(rank: number): OutputLayout {
  return { rank, batchAxis: 0, classAxis: rank < 2 ? undefined : neuronAxis(rank) };
}

/** The output's axes in the order in which they are read: samples, positions that are kept, classes, and axes left out. */
interface ReadAxes {
  readonly positions: readonly number[];
  readonly left: readonly number[];
}

/** Undefined where the task does not take such logits. */
function readAxes(dims: Shape, { batchAxis, classAxis }: OutputLayout, task: Task): ReadAxes | undefined {
  const positions = dims.map((_, i) => i).filter((i) => i !== batchAxis && i !== classAxis);
  const left: number[] = [];
  while (!task.takesRank(dims.length - left.length)) {
    const one = positions.findIndex((i) => dims[i] === 1);
    if (one < 0) return undefined;
    left.push(...positions.splice(one, 1));
  }
  return { positions, left };
}

/** The shape of the logits as the task knows it; undefined where it does not take them. */
export function readShape(dims: Shape, layout: OutputLayout, task: Task): Shape | undefined {
  const axes = readAxes(dims, layout, task);
  return axes && order(layout, axes).map((i) => dims[i] as number);
}

/** Whether the task takes logits of that shape, some axes of length 1 left out or not. */
export function isReadable(dims: Shape, task: Task): boolean {
  const ones = dims.filter((d) => d === 1).length;
  return Array.from({ length: ones + 1 }, (_, left) => dims.length - left).some(
    (rank) => rank > 0 && task.takesRank(rank),
  );
}

function order({ batchAxis, classAxis }: OutputLayout, { positions }: ReadAxes): number[] {
  const classes = classAxis === undefined ? [] : [classAxis];
  return neuronAxis(positions.length + 2) === 1
    ? [batchAxis, ...classes, ...positions]
    : [batchAxis, ...positions, ...classes];
}

/** Rows [R, C] of logits in the graph, of an output `x`. */
export function readRows(b: Builder, x: Value, reading: OutputReading, task: Task): Value {
  const dims = b.dims(x);
  const { batchAxis, classAxis } = reading;
  const { positions, left } = readAxes(dims, reading, task) as ReadAxes;
  const classes = classAxis === undefined ? [] : [classAxis];
  const moved = b.transpose(x, [batchAxis, ...positions, ...left, ...classes]);
  const columns = classAxis === undefined ? 1 : (dims[classAxis] as number);
  const rows = b.reshape(moved, [sizeOf(dims) / columns, columns]);
  return logitsOfRows(b, rows, reading.gives, task.outputs);
}

/** Float32 logits in the task's form, of an output `t`; shares the data where nothing has to change. */
export function readLogits(t: Tensor, reading: OutputReading, task: Task): Tensor {
  const axes = readAxes(t.dims, reading, task) as ReadAxes;
  const kept = order(reading, axes);
  const all = [...kept, ...axes.left];
  const dims = kept.map((i) => t.dims[i] as number);
  const data = permuted(t.data as Float32Array, t.dims, all);
  if (reading.gives === "logits") return { dtype: t.dtype, dims, data };
  return { dtype: t.dtype, dims, data: data.map(toLogit[reading.gives][task.outputs]) };
}

/** Labels that are shaped as the output is, moved as it is moved; any others as they are. */
export function readLabels(labels: Tensor, logits: Shape, layout: OutputLayout, task: Task): Tensor {
  if (labels.dims.length !== layout.rank || labels.dtype === "string") return labels;
  const axes = readAxes(labels.dims, layout, task);
  if (!axes) return labels;
  const kept = order(layout, axes);
  if (kept.every((axis, i) => axis === i)) return labels;
  const dims = kept.map((i) => labels.dims[i] as number);
  if (!dims.every((d, i) => d === logits[i]) || dims.length !== logits.length) return labels;
  const data = permuted(labels.data as Float32Array, labels.dims, [...kept, ...axes.left]);
  return { dtype: labels.dtype, dims, data };
}

/** The elements with the axes in that order; the same array where axes longer than 1 keep theirs. */
function permuted(data: Float32Array, dims: Shape, axes: readonly number[]): Float32Array {
  const long = axes.filter((i) => dims[i] !== 1);
  if (long.every((axis, i) => i === 0 || axis > (long[i - 1] as number))) return data;
  const strides = long.map((axis) => sizeOf(dims.slice(axis + 1)));
  const lengths = long.map((axis) => dims[axis] as number);
  const out = new (data.constructor as Float32ArrayConstructor)(data.length);
  const at = lengths.map(() => 0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from] as number;
    for (let k = long.length - 1; k >= 0; k--) {
      from += strides[k] as number;
      if (++at[k]! < (lengths[k] as number)) break;
      from -= (strides[k] as number) * (lengths[k] as number);
      at[k] = 0;
    }
  }
  return out;
}

/**
 * The least probability that a logarithm is taken of: the smallest normal float32, below which runtimes count as 0 anyway.
 * So log p is −87.3 at least, exp gives p back to the last bit, and at a temperature T a class that was said to be
 * impossible gets p^(1/T) = 3e-10 at T = 4. A floor of 1e-7 would give each such class 1.8 %.
 */
export const LEAST_PROBABILITY = 2 ** -126;
/** The same of 1 − p, where float32 has no numbers between 1 and 1 − 2⁻²⁴: half of that. The logit is 17.3 at most. */
export const LEAST_COMPLEMENT = 2 ** -25;

const log = (p: number): number => Math.log(Math.max(p, LEAST_PROBABILITY));
type Read = (p: number) => number;
/** What a value is the answer of: log p for a softmax, log p − log(1 − p) for a sigmoid. */
const toLogit: Readonly<Record<Exclude<Gives, "logits">, Readonly<Record<OutputKind, Read>>>> = {
  probabilities: {
    softmax: log,
    sigmoid: (p) => log(p) - Math.log(Math.max(1 - p, LEAST_COMPLEMENT)),
    identity: (p) => p,
  },
  "log-probabilities": {
    softmax: (logP) => logP,
    sigmoid: (logP) => logP - Math.log(Math.max(-Math.expm1(logP), LEAST_COMPLEMENT)),
    identity: (p) => p,
  },
};

function logitsOfRows(b: Builder, rows: Value, gives: Gives, kind: OutputKind): Value {
  if (gives === "logits" || kind === "identity") return rows;
  const atLeast = (x: Value, least: number): Value => b.log(b.max(x, b.like(x, least)));
  const complement = (p: Value): Value => atLeast(b.sub(b.like(rows, 1), p), LEAST_COMPLEMENT);
  if (gives === "log-probabilities") return kind === "softmax" ? rows : b.sub(rows, complement(b.exp(rows)));
  const logP = atLeast(rows, LEAST_PROBABILITY);
  return kind === "softmax" ? logP : b.sub(logP, complement(rows));
}
