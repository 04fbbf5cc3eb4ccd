// What the training loop asks of data. Users implement `Dataset`; this room has a few ready ones. Knows no file
// format and no model.
import { DistillError } from "../base/errors.ts";
import type { NumericDType, Shape, Tensor } from "../base/tensor.ts";

/** One input of every sample. */
export interface DatasetInput {
  /** The model input it feeds; without a name, inputs are matched by their order. */
  readonly name?: string;
  /** Shape of one sample, without the batch dimension: `[1, 28, 28]`. */
  readonly dims: Shape;
  readonly dtype: NumericDType;
  /**
   * What a raw 0 (black) has become by normalisation, one value or one per channel; augmentation pads with it.
   * Default 0.
   */
  readonly zero?: number | readonly number[];
}

export interface SampleBatch {
  /** As `Dataset.inputs`, each `[n, ...dims]`. */
  readonly inputs: readonly Tensor[];
  /** `[n]` class indices, where the data set has labels. */
  readonly labels?: Int32Array;
}

/**
 * A data set is a length and a way to read some samples by index. Reading the same index twice gives the same sample;
 * order, batches and augmentation come from outside (`batchOrder`, `augment`).
 *
 * @example
 * const noise: Dataset = {
 *   length: 1000,
 *   inputs: [{ dims: [3], dtype: "float32" }],
 *   hasLabels: false,
 *   read: (indices) => ({ inputs: [tensor("float32", new Float32Array(indices.length * 3), [indices.length, 3])] }),
 * };
 */
export interface Dataset {
  readonly length: number;
  readonly inputs: readonly DatasetInput[];
  readonly hasLabels: boolean;
  /** Number of classes, where the labels are class indices: 0 .. classes-1. */
  readonly classes?: number;
  readonly classNames?: readonly string[];
  read(indices: ArrayLike<number>): SampleBatch | Promise<SampleBatch>;
}

/**
 * Labels `[n]` as a float32 tensor `[n, classes]`: 1 at the label, 0 elsewhere. `samples` are the labels' indices in the
 * data set, for the message. A label outside 0 .. classes-1 is E_DATA.
 *
 * @example
 * oneHot(Int32Array.of(2, 0), 3).data; // 0 0 1  1 0 0
 */
export function oneHot(labels: ArrayLike<number>, classes: number, samples?: ArrayLike<number>): Tensor {
  if (!Number.isInteger(classes) || classes < 1)
    throw new DistillError(
      "E_ARGUMENT",
      `oneHot: expected a whole number of classes from 1 on, got ${classes}`,
    );
  checkLabels(labels, classes, "labels", samples);
  const data = new Float32Array(labels.length * classes);
  for (let i = 0; i < labels.length; i++) data[i * classes + labels[i]!] = 1;
  return { dtype: "float32", dims: [labels.length, classes], data };
}

/** Refuses (E_DATA) the first label that is not a whole number from 0 to classes-1. */
export function checkLabels(
  labels: ArrayLike<number>,
  classes: number,
  source: string,
  samples?: ArrayLike<number>,
): void {
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (Number.isInteger(label) && label >= 0 && label < classes) continue;
    const labelled = `${source}: sample ${samples?.[i] ?? i} has label ${label}`;
    throw new DistillError(
      "E_DATA",
      `${labelled}, but ${classes} classes leave only 0 to ${classes - 1}; correct the label or the number of classes`,
    );
  }
}

/** Refuses (E_ARGUMENT) an index that the data set does not have. */
export function checkIndices(indices: ArrayLike<number>, length: number, source: string): void {
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!;
    if (!Number.isInteger(index) || index < 0 || index >= length)
      throw new DistillError("E_ARGUMENT", `${source}: there is no sample ${index} among ${length}`);
  }
}
