// Path -> Dataset, for Node. Finds and reads files; what is in them is told by their first bytes, in the files beside
// this one. The only file of this room that browsers can't load.
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { checkKeys, DistillError } from "../base/errors.ts";
import type { Dataset } from "./dataset.ts";
import { isGzip } from "./gunzip.ts";
import { isIdx } from "./idx.ts";
import { idxDataset } from "./idx-dataset.ts";
import type { ScalingOptions } from "./image-dataset.ts";
import type { ClassOptions } from "./labels.ts";
import { isZip } from "./npz.ts";
import { npzDataset, type Split } from "./npz-dataset.ts";

export interface OpenDatasetOptions extends ScalingOptions, ClassOptions {
  /** Which part; default: "train" where there are parts, otherwise all of it. */
  readonly split?: Split;
}

/**
 * Opens a data set on disk:
 *
 * - a folder with MNIST's file names: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`,
 *   `t10k-labels-idx1-ubyte`, each also with `.gz`, or with a dot before `idx`;
 * - `images,labels`: two IDX files separated by a comma;
 * - one IDX file: images without labels;
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
      `${path}: no such file or folder; expected a folder with ${fileNames("train", "images")[0]}[.gz] and its kin, an .npz file, or two IDX files "images,labels"`,
    );
  const [first, second] = kind === "nothing" ? parts.map((part) => part.trim()) : [path];
  const named = await withClassNames(dirname(first!), rest);
  const bytes = await readBytes(first!);
  if (second === undefined && isZip(bytes))
    return npzDataset(bytes, { ...named, source: path, ...(split && { split }) });
  if (!isIdx(bytes) && !isGzip(bytes))
    throw new DistillError("E_FILE", `${first}: neither an IDX file (gzipped or not) nor an .npz file`);
  if (split === "test" && second === undefined)
    throw new DistillError("E_FILE", `${path}: a single IDX file has no test part; give the folder it is in`);
  const labels = second === undefined ? undefined : await readBytes(second);
  return idxDataset(bytes, labels, {
    ...named,
    imagesSource: first!,
    ...(second !== undefined && { labelsSource: second }),
  });
}

async function openFolder(
  folder: string,
  split: Split,
  options: ScalingOptions & ClassOptions,
): Promise<Dataset> {
  const present = await readdir(folder);
  const find = (what: "images" | "labels") => fileNames(split, what).find((name) => present.includes(name));
  const images = find("images");
  if (images === undefined) {
    const files = present.sort().slice(0, 8).join(", ");
    throw new DistillError(
      "E_FILE",
      `${folder}: no ${split} images: looked for ${fileNames(split, "images").join(", ")}; the folder holds ${files || "nothing"}${present.length > 8 ? ", …" : ""}`,
    );
  }
  const labels = find("labels");
  const named = await withClassNames(folder, options);
  return idxDataset(
    await readBytes(join(folder, images)),
    labels === undefined ? undefined : await readBytes(join(folder, labels)),
    {
      ...named,
      imagesSource: join(folder, images),
      ...(labels !== undefined && { labelsSource: join(folder, labels) }),
    },
  );
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
