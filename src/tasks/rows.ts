// How logits in the form that the tasks know (reading.ts brings a model's output into it) become rows [R, C], one row per
// prediction: as graph values and on arrays. Both ways agree on the order of the rows: samples first, then positions as they lie.
import { moveNeurons, neuronAxis } from "../base/layout.ts";
import { type Shape, sizeOf, type Tensor } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";

/** [R, C] of logits with the samples in front: [N] is [N, 1], [N, T, C] is [N·T, C], [N, C, H, W] is [N·H·W, C]. */
export function rowsShape(dims: Shape): readonly [number, number] {
  const classes = dims.length === 1 ? 1 : (dims[neuronAxis(dims.length)] as number);
  return [sizeOf(dims) / classes, classes];
}

/** Rows of `x` in the graph. */
export function rowsOf(b: Builder, x: Value): Value {
  const dims = b.dims(x);
  const order = dims.map((_, i) => i);
  const classAxis = neuronAxis(dims.length);
  // The classes of a map go behind its positions.
  if (classAxis === 1 && dims.length > 2) order.push(...order.splice(classAxis, 1));
  return b.reshape(b.transpose(x, order), rowsShape(dims));
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
