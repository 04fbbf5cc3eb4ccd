// Inputs of a data set that a model takes once for all samples of a batch: held to be alike as they are read.
import { DistillError } from "../base/errors.ts";
import { takeSamples } from "../base/samples.ts";
import { type Tensor, toNumbers } from "../base/tensor.ts";
import { type Dataset, describing } from "../data/dataset.ts";
import { describeFixed } from "../prepare/fixed-inputs.ts";

export interface Alike {
  readonly value: Tensor;
  /** What takes it, for messages. */
  readonly taker: string;
}

/** The data set, whose `alike` inputs are held to be so as they are read. The same object for the same arguments. */
export function heldAlike(dataset: Dataset, alike: ReadonlyMap<number, Alike>, name = "the data"): Dataset {
  if (alike.size === 0) return dataset;
  const key = [...alike].map(([at, { value, taker }]) => `${at} ${taker} ${toNumbers(value)}`).join("|");
  const known = heldSets.get(dataset) ?? new Map<string, Dataset>();
  heldSets.set(dataset, known);
  const found = known.get(key);
  if (found) return found;
  const held: Dataset = {
    ...describing(dataset),
    length: dataset.length,
    ...(dataset.readLabels && {
      readLabels: (indices: ArrayLike<number>) =>
        (dataset.readLabels as NonNullable<Dataset["readLabels"]>)(indices),
    }),
    async read(indices) {
      const batch = await dataset.read(indices);
      for (const [at, one] of alike) checkAlike(batch.inputs[at] as Tensor, one, indices, name);
      return batch;
    },
  };
  known.set(key, held);
  return held;
}

const heldSets = new WeakMap<Dataset, Map<string, Dataset>>();

function checkAlike(read: Tensor, { value, taker }: Alike, indices: ArrayLike<number>, name: string): void {
  const size = value.data.length;
  const other = read.data.findIndex((v, i) => !Object.is(v, value.data[i % size]));
  if (other < 0 && read.data.length === size * indices.length) return;
  const k = Math.floor(other / size);
  const text = describeFixed({ ...takeSamples(read, [k]), dims: [] });
  throw new DistillError(
    "E_DATA",
    `${taker} is one for all samples of a batch, but ${name} has ${text} for sample ${indices[k]} and ${describeFixed(value)} before; give data sets of one value each, or export the model with a value for each sample`,
  );
}
