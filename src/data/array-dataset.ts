// Data sets in memory, and parts of data sets. Passes numbers on as they are; scaling is image-dataset.ts's job.
import { checkKeys, DistillError } from "../base/errors.ts";
import { randomFor } from "../base/random.ts";
import {
  formatShape,
  type NumericDType,
  newArray,
  sizeOf,
  type Tensor,
  type TypedArray,
} from "../base/tensor.ts";
import { checkIndices, type Dataset, type DatasetInput, describing, type Labels } from "./dataset.ts";
import { type ClassOptions, type KnownLabels, keepLabels, resolveClasses } from "./labels.ts";

export interface ArrayDatasetOptions extends ClassOptions {
  /** One tensor `[N, ...dims]` per model input, of the element type the model wants. */
  readonly inputs: readonly (Tensor & { readonly name?: string })[];
  /** `[N]` class indices as plain numbers; or a tensor `[N, ...]`, given to the task as it is. */
  readonly labels?: ArrayLike<number> | Tensor;
  /** Stands in messages; default "data". */
  readonly source?: string;
}

/**
 * A data set over tensors in memory, which are not copied. Tensors and labels of different lengths, or labels out of
 * range: E_DATA.
 *
 * @example
 * const xor = arrayDataset({
 *   inputs: [tensor("float32", [0, 0, 0, 1, 1, 0, 1, 1], [4, 2])],
 *   labels: [0, 1, 1, 0],
 * });
 */
export function arrayDataset(options: ArrayDatasetOptions): Dataset {
  checkKeys("arrayDataset", options, ["inputs", "labels", "source", "classes", "classNames"]);
  const { inputs, source = "data" } = options;
  if (inputs.length === 0)
    throw new DistillError("E_DATA", `${source}: no inputs; give at least one tensor [N, ...dims]`);
  inputs.forEach(({ dims, dtype, data, name }, i) => {
    if (dtype === "string" || dims.length === 0 || data.length !== sizeOf(dims))
      throw new DistillError(
        "E_DATA",
        `${source}: input ${name ?? i} is a ${dtype} tensor of shape ${formatShape(dims)} with ${data.length} elements; ` +
          "expected numbers, a shape [N, ...dims] and as many elements as it says",
      );
  });
  const length = inputs[0]!.dims[0]!;
  for (const { dims, name } of inputs) checkLength(dims[0]!, length, name ?? "an input", source);
  const labels = options.labels && labelsOf(options.labels, length, options, source);
  return {
    length,
    inputs: inputs.map(
      ({ name, dims, dtype }): DatasetInput => ({
        ...(name !== undefined && { name }),
        dims: dims.slice(1),
        dtype: dtype as NumericDType,
      }),
    ),
    ...aboutLabels(labels),
    read(indices) {
      checkIndices(indices, length, source);
      return {
        inputs: inputs.map((input) => gather(input, indices)),
        ...(labels && { labels: gatherLabels(labels.labels, indices) }),
      };
    },
  };
}

function labelsOf(
  given: ArrayLike<number> | Tensor,
  length: number,
  options: ClassOptions,
  source: string,
): KnownLabels {
  const isTensor = "dims" in given;
  checkLength(isTensor ? (given.dims[0] ?? 0) : given.length, length, "labels", source);
  return isTensor ? keepLabels(given, options, source) : resolveClasses(given, options, source);
}

/** What a data set says of its labels. */
export function aboutLabels(
  known: KnownLabels | undefined,
): Pick<Dataset, "hasLabels" | "classes" | "classNames" | "readLabels"> {
  if (!known) return { hasLabels: false };
  return {
    hasLabels: true,
    ...(known.classes !== undefined && { classes: known.classes }),
    ...(known.classNames && { classNames: known.classNames }),
    readLabels: (indices) => gatherLabels(known.labels, indices),
  };
}

/** Refuses (E_DATA) a part that has another number of samples than the rest. */
export function checkLength(found: number, expected: number, what: string, source: string): void {
  if (found !== expected)
    throw new DistillError(
      "E_DATA",
      `${source}: ${expected} samples, but ${what} has ${found}; they must belong together, one for one`,
    );
}

export function gatherLabels(labels: Labels, indices: ArrayLike<number>): Labels {
  if (labels instanceof Int32Array) return Int32Array.from(indices, (i) => labels[i]!);
  return gather(labels, indices);
}

function gather(input: Tensor, indices: ArrayLike<number>): Tensor {
  const dims = [indices.length, ...input.dims.slice(1)];
  const size = sizeOf(input.dims.slice(1));
  const from = input.data as Float32Array;
  const data = newArray(input.dtype, sizeOf(dims)) as Float32Array;
  for (let i = 0; i < indices.length; i++)
    data.set(from.subarray(indices[i]! * size, (indices[i]! + 1) * size), i * size);
  return { dtype: input.dtype, dims, data: data as TypedArray };
}

/** The samples `indices` of `dataset`, in that order, as a data set of their own. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  checkIndices(indices, dataset.length, "subset");
  const chosen = Uint32Array.from(indices);
  const chosenOf = (wanted: ArrayLike<number>): Uint32Array => {
    checkIndices(wanted, chosen.length, "subset");
    return Uint32Array.from(wanted, (i) => chosen[i]!);
  };
  return {
    length: chosen.length,
    ...describing(dataset),
    ...(dataset.readLabels && {
      readLabels: (wanted: ArrayLike<number>) =>
        (dataset.readLabels as NonNullable<Dataset["readLabels"]>)(chosenOf(wanted)),
    }),
    read: (wanted) => dataset.read(chosenOf(wanted)),
  };
}

/**
 * Splits a data set at random into `round(fraction * length)` samples and the rest; both keep the samples' order.
 * `fraction` in (0, 1); a side left without samples is E_ARGUMENT.
 *
 * @example
 * const [train, validation] = split(dataset, 0.9, 42);
 */
export function split(dataset: Dataset, fraction: number, seed: number): [Dataset, Dataset] {
  const first = Math.round(fraction * dataset.length);
  if (!(fraction > 0 && fraction < 1) || first === 0 || first === dataset.length)
    throw new DistillError(
      "E_ARGUMENT",
      `split: a fraction of ${fraction} leaves one side of ${dataset.length} samples empty; choose one between 0 and 1`,
    );
  const order = randomFor(seed, "split").permutation(dataset.length);
  return [subset(dataset, order.slice(0, first).sort()), subset(dataset, order.slice(first).sort())];
}
