// Whether a data set gives the same sample for the same index. Where it does not (augmentation at random inside read), what
// was computed of a sample once belongs to a view that no step sees again.
import { fingerprint } from "../base/fingerprint.ts";
import type { Dataset } from "../data/dataset.ts";

/** A chance of one half to be shown otherwise, as flips have, is missed once in 65,536 times. */
const probed = 16;

/** Reads a few samples twice, at most `batch` at once: more may not fit together. */
export async function repeats(data: Dataset, batch: number): Promise<boolean> {
  const n = Math.min(probed, data.length);
  const indices = Uint32Array.from({ length: n }, (_, i) => Math.floor((i * data.length) / n));
  const read = async (): Promise<string> => {
    const found: number[] = [];
    for (let from = 0; from < n; from += batch) {
      const some = indices.subarray(from, from + batch);
      const { inputs } = await data.read(some);
      // At once: a data set may use the same memory again.
      for (let i = 0; i < some.length; i++) found.push(fingerprint(inputs, i));
    }
    return found.join();
  };
  const before = await read();
  return (await read()) === before;
}
