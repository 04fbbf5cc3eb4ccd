// Shape rules that the op families share: same as the first input, broadcasting, reductions, axes. All shapes are static.
// What does not fit is an error that names the op, the node and the shapes found.
import { DistillError } from "../base/errors.ts";
import { broadcastShapes, type DType, formatShape, type Shape } from "../base/tensor.ts";
import type { InferContext, InferRule } from "./define.ts";

/** y has the type of the first input. */
export const sameAsFirst: InferRule = (c) => [c.type(0)];

/** y has the inputs' common element type and their broadcast shape. */
export const broadcasting: InferRule = (c) => [{ dtype: sameDType(c), dims: broadcastDims(c) }];

/** Comparisons: bool, of the inputs' broadcast shape. */
export const comparing: InferRule = (c) => {
  sameDType(c);
  return [{ dtype: "bool", dims: broadcastDims(c) }];
};

/** The element type that the inputs (all, unless `indices` says which) have in common. */
export function sameDType(c: InferContext, indices = allInputs(c)): DType {
  const dtypes = indices.map((i) => c.type(i).dtype);
  const first = dtypes[0] as DType;
  if (dtypes.some((d) => d !== first))
    throw new DistillError(
      "E_SHAPE",
      `${c.where}: its inputs are ${dtypes.join(" and ")}; ONNX wants one element type, put a Cast before it`,
    );
  return first;
}

/** The shape that the inputs (all, unless `indices` says which) broadcast to. */
export function broadcastDims(c: InferContext, indices = allInputs(c)): Shape {
  const shapes = indices.map((i) => c.dims(i));
  const dims = broadcastShapes(...shapes);
  if (!dims)
    throw new DistillError(
      "E_SHAPE",
      `${c.where}: the shapes ${shapes.map(formatShape).join(" and ")} do not broadcast; each axis, counted from the last, must be equal or 1`,
    );
  return dims;
}

/** `axis` counted from the front, for a tensor of `rank` axes. */
export function axisOf(axis: number, rank: number, where: string): number {
  const counted = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || counted < 0 || counted >= Math.max(rank, 1))
    throw new DistillError(
      "E_SHAPE",
      `${where}: axis ${axis} is outside a tensor of rank ${rank}; it must be in [${-rank}, ${rank - 1}]`,
    );
  return counted;
}

/** Axes counted from the front, ascending, each once. */
export function axesOf(axes: readonly number[], rank: number, where: string): number[] {
  return [...new Set(axes.map((a) => axisOf(a, rank, where)))].sort((p, q) => p - q);
}

/** `dims` with the given axes reduced: to ones (`keep`), or gone. */
export function reducedDims(dims: Shape, axes: readonly number[], keep: boolean): Shape {
  return dims.flatMap((d, i) => (!axes.includes(i) ? [d] : keep ? [1] : []));
}

function allInputs(c: InferContext): number[] {
  return Array.from({ length: c.count }, (_, i) => i).filter((i) => c.has(i));
}
