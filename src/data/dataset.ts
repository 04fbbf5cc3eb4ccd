// What the training loop asks of data. Users implement `Dataset`; this room has a few ready ones. Knows no file
// format and no model.
import { DistillError } from "../base/errors.ts";
import type { NumericDType, Tensor } from "../base/tensor.ts";

/** One input of every sample. */
export interface DatasetInput {
  /** The model input it feeds; without a name, inputs are matched by their order. */
  readonly name?: string;
  /**
   * Shape of one sample, without the batch dimension: `[1, 28, 28]`. A name, null or -1 stands for a size that differs from
   * batch to batch (texts padded to the longest of their batch); a number is the largest that a batch has.
   */
  readonly dims: readonly (number | string | null)[];
  readonly dtype: NumericDType;
  /**
   * What a raw 0 (black) has become by normalisation, one value or one per channel; augmentation pads with it.
   * Default 0.
   */
  readonly zero?: number | readonly number[];
  /**
   * Of images made of bytes, how they were: a model whose input takes whole numbers is given them as they are,
   * byte = 255 · (x · std + mean), and one that has channels last is given them so.
   */
  readonly pixels?: PixelScaling;
}

/** One value per channel of samples `[C, H, W]`. */
export interface PixelScaling {
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** How samples lie in the data: `[C, H, W]`, `[H, W, C]` or `[H, W]`. */
  readonly stored: "nchw" | "nhwc" | "nhw";
}

/** A size that is a number; undefined for one that is left open. */
export const knownSize = (size: number | string | null | undefined): number | undefined =>
  typeof size === "number" && size >= 0 ? size : undefined;

/** Whether batches may differ in shape: sizes are left open, or `read`, a batch of the data set, is smaller than declared. */
export function isVarying(declared: readonly DatasetInput[], read: readonly Tensor[]): boolean {
  return declared.some(({ dims }, i) => dims.some((d, k) => knownSize(d) !== read[i]?.dims[k + 1]));
}

export interface SampleBatch {
  /** As `Dataset.inputs`, each `[n, ...dims]`. */
  readonly inputs: readonly Tensor[];
  /**
   * Where the data set has labels: `[n]` class indices, or a tensor `[n, ...]` of whatever the task learns from. What a
   * task makes of them is in src/tasks.
   */
  readonly labels?: Labels;
}

export type Labels = Int32Array | Tensor;

/** Labels as a tensor, whichever way they are given. */
export function labelTensor(labels: Labels): Tensor {
  return labels instanceof Int32Array ? { dtype: "int32", dims: [labels.length], data: labels } : labels;
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
  /** Where files hold no labels: which arrays there are, as a sentence. Stands in messages. */
  readonly unlabelled?: string;
  /** Number of classes, where the labels are class indices: 0 .. classes-1. */
  readonly classes?: number;
  readonly classNames?: readonly string[];
  read(indices: ArrayLike<number>): SampleBatch | Promise<SampleBatch>;
  /**
   * The labels of some samples without their inputs, where that is cheap: all labels are then checked before the first
   * step of training.
   */
  readLabels?(indices: ArrayLike<number>): Labels | Promise<Labels>;
}

/** What a data set says of its samples, for one that reads the same samples otherwise. */
export function describing(
  dataset: Dataset,
): Pick<Dataset, "inputs" | "hasLabels" | "unlabelled" | "classes" | "classNames"> {
  return {
    inputs: dataset.inputs,
    hasLabels: dataset.hasLabels,
    ...(dataset.unlabelled !== undefined && { unlabelled: dataset.unlabelled }),
    ...(dataset.classes !== undefined && { classes: dataset.classes }),
    ...(dataset.classNames && { classNames: dataset.classNames }),
  };
}

/** Refuses (E_DATA) the first label that is not a whole number from 0 to classes-1. */
export function checkLabels(labels: ArrayLike<number>, classes: number, source: string): void {
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (Number.isInteger(label) && label >= 0 && label < classes) continue;
    const labelled = `${source}: sample ${i} has label ${label}`;
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
