// A file of weights that stays where it is: its bytes are read when asked for, and a runtime may map it. For Node.
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { DistillError } from "../base/errors.ts";
import type { FileOnDisk } from "../base/value-info.ts";

/** The file `path` in `folder`. `slice` throws E_FILE where the file was changed since. */
export function fileOnDisk(folder: string, path: string, extra: { own?: boolean } = {}): FileOnDisk {
  const full = join(folder, path);
  const { size, mtimeMs } = statSync(full);
  const slice = (offset: number, length: number): Uint8Array => {
    const file = openSync(full, "r");
    try {
      const now = fstatSync(file);
      if (now.size !== size || now.mtimeMs !== mtimeMs)
        throw new DistillError("E_FILE", `${full}: the file was changed while the model was in use`);
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; ) {
        const read = readSync(file, bytes, at, Math.min(length - at, 2 ** 30), offset + at);
        if (read === 0) throw new DistillError("E_FILE", `${full}: ends at byte ${offset + at} of ${size}`);
        at += read;
      }
      return bytes;
    } finally {
      closeSync(file);
    }
  };
  return {
    ...extra,
    path,
    folder,
    size,
    slice,
    get data() {
      return slice(0, size);
    },
  };
}
