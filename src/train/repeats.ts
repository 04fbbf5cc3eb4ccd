// Whether a data set gives the same sample for the same index. Where it does not (augmentation at random inside read), what
// was computed of a sample once belongs to a view that no step sees again.
import { fingerprint } from "../base/fingerprint.ts";
import type { Dataset } from "../data/dataset.ts";

/** A chance of one half to be shown otherwise, as flips have, is missed once in 65,536 times. */
const probed = 16;

/** Reads a few samples twice. */
export async function repeats(data: Dataset): Promise<boolean> {
  const n = Math.min(probed, data.length);
  const indices = Uint32Array.from({ length: n }, (_, i) => Math.floor((i * data.length) / n));
  const read = async (): Promise<string> => {
    const { inputs } = await data.read(indices);
    // At once: a data set may use the same memory again.
    return Array.from(indices, (_, i) => fingerprint(inputs, i)).join();
  };
  const before = await read();
  return (await read()) === before;
}
