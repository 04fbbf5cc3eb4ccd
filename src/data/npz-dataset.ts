// An .npz archive as a data set: which array is what. Takes bytes: works in the browser too.
import { checkKeys, DistillError } from "../base/errors.ts";
import { arrayDataset } from "./array-dataset.ts";
import type { Dataset } from "./dataset.ts";
import { imageDataset, type ScalingOptions } from "./image-dataset.ts";
import { type ClassOptions, readLabels } from "./labels.ts";
import { npzNames, readNpz } from "./npz.ts";

export type Split = "train" | "test";

export interface NpzDatasetOptions extends ScalingOptions, ClassOptions {
  /** Which part; default: "train" where the archive has parts, otherwise all of it. */
  readonly split?: Split;
  /** Name of the file for messages; default "npz". */
  readonly source?: string;
}

/** Samples and labels, in the order they are looked for; upper and lower case are one. */
const pairs: Readonly<Record<Split | "all", readonly (readonly [string, string])[]>> = {
  train: [
    ["x_train", "y_train"],
    ["train_images", "train_labels"],
  ],
  test: [
    ["x_test", "y_test"],
    ["test_images", "test_labels"],
  ],
  all: [
    ["x", "y"],
    ["images", "labels"],
  ],
};

/**
 * Reads a data set from an .npz archive with the arrays `x_train`, `y_train`, `x_test`, `y_test` (or `train_images`,
 * `train_labels`, …), or just `x`, `y` (or `images`, `labels`). Without the array of labels, a data set without labels.
 * uint8 and float samples go through `imageDataset`, 64-bit integers are passed on as they are.
 *
 * No such arrays: E_DATA. The rest as `readNpz` and `imageDataset`.
 *
 * @example
 * const test = npzDataset(bytes, { split: "test", mean: 0.1307, std: 0.3081 });
 */
export function npzDataset(bytes: Uint8Array, options: NpzDatasetOptions = {}): Dataset {
  const { split, source = "npz", ...rest } = options;
  checkKeys("npzDataset", options, ["split", "source", "mean", "std", "layout", "classes", "classNames"]);
  const names = npzNames(bytes, source);
  const find = (name: string) => names.find((n) => n.toLowerCase() === name);
  const wanted = split
    ? [...pairs[split], ...(split === "train" ? pairs.all : [])]
    : [...pairs.train, ...pairs.all];
  const pair = wanted.find(([samples]) => find(samples));
  if (!pair) {
    const lookedFor = wanted.map(([samples, labels]) => `"${samples}" and "${labels}"`).join(", or ");
    throw new DistillError(
      "E_DATA",
      `${source}: no ${split ?? "training"} samples: looked for ${lookedFor}; found ${names.map((n) => `"${n}"`).join(", ") || "no arrays"}`,
    );
  }
  const [samplesName, labelsName] = pair.map(find);
  const arrays = readNpz(bytes, source, [samplesName!, ...(labelsName ? [labelsName] : [])]);
  const samples = arrays.get(samplesName!)!;
  const labels = labelsName === undefined ? undefined : arrays.get(labelsName)!;
  if (samples.dtype !== "int64" && samples.dtype !== "uint64")
    return imageDataset({ ...rest, images: samples, ...(labels && { labels }), source });
  const { mean, std, layout, ...classOptions } = rest;
  if ((mean ?? std) !== undefined || (layout ?? "as-is") !== "as-is")
    throw new DistillError(
      "E_OPTION",
      `${source}: "${samplesName}" is ${samples.dtype} and can't be scaled; drop mean, std and layout, or save it as uint8 or float32`,
    );
  return arrayDataset({
    inputs: [samples],
    source,
    ...(labels && readLabels(labels, classOptions, source)),
  });
}
