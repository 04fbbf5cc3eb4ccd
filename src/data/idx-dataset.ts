// An IDX file of images, and one of labels if there is one, as a data set. Takes bytes: works in the browser too.
import { checkKeys } from "../base/errors.ts";
import type { Dataset } from "./dataset.ts";
import { readIdx } from "./idx.ts";
import { imageDataset, type ScalingOptions } from "./image-dataset.ts";
import type { ClassOptions } from "./labels.ts";

export interface IdxDatasetOptions extends ScalingOptions, ClassOptions {
  /** Names of the two files for messages; default "images" and "labels". */
  readonly imagesSource?: string;
  readonly labelsSource?: string;
}

/**
 * Reads a data set from IDX bytes, gzipped or not. Errors as `readIdx` and `imageDataset`.
 *
 * @example
 * const fetched = async (url: string) => new Uint8Array(await (await fetch(url)).arrayBuffer());
 * const test = await idxDataset(await fetched("t10k-images-idx3-ubyte.gz"), await fetched("t10k-labels-idx1-ubyte.gz"));
 */
export async function idxDataset(
  images: Uint8Array,
  labels: Uint8Array | undefined,
  options: IdxDatasetOptions = {},
): Promise<Dataset> {
  const { imagesSource = "images", labelsSource = "labels", ...rest } = options;
  checkKeys("idxDataset", options, [
    "imagesSource",
    "labelsSource",
    "mean",
    "std",
    "layout",
    "classes",
    "classNames",
  ]);
  const [imageArray, labelArray] = await Promise.all([
    readIdx(images, imagesSource),
    labels && readIdx(labels, labelsSource),
  ]);
  return imageDataset({
    ...rest,
    images: imageArray,
    ...(labelArray && { labels: labelArray }),
    source: labels ? `${imagesSource} with ${labelsSource}` : imagesSource,
  });
}
