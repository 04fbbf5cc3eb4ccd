// Raw label arrays -> class indices and how many classes there are, or a tensor that a task will read. Knows no task.
import { DistillError } from "../base/errors.ts";
import { formatShape, isFloat, sizeOf, type Tensor } from "../base/tensor.ts";
import { checkLabels, type Labels } from "./dataset.ts";

export interface ClassOptions {
  /** Number of classes; default: as many as there are names, or the largest label plus 1. */
  readonly classes?: number;
  readonly classNames?: readonly string[];
}

export interface KnownLabels {
  readonly labels: Labels;
  /** Where the labels are `[N]` class indices, or the caller said so. */
  readonly classes?: number;
  readonly classNames?: readonly string[];
}

/**
 * Labels from an array `[N, ...]` of any numeric type. Whole numbers from 0 on in `[N]` or `[N, 1]` are class indices;
 * everything else (targets of a regression, labels for each position, several labels a sample) is kept as it is.
 *
 * `[N]` labels that are no class indices although a number of classes is given: E_DATA; NaN and infinities:
 * E_NOT_FINITE.
 */
export function readLabels(array: Tensor, options: ClassOptions, source: string): KnownLabels {
  const { dims, data } = array;
  if (dims.length === 1 || (dims.length === 2 && dims[1] === 1)) {
    const values = Array.from(data as ArrayLike<number | bigint>, Number);
    const asClasses = options.classes !== undefined || options.classNames !== undefined;
    if (asClasses || values.every((v) => Number.isInteger(v) && v >= 0))
      return resolveClasses(values, options, source);
  }
  return keepLabels(array, options, source);
}

/**
 * Labels as they are: float32 for floats, int32 for everything else. Not a shape `[N, ...]`, strings, or whole numbers
 * beyond 32 bits: E_DATA; NaN and infinities: E_NOT_FINITE.
 */
export function keepLabels(array: Tensor, options: ClassOptions, source: string): KnownLabels {
  const { dims, dtype, data } = array;
  if (
    dtype === "string" ||
    dtype === "float16" ||
    dtype === "bfloat16" ||
    dims.length === 0 ||
    data.length !== sizeOf(dims)
  )
    throw new DistillError(
      "E_DATA",
      `${source}: labels are a ${dtype} tensor of shape ${formatShape(dims)} with ${data.length} elements; expected numbers, a shape [N, ...] and as many elements as it says`,
    );
  const each = sizeOf(dims) / (dims[0] || 1);
  const values = data as ArrayLike<number | bigint>;
  const refuse = (i: number, code: "E_DATA" | "E_NOT_FINITE", why: string): never => {
    throw new DistillError(code, `${source}: sample ${Math.floor(i / each)} has label ${values[i]}; ${why}`);
  };
  let labels: Tensor;
  if (isFloat(dtype)) {
    for (let i = 0; i < values.length; i++)
      if (!Number.isFinite(values[i]))
        refuse(i, "E_NOT_FINITE", "drop or repair such samples before training");
    labels = { dtype: "float32", dims, data: Float32Array.from(data as Float32Array) };
  } else {
    const whole = new Int32Array(values.length);
    for (let i = 0; i < values.length; i++) {
      whole[i] = Number(values[i]);
      if (whole[i] !== Number(values[i])) refuse(i, "E_DATA", "labels are kept as 32-bit whole numbers");
    }
    labels = { dtype: "int32", dims, data: whole };
  }
  const classes = options.classes ?? options.classNames?.length;
  return {
    labels,
    ...(classes !== undefined && { classes: checkCount(classes, options.classNames, source) }),
    ...(options.classNames && { classNames: options.classNames }),
  };
}

/** Settles the number of classes and holds every label to it. */
export function resolveClasses(
  values: ArrayLike<number>,
  options: ClassOptions,
  source: string,
): Required<Pick<KnownLabels, "classes">> & KnownLabels {
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
  const classes = checkCount(options.classes ?? classNames?.length ?? largest + 1, classNames, source);
  checkLabels(values, classes, source);
  return { labels: Int32Array.from(values), classes, ...(classNames && { classNames }) };
}

function checkCount(classes: number, classNames: readonly string[] | undefined, source: string): number {
  if (!Number.isInteger(classes) || classes < 0)
    throw new DistillError("E_ARGUMENT", `${source}: expected a whole number of classes, got ${classes}`);
  if (classNames && classNames.length !== classes)
    throw new DistillError(
      "E_DATA",
      `${source}: ${classNames.length} class names for ${classes} classes; name every class, or none`,
    );
  return classes;
}
