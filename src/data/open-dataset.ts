// Path -> Dataset, for Node. Finds and reads files; what is in them is told by their first bytes, in the files beside
// this one. The only file of this room that browsers can't load.
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { checkKeys, DistillError } from "../base/errors.ts";
import { readArrayFile } from "./array-file.ts";
import { type ArrayRole, partOf, roleOf } from "./array-names.ts";
import type { Dataset } from "./dataset.ts";
import type { ScalingOptions } from "./image-dataset.ts";
import { joinInputs } from "./join-inputs.ts";
import { type ClassOptions, readLabels } from "./labels.ts";
import { isZip, npzNames } from "./npz.ts";
import { inputDataset, npzDataset, type Split } from "./npz-dataset.ts";

export interface OpenDatasetOptions extends ScalingOptions, ClassOptions {
  /** Which part; default: "train" where there are parts, otherwise all of it. */
  readonly split?: Split;
}

/**
 * Opens a data set on disk:
 *
 * - a folder with MNIST's file names: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`,
 *   `t10k-labels-idx1-ubyte`, each also with `.gz`, or with a dot before `idx`; or with other names that say as much
 *   (`x_train.npy` and `y_train.npy`, `kmnist-test-imgs.npz`; `roleOf`), or `train.npz` and `test.npz`;
 * - `images,labels`: two files of one array each (IDX, `.npy`, `.npz`), separated by a comma;
 * - one IDX or `.npy` file: its labels are those of the file beside it that is named for them, if there is one;
 * - an `.npz` file (see `npzDataset`).
 *
 * A file `classes.txt` beside the data, one class name a line, is used where `classNames` is not given. Nothing there,
 * or nothing that fits: E_FILE with what was looked for; damaged files: E_FILE; data that don't fit together: E_DATA.
 *
 * @example
 * const test = await openDataset("assets/fashion-mnist", { split: "test", mean: 0.286, std: 0.353 });
 */
export async function openDataset(path: string, options: OpenDatasetOptions = {}): Promise<Dataset> {
  const { split, ...rest } = options;
  checkKeys("openDataset", options, ["split", "mean", "std", "layout", "classes", "classNames"]);
  if (split !== undefined && split !== "train" && split !== "test")
    throw new DistillError("E_OPTION", `${path}: unknown split "${split}"; expected "train" or "test"`);
  const kind = await kindOf(path);
  if (kind === "folder") return openFolder(path, split ?? "train", rest);

  const parts = path.split(",");
  if (kind === "nothing" && parts.length !== 2)
    throw new DistillError(
      "E_FILE",
      `${path}: no such file or folder; expected a folder with ${fileNames("train", "images")[0]}[.gz] and its kin, an .npz file, or two files "images,labels" (IDX, .npy or .npz)`,
    );
  if (kind === "nothing") {
    const [images, labels] = parts.map((part) => part.trim()) as [string, string];
    return openPair(images, labels, rest);
  }
  const bytes = await readBytes(path);
  if (isZip(bytes))
    return npzDataset(bytes, {
      ...(await withClassNames(dirname(path), rest)),
      source: path,
      ...(split && { split }),
    });
  const role = roleOf(basename(path));
  if (split === "test" && role?.part !== "test")
    throw new DistillError(
      "E_FILE",
      `${path}: a file of one array has no test part; give the folder it is in, or the files of the test part`,
    );
  const labels = role && belonging(await readdir(dirname(path)), role).labels;
  return openFiles(dirname(path), basename(path), labels, rest, bytes);
}

async function openFolder(
  folder: string,
  split: Split,
  options: ScalingOptions & ClassOptions,
): Promise<Dataset> {
  const present = await readdir(folder);
  const find = (what: "images" | "labels") => fileNames(split, what).find((name) => present.includes(name));
  const images = find("images");
  if (images !== undefined) return openFiles(folder, images, find("labels"), options);
  for (const part of split === "train" ? (["train", "all"] as const) : (["test"] as const)) {
    const [first, ...others] = samplesOf(present, part);
    if (first !== undefined && others.length > 0)
      throw new DistillError(
        "E_FILE",
        `${folder}: any of ${[first, ...others].join(", ")} may be the ${split} images; say which, and their labels: "images,labels"`,
      );
    if (first !== undefined) return openFiles(folder, first, labelsBeside(present, first), options);
  }
  const archives = present.filter((name) => name.endsWith(".npz"));
  const archive =
    archives.find((name) => partOf(name) === split) ?? (archives.length === 1 ? archives[0] : undefined);
  if (archive !== undefined)
    return openArchive(join(folder, archive), partOf(archive) === split, split, options);
  const files = present.sort().slice(0, 8).join(", ");
  throw new DistillError(
    "E_FILE",
    `${folder}: no ${split} images: looked for ${fileNames(split, "images").join(", ")}, or one named like ${split === "train" ? "x_train.npy" : "x_test.npy"}; the folder holds ${files || "nothing"}${present.length > 8 ? ", …" : ""}`,
  );
}

/** An archive that is named for a part may hold that part alone, without saying so again. */
async function openArchive(
  path: string,
  isPart: boolean,
  split: Split,
  options: ScalingOptions & ClassOptions,
): Promise<Dataset> {
  const bytes = await readBytes(path);
  const named = await withClassNames(dirname(path), options);
  const says = npzNames(bytes, path).some((name) => /train|test/i.test(name));
  return npzDataset(bytes, { ...named, source: path, ...((says || !isPart) && { split }) });
}

const isArrayFile = (name: string): boolean => /\.(npy|npz)$|\.gz$|ubyte$|idx\d/i.test(name);

/** Files that hold the samples of a part; those that have labels beside them, where some have. */
function samplesOf(present: readonly string[], part: Split | "all"): string[] {
  const found = present.filter((name) => {
    const role = isArrayFile(name) ? roleOf(name) : undefined;
    return role?.kind === "samples" && role.part === part;
  });
  const labelled = found.filter((name) => labelsBeside(present, name) !== undefined);
  return labelled.length > 0 ? labelled : found;
}

/** The files of a part that say as much as `role` beside that. */
function belonging(present: readonly string[], { part, rest }: ArrayRole) {
  const find = (kind: ArrayRole["kind"]): string | undefined => {
    const found = present.filter((name) => {
      const r = isArrayFile(name) ? roleOf(name) : undefined;
      return r?.kind === kind && r.part === part && r.rest === rest;
    });
    return found.length === 1 ? found[0] : undefined;
  };
  return { images: find("samples"), labels: find("labels") };
}

function labelsBeside(present: readonly string[], images: string): string | undefined {
  const role = roleOf(images);
  return role && belonging(present, role).labels;
}

async function openFiles(
  folder: string,
  images: string,
  labels: string | undefined,
  options: ScalingOptions & ClassOptions,
  bytes?: Uint8Array,
): Promise<Dataset> {
  const path = join(folder, images);
  if (labels !== undefined) return openPair(path, join(folder, labels), options, bytes);
  const data = await arrays(path, undefined, options, bytes ?? (await readBytes(path)));
  return {
    ...data,
    unlabelled: `${path} holds images alone, and no file beside it is named for their labels; give both: "images,labels"`,
  };
}

async function openPair(
  images: string,
  labels: string,
  options: ScalingOptions & ClassOptions,
  bytes?: Uint8Array,
): Promise<Dataset> {
  return arrays(images, labels, options, bytes ?? (await readBytes(images)));
}

async function arrays(
  images: string,
  labels: string | undefined,
  options: ScalingOptions & ClassOptions,
  bytes: Uint8Array,
): Promise<Dataset> {
  const { mean, std, layout, ...classes } = await withClassNames(dirname(images), options);
  const tensor = await readArrayFile(bytes, images);
  const known =
    labels === undefined
      ? undefined
      : readLabels(await readArrayFile(await readBytes(labels), labels), classes, labels);
  const source = labels === undefined ? images : `${images} with ${labels}`;
  const scaling = { mean, std, layout };
  const data = inputDataset(tensor, { array: basename(images), alone: true, source: images, scaling });
  return joinInputs([data], known, source);
}

/** The names that MNIST's files go by, in the order they are looked for. */
function fileNames(split: Split, what: "images" | "labels"): string[] {
  const stem = `${split === "train" ? "train" : "t10k"}-${what}`;
  const rank = what === "images" ? 3 : 1;
  return [`${stem}-idx${rank}-ubyte`, `${stem}.idx${rank}-ubyte`].flatMap((name) => [name, `${name}.gz`]);
}

async function withClassNames<T extends ClassOptions>(folder: string, options: T): Promise<T> {
  const path = join(folder, "classes.txt");
  if (options.classNames || (await kindOf(path)) !== "file") return options;
  const text = new TextDecoder().decode(await readBytes(path));
  const classNames = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return { ...options, classNames };
}

async function kindOf(path: string): Promise<"file" | "folder" | "nothing"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return "nothing";
    throw unreadable(path, cause);
  }
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): DistillError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const why = code === "ENOENT" ? "no such file" : code === "EACCES" ? "may not be read" : message;
  return new DistillError("E_FILE", `${path}: ${why}`, { cause });
}
