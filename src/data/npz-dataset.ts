// An .npz archive as a data set: which array is what. Takes bytes: works in the browser too.
import { checkKeys, DistillError } from "../base/errors.ts";
import { isFloat, type Tensor } from "../base/tensor.ts";
import { arrayDataset } from "./array-dataset.ts";
import { roleOf } from "./array-names.ts";
import type { Dataset } from "./dataset.ts";
import { imageDataset, type ScalingOptions } from "./image-dataset.ts";
import { joinInputs } from "./join-inputs.ts";
import { type ClassOptions, readLabels } from "./labels.ts";
import { npzNames, readNpz } from "./npz.ts";

export type Split = "train" | "test";

export interface NpzDatasetOptions extends ScalingOptions, ClassOptions {
  /** Which part; default: "train" where the archive has parts, otherwise all of it. */
  readonly split?: Split;
  /** Name of the file for messages; default "npz". */
  readonly source?: string;
}

type Part = Split | "all";

/** The one input without a name, and labels, in the order they are looked for; upper and lower case are one. */
const samplesNames: Readonly<Record<Part, readonly string[]>> = {
  train: ["x_train", "train_images"],
  test: ["x_test", "test_images"],
  all: ["x", "images"],
};
const labelsNames: Readonly<Record<Part, readonly string[]>> = {
  train: ["y_train", "train_labels", "labels_train"],
  test: ["y_test", "test_labels", "labels_test"],
  all: ["y", "labels"],
};

/**
 * Reads a data set from an .npz archive. One input: `x_train`, `y_train`, `x_test`, `y_test` (or `train_images`,
 * `train_labels`, …), or just `x`, `y` (or `images`, `labels`). Several: an array for each input of the model, named for it,
 * with `_train` or `_test` behind, and `y_train`, `y_test`; or, where there are no parts, bare names, and `y`. Without the array
 * of labels, a data set without labels. Other names that publishers use are known too (`data` and `target`, `trainX` and
 * `trainY`; `roleOf`), and `arr_0`, `arr_1` of arrays saved without names.
 *
 * Images (uint8 arrays of rank 3 and more, and the only array, if it holds uint8 or floats) go through `imageDataset`; other
 * floats become float32; whole numbers of rank 1 and 2 and 64-bit ones (token ids, masks) are passed on as they are.
 *
 * No such arrays, or arrays of different lengths: E_DATA. The rest as `readNpz` and `imageDataset`.
 *
 * @example
 * const test = npzDataset(bytes, { split: "test", mean: 0.1307, std: 0.3081 });
 * // np.savez("texts.npz", input_ids_train=ids, attention_mask_train=mask, y_train=labels)
 */
export function npzDataset(bytes: Uint8Array, options: NpzDatasetOptions = {}): Dataset {
  const { split, source = "npz", ...rest } = options;
  checkKeys("npzDataset", options, ["split", "source", "mean", "std", "layout", "classes", "classNames"]);
  const names = npzNames(bytes, source);
  const wanted: Part[] = split === "test" ? ["test"] : ["train", "all"];
  const found = wanted.map((part) => arraysOf(part, names)).find((arrays) => arrays.inputs.length > 0);
  const held = names.map((n) => `"${n}"`).join(", ") || "no arrays";
  if (!found) {
    const lookedFor = wanted.flatMap((part) =>
      samplesNames[part].map((x, i) => `"${x}" and "${labelsNames[part][i]}"`),
    );
    throw new DistillError(
      "E_DATA",
      `${source}: no ${split ?? "training"} samples: looked for ${lookedFor.join(", or ")}, or "<input>_${split ?? "train"}" for each input of the model; found ${held}`,
    );
  }
  const arrays = readNpz(bytes, source, [
    ...found.inputs.map((i) => i.array),
    ...(found.labels === undefined ? [] : [found.labels]),
  ]);
  const labels = found.labels === undefined ? undefined : (arrays.get(found.labels) as Tensor);
  const { mean, std, layout, ...classOptions } = rest;
  const inputs = found.inputs.map((i) => ({ ...i, tensor: arrays.get(i.array) as Tensor }));
  const alone = inputs.length === 1;
  const [first, ...more] = inputs.map(({ name, array, tensor }) =>
    inputDataset(tensor, { name, array, alone, source, scaling: { mean, std, layout } }),
  );
  if (inputs.length > 1 && !inputs.some((i) => isImage(i.tensor, false)))
    refuseScaling(rest, inputs[0]?.array as string, inputs[0]?.tensor as Tensor, source);
  const known = labels && readLabels(labels, classOptions, source);
  const data = joinInputs([first as Dataset, ...more], known, source);
  if (known) return data;
  const looked = labelsNames[found.part].slice(0, 2).map((n) => `"${n}"`);
  return {
    ...data,
    unlabelled: `${source} holds ${held}, and none of them is taken for labels (${looked.join(", ")} and the like)`,
  };
}

/**
 * An array as a data set of one input: images (uint8 of rank 3 and more, and what stands alone, uint8 or floats) are scaled,
 * everything else is as it is.
 */
export function inputDataset(
  tensor: Tensor,
  o: {
    readonly name?: string | undefined;
    readonly array: string;
    readonly alone: boolean;
    readonly source: string;
    readonly scaling: { readonly [K in keyof ScalingOptions]: ScalingOptions[K] | undefined };
  },
): Dataset {
  const { name, array, alone, source } = o;
  const named = name === undefined ? {} : { name };
  const { mean, std, layout } = o.scaling;
  const scaling: ScalingOptions = {
    ...(mean !== undefined && { mean }),
    ...(std !== undefined && { std }),
    ...(layout !== undefined && { layout }),
  };
  if (isImage(tensor, alone)) return imageDataset({ images: tensor, ...named, source, ...scaling });
  if (alone) refuseScaling(scaling, array, tensor, source);
  return arrayDataset({ inputs: [{ ...asFloat32(tensor), ...named }], source });
}

interface FoundArrays {
  readonly part: Part;
  readonly inputs: readonly { readonly array: string; readonly name?: string }[];
  readonly labels: string | undefined;
}

/** Arrays that publishers put beside their data. */
const beside = /names?$|^descr$|^filenames?$|^frame$|^classes$/i;

/** The arrays of a part, by their names alone. */
function arraysOf(part: Part, names: readonly string[]): FoundArrays {
  const find = (known: readonly string[]) =>
    known.map((name) => names.find((n) => n.toLowerCase() === name)).find((n) => n !== undefined);
  const like = names
    .map((name) => ({ name, role: roleOf(name) }))
    .filter(({ role }) => role?.part === part && role.rest === "")
    .sort((a, b) => (a.role?.rank ?? 0) - (b.role?.rank ?? 0));
  const likely = (kind: "samples" | "labels") => like.find(({ role }) => role?.kind === kind)?.name;
  const usual = find(samplesNames[part]);
  const others = names.filter(
    (name) => ofPart(name, part) && !beside.test(name) && !like.some((l) => l.name === name),
  );
  // A name as usual as "data" may be an input's own where others stand beside it.
  const unnamed = usual ?? (others.length === 0 ? likely("samples") : undefined);
  const labels = find(labelsNames[part]) ?? (unnamed === undefined ? undefined : likely("labels"));
  if (unnamed === undefined && part === "all" && numbered(names))
    return { part, inputs: [{ array: "arr_0" }], labels: names.includes("arr_1") ? "arr_1" : undefined };
  const inputs: { array: string; name?: string }[] = unnamed === undefined ? [] : [{ array: unnamed }];
  // A bare array beside x may be anything.
  const alone = unnamed !== undefined && (part === "all" || usual === undefined);
  for (const array of alone ? [] : names) {
    if (array === unnamed || array === labels) continue;
    if (part === "all") {
      if (!ofSomePart(array)) inputs.push({ array, name: array });
    } else if (array.toLowerCase().endsWith(`_${part}`))
      inputs.push({ array, name: array.slice(0, -part.length - 1) });
  }
  return { part, inputs, labels };
}

const ofSomePart = (name: string): boolean => /(_(train|test)$)|(^(train|test)_)/i.test(name);
const ofPart = (name: string, part: Part): boolean =>
  part === "all" ? !ofSomePart(name) : new RegExp(`(_${part}$)|(^${part}_)`, "i").test(name);

/** Saved without names: samples and labels in that order. Of more than two arrays nobody can say. */
const numbered = (names: readonly string[]): boolean =>
  names.length <= 2 && names.includes("arr_0") && (names.length === 1 || names.includes("arr_1"));

function isImage({ dtype, dims }: Tensor, alone: boolean): boolean {
  if (dtype === "uint8") return alone || dims.length > 2;
  if (!alone || dtype === "int64" || dtype === "uint64") return false;
  return isFloat(dtype) || dims.length > 2;
}

function refuseScaling({ mean, std, layout }: ScalingOptions, name: string, t: Tensor, source: string): void {
  if ((mean ?? std) === undefined && (layout ?? "auto") === "auto") return;
  if (layout === "as-is" && (mean ?? std) === undefined) return;
  throw new DistillError(
    "E_OPTION",
    `${source}: "${name}" is ${t.dtype} and can't be scaled; drop mean, std and layout, or save it as uint8 or float32`,
  );
}

/** NumPy's own floats are float64, models' are not. */
function asFloat32(t: Tensor): Tensor {
  if (t.dtype !== "float64") return t;
  return { dtype: "float32", dims: t.dims, data: Float32Array.from(t.data as Float64Array) };
}
