// Path -> Model, with external data from beside the model file only. For Node; browsers use readModel.
import { realpathSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema } from "onnx-buf";
import { checkKeys, DistillError } from "../base/errors.ts";
import type { ExternalFile, FileOnDisk } from "../base/value-info.ts";
import { fileOnDisk } from "./file-on-disk.ts";
import type { Model } from "./model.ts";
import { tensorsOf } from "./proto.ts";
import { buildModel, checkLocation, externalLocations, leavesFolder, parseProto } from "./read-model.ts";
import { isExternal, locationOf } from "./tensor-proto.ts";
import { thinModel } from "./thin-model.ts";

/** For `leaveFrom`: models beyond this are read as little as can be. */
export const largeModel = 2 ** 26;

export interface ReadModelFileOptions {
  /**
   * Files (the model's own, or of external data) of this many bytes or more stay on disk: weights are read when they are
   * asked for, and ONNX Runtime for Node maps them where they lie, so that they are never in this process twice. Such
   * a file must not be changed while the model is in use: until the model is loaded that is an error, later it changes the
   * weights (a new file under the same name does no harm then). Weights in Constant nodes are read all the same. Default:
   * everything is read.
   */
  readonly leaveFrom?: number;
}

/** Initialisers below this are read all the same: each that is left is a mapping of its own. */
const leastLeft = 2 ** 16;

/**
 * Reads the ONNX model at `path`. External data is looked for in the model's own folder and below; a model that names an
 * absolute path or `..` is refused (E_MODEL). Otherwise as `readModel`; E_FILE where a file can't be read.
 *
 * @example
 * const student = await readModelFile("models/student.onnx");
 * const teacher = await readModelFile("models/teacher.onnx", { leaveFrom: 2 ** 26 });
 */
export async function readModelFile(path: string, options: ReadModelFileOptions = {}): Promise<Model> {
  checkKeys("readModelFile", options, ["leaveFrom"]);
  const { leaveFrom = Number.POSITIVE_INFINITY } = options;
  const own = await thinned(path, leaveFrom);
  const bytes = own?.bytes ?? (await readWhole(path, path));
  const proto = parseProto(bytes, path);
  const files = new Map<string, ExternalFile>();
  if (own) files.set(own.file.path, own.file);

  const sizes = new Map<string, number>();
  for (const location of externalLocations(proto)) {
    if (files.has(location)) continue;
    checkLocation(location, path);
    sizes.set(location, await sizeOfFile(join(dirname(path), location), externalFile(path, location)));
  }
  // ONNX Runtime takes all external data from memory or all from disk, so small files are left with the large one.
  const leaves = own !== undefined || [...sizes.values()].some((size) => size >= leaveFrom);
  const moved = new Map<string, string>();
  for (const location of sizes.keys()) {
    const beside = join(dirname(path), location);
    const left = leaves ? leftBeside(path, beside) : undefined;
    if (!left || (left.path !== location && (sizes.has(left.path) || files.has(left.path)))) {
      files.set(location, { path: location, data: await readWhole(beside, externalFile(path, location)) });
      continue;
    }
    if (left.path !== location) moved.set(location, left.path);
    files.set(left.path, left);
  }
  const origin = { proto, bytes: moved.size > 0 ? relocated(proto, moved) : bytes };
  return buildModel(origin, path, (location) => files.get(location) as ExternalFile);
}

const externalFile = (path: string, location: string): string => `${path}: the external file "${location}"`;

/** A large model without its weights, and the file that keeps them; undefined where it is to be read whole. */
async function thinned(
  path: string,
  leaveFrom: number,
): Promise<{ bytes: Uint8Array; file: FileOnDisk } | undefined> {
  if ((await sizeOfFile(path, path)) < leaveFrom) return undefined;
  const real = realpathSync(path);
  const file = fileOnDisk(dirname(real), basename(real), { own: true });
  // A name that no location may have (of Linux, with a backslash).
  if (leavesFolder(file.path)) return undefined;
  const bytes = thinModel(file, file.path, leastLeft);
  return bytes && { bytes, file };
}

/**
 * An external file to be left where it is, links followed, as the folder of the model itself sees it: ONNX Runtime maps
 * nothing that links lead to outside of it. Undefined where that folder does not hold it.
 */
function leftBeside(path: string, beside: string): FileOnDisk | undefined {
  const folder = dirname(realpathSync(path));
  const within = relative(folder, realpathSync(beside));
  if (isAbsolute(within)) return undefined; // Of Windows, on another drive.
  const location = within.split(sep).join("/");
  return leavesFolder(location) ? undefined : fileOnDisk(folder, location);
}

/** Writes other locations into the message; its bytes. */
function relocated(proto: ModelProto, moved: ReadonlyMap<string, string>): Uint8Array {
  for (const t of tensorsOf(proto)) {
    const to = isExternal(t) ? moved.get(locationOf(t)) : undefined;
    if (to === undefined) continue;
    for (const entry of t.externalData) if (entry.key === "location") entry.value = to;
  }
  return toBinary(ModelProtoSchema, proto);
}

async function sizeOfFile(path: string, what: string): Promise<number> {
  try {
    const info = await stat(path);
    if (!info.isFile()) throw new DistillError("E_FILE", `${what}: not a file`);
    return info.size;
  } catch (cause) {
    throw unreadable(what, cause);
  }
}

/** Reads in parts, for `readFile` stops at 2 GiB and external data does not. */
async function readWhole(path: string, what: string): Promise<Uint8Array> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const bytes = new Uint8Array((await file.stat()).size);
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, at, Math.min(bytes.length - at, 2 ** 30), at);
      if (bytesRead === 0)
        throw new DistillError(
          "E_FILE",
          `${what}: ends at byte ${at} of ${bytes.length}; is it still being written?`,
        );
      at += bytesRead;
    }
    return bytes;
  } catch (cause) {
    throw unreadable(what, cause);
  } finally {
    await file?.close();
  }
}

function unreadable(what: string, cause: unknown): DistillError {
  if (cause instanceof DistillError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const why = code === "ENOENT" ? "no such file" : code === "EACCES" ? "may not be read" : message;
  return new DistillError("E_FILE", `${what}: ${why}`, { cause });
}
