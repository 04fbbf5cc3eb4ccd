// Options that are typed, or written into a file whose path is typed.
import { readFileSync } from "node:fs";
import { DistillError } from "../base/errors.ts";

/** What the file holds. Error: E_OPTION, telling what may be given, for a path that cannot be read. */
export function readOptionFile(flag: string, path: string, forms: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw new DistillError(
      "E_OPTION",
      `${flag} ${path} is neither numbers with commas between them nor a file that can be read; give ${forms}`,
    );
  }
}
