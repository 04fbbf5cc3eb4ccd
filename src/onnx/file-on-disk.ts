// A file of weights that stays where it is: its bytes are read when asked for, and a runtime may map it. For Node.
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { DistillError } from "../base/errors.ts";
import type { FileOnDisk } from "../base/value-info.ts";

/**
 * The file `path` in `folder`; `slice` and `check` throw E_FILE where it was changed since. What a runtime has mapped it keeps
 * where another file takes the name; a file that is written over in place changes under it.
 */
export function fileOnDisk(folder: string, path: string, extra: { own?: boolean } = {}): FileOnDisk {
  const full = join(folder, path);
  const { size, mtimeMs } = statSync(full);
  const check = (now = statSync(full, { throwIfNoEntry: false })): void => {
    if (now?.size === size && now.mtimeMs === mtimeMs) return;
    throw new DistillError(
      "E_FILE",
      `${full}: the file was ${now ? "changed" : "removed"} while the model was in use`,
    );
  };
  const slice = (offset: number, length: number): Uint8Array => {
    check();
    const file = openSync(full, "r");
    try {
      check(fstatSync(file));
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
    check: () => check(),
    get data() {
      return slice(0, size);
    },
  };
}
