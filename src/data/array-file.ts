// A file that holds one array: IDX, .npy, or an .npz archive with a single one; gzipped or not. Told by its first bytes.
import { DistillError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { gunzipIfNeeded } from "./gunzip.ts";
import { isIdx, readIdx } from "./idx.ts";
import { isNpy, isZip, npzNames, readNpy, readNpz } from "./npz.ts";

/** Errors: E_FILE for another file, or one that is damaged; E_DATA for an archive of several arrays. */
export async function readArrayFile(bytes: Uint8Array, source: string): Promise<Tensor> {
  const raw = await gunzipIfNeeded(bytes, source);
  if (isNpy(raw)) return readNpy(raw, source);
  if (isIdx(raw)) return readIdx(raw, source);
  if (!isZip(raw))
    throw new DistillError(
      "E_FILE",
      `${source}: neither an IDX file (gzipped or not) nor an .npy or .npz file`,
    );
  const names = npzNames(raw, source);
  const [name] = names;
  if (name === undefined || names.length > 1)
    throw new DistillError(
      "E_DATA",
      `${source} holds ${names.length} arrays (${names.map((n) => `"${n}"`).join(", ") || "none"}), expected one, of images or of labels; give the archive alone, or save them in files of their own`,
    );
  return readNpz(raw, source, [name]).get(name) as Tensor;
}
