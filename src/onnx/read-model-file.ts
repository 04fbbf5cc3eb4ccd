// Path -> Model, with external data from beside the model file only. For Node; browsers use readModel.
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DistillError } from "../base/errors.ts";
import type { Model } from "./model.ts";
import { buildModel, checkLocation, externalLocations, parseProto } from "./read-model.ts";

/**
 * Reads the ONNX model at `path`. External data is looked for in the model's own folder and below; a model that names an
 * absolute path or `..` is refused (E_MODEL). Otherwise as `readModel`; E_FILE where a file can't be read.
 *
 * @example
 * const teacher = await readModelFile("models/teacher.onnx");
 */
export async function readModelFile(path: string): Promise<Model> {
  const bytes = await readWhole(path, path);
  const proto = parseProto(bytes, path);
  const files = new Map<string, Uint8Array>();
  for (const location of externalLocations(proto)) {
    checkLocation(location, path);
    const what = `${path}: the external file "${location}"`;
    files.set(location, await readWhole(join(dirname(path), location), what));
  }
  return buildModel({ proto, bytes }, path, (location) => files.get(location) as Uint8Array);
}

/** Reads in parts, for `readFile` stops at 2 GiB and external data does not. */
async function readWhole(path: string, what: string): Promise<Uint8Array> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const info = await file.stat();
    if (!info.isFile()) throw new DistillError("E_FILE", `${what}: not a file`);
    const bytes = new Uint8Array(info.size);
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
    if (cause instanceof DistillError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "no such file" : code === "EACCES" ? "may not be read" : message;
    throw new DistillError("E_FILE", `${what}: ${why}`, { cause });
  } finally {
    await file?.close();
  }
}
