// How a model's logits become rows [R, C], one row per prediction: as graph values and on arrays. Both ways agree on the
// order of the rows: samples first, then positions as they lie.
import { DistillError } from "../base/errors.ts";
import { moveNeurons, neuronAxis } from "../base/layout.ts";
import { formatShape, type Shape, sizeOf, type Tensor } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";

/** Where the samples of a batch lie: in front, or behind the time of [T, N, C]. */
export type BatchAxis = 0 | 1;

/** Shape with the samples in front. */
export function batchFirstShape(dims: Shape, axis: BatchAxis): Shape {
  return axis === 0 ? dims : [dims[1] as number, dims[0] as number, ...dims.slice(2)];
}

/** [R, C] of logits with the samples in front: [N] is [N, 1], [N, T, C] is [N·T, C], [N, C, H, W] is [N·H·W, C]. */
export function rowsShape(dims: Shape): readonly [number, number] {
  const classes = dims.length === 1 ? 1 : (dims[neuronAxis(dims.length)] as number);
  return [sizeOf(dims) / classes, classes];
}

/** Rows of `x` in the graph. */
export function rowsOf(b: Builder, x: Value, axis: BatchAxis = 0): Value {
  const dims = b.dims(x);
  const order = dims.map((_, i) => i);
  if (axis === 1) [order[0], order[1]] = [1, 0];
  const inFront = batchFirstShape(dims, axis);
  const classAxis = neuronAxis(dims.length);
  // The classes of a map go behind its positions.
  if (classAxis === 1 && dims.length > 2) order.push(...order.splice(classAxis, 1));
  return b.reshape(b.transpose(x, order), rowsShape(inFront));
}

/** Rows of a float tensor whose samples lie in front; shares the data where nothing has to move. */
export function rowsOfTensor(t: Tensor): Tensor {
  const moved = t.dims.length < 4 ? t.data : moveNeurons(t.data as Float32Array, t.dims, "last");
  return { dtype: t.dtype, dims: rowsShape(t.dims), data: moved };
}

/** Labels as they are fed (see LabelFeeds) as rows [R, C]: class indices as one-hot rows. */
export function labelRows(labels: Tensor, [rows, classes]: Shape): Tensor {
  if (labels.dtype !== "int32") return rowsOfTensor(labels);
  const data = new Float32Array((rows as number) * (classes as number));
  (labels.data as Int32Array).forEach((label, i) => {
    data[i * (classes as number) + label] = 1;
  });
  return { dtype: "float32", dims: [rows as number, classes as number], data };
}

/** The same float tensor with its samples in front. */
export function batchFirst(t: Tensor, axis: BatchAxis): Tensor {
  if (axis === 0) return t;
  const [time, samples, ...rest] = t.dims as [number, number, ...number[]];
  const each = sizeOf(rest);
  const from = t.data as Float32Array;
  const data = new Float32Array(from.length);
  for (let step = 0; step < time; step++)
    for (let n = 0; n < samples; n++) {
      const at = (step * samples + n) * each;
      data.set(from.subarray(at, at + each), (n * time + step) * each);
    }
  return { dtype: t.dtype, dims: [samples, time, ...rest], data };
}

/**
 * Which axis of logits [T, N, C] or [N, T, C] counts the `n` samples.
 *
 * Errors: E_SHAPE where neither is `n` long, or both are.
 */
export function findBatchAxis(dims: Shape, n: number, what: string): BatchAxis {
  const [first, second] = [dims[0] === n, dims[1] === n];
  if (first && second)
    throw new DistillError(
      "E_SHAPE",
      `${what} are ${formatShape(dims)} for a batch of ${n}: samples and time steps are equally many, so they can't be told apart; choose another batch size`,
    );
  if (!first && !second)
    throw new DistillError(
      "E_SHAPE",
      `${what} are ${formatShape(dims)} for a batch of ${n}; expected [N, T, C] or [T, N, C]`,
    );
  return first ? 0 : 1;
}
