// Raw label arrays -> class indices, and how many classes there are.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Tensor } from "../base/tensor.ts";
import { checkLabels } from "./dataset.ts";

export interface ClassOptions {
  /** Number of classes; default: as many as there are names, or the largest label plus 1. */
  readonly classes?: number;
  readonly classNames?: readonly string[];
}

export interface Labels {
  readonly labels: Int32Array;
  readonly classes: number;
  readonly classNames?: readonly string[];
}

/** Class indices from an array `[N]` or `[N, 1]` of whole numbers, whatever its element type; otherwise E_DATA. */
export function readLabels(array: Tensor, options: ClassOptions, source: string): Labels {
  const { dims, data } = array;
  const column = dims.length === 2 && dims[1] === 1;
  if (dims.length !== 1 && !column)
    throw new DistillError(
      "E_DATA",
      `${source}: labels have shape ${formatShape(dims)}, expected [N] class indices; give the index of the class, not one-hot rows`,
    );
  const values = Array.from(data as ArrayLike<number | bigint>, Number);
  return resolveClasses(values, options, source);
}

/** Settles the number of classes and holds every label to it. */
export function resolveClasses(values: ArrayLike<number>, options: ClassOptions, source: string): Labels {
  const { classNames } = options;
  let largest = -1;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isInteger(value) || value < 0)
      throw new DistillError(
        "E_DATA",
        `${source}: sample ${i} has label ${value}; labels are class indices: whole numbers from 0 on`,
      );
    largest = Math.max(largest, value);
  }
  const classes = options.classes ?? classNames?.length ?? largest + 1;
  if (!Number.isInteger(classes) || classes < 0)
    throw new DistillError("E_ARGUMENT", `${source}: expected a whole number of classes, got ${classes}`);
  if (classNames && classNames.length !== classes)
    throw new DistillError(
      "E_DATA",
      `${source}: ${classNames.length} class names for ${classes} classes; name every class, or none`,
    );
  checkLabels(values, classes, source);
  return { labels: Int32Array.from(values), classes, ...(classNames && { classNames }) };
}
