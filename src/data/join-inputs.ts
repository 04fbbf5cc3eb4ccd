// Data sets that each hold one input of the same samples, as one data set of several inputs. Holds no data itself.
import { aboutLabels, checkLength, gatherLabels } from "./array-dataset.ts";
import type { Dataset } from "./dataset.ts";
import type { KnownLabels } from "./labels.ts";

/** Parts of different lengths: E_DATA. */
export function joinInputs(
  parts: readonly [Dataset, ...Dataset[]],
  labels: KnownLabels | undefined,
  source: string,
): Dataset {
  const { length } = parts[0];
  for (const part of parts) checkLength(part.length, length, part.inputs[0]?.name ?? "an input", source);
  if (labels) {
    const count = labels.labels instanceof Int32Array ? labels.labels.length : labels.labels.dims[0];
    checkLength(count ?? 0, length, "the array of labels", source);
  }
  return {
    length,
    inputs: parts.flatMap((part) => part.inputs),
    ...aboutLabels(labels),
    async read(indices) {
      const read = await Promise.all(parts.map((part) => part.read(indices)));
      return {
        inputs: read.flatMap((batch) => batch.inputs),
        ...(labels && { labels: gatherLabels(labels.labels, indices) }),
      };
    },
  };
}
