// Which samples make up which batch. Knows indices only, never data.
import { DistillError } from "../base/errors.ts";
import { randomFor } from "../base/random.ts";

/**
 * The batches of one training epoch: full ones only, so that every step has the same shape; what is left over
 * (less than a batch) waits for another epoch's order. Depends on the arguments alone, so epoch 7 of a resumed run is
 * epoch 7 of the first.
 *
 * Defaults: `shuffle` true. Fewer samples than a batch: E_DATA.
 *
 * @example
 * for (const indices of batchOrder(dataset.length, 128, seed, epoch)) await dataset.read(indices);
 */
export function batchOrder(
  length: number,
  batch: number,
  seed: number,
  epoch: number,
  { shuffle = true }: { readonly shuffle?: boolean } = {},
): Uint32Array[] {
  checkBatch(batch);
  if (length < batch)
    throw new DistillError(
      "E_DATA",
      `a batch of ${batch} needs at least as many samples, the data set has ${length}; lower the batch size or add data`,
    );
  const order = shuffle
    ? randomFor(seed, "order", epoch).permutation(length)
    : Uint32Array.from({ length }, index);
  const batches = Math.floor(length / batch);
  return Array.from({ length: batches }, (_, i) => order.subarray(i * batch, (i + 1) * batch));
}

/** All samples in order, in batches of at most `batch`; the last may be smaller. */
export function evaluationBatches(length: number, batch: number): Uint32Array[] {
  checkBatch(batch);
  const order = Uint32Array.from({ length }, index);
  return Array.from({ length: Math.ceil(length / batch) }, (_, i) =>
    order.subarray(i * batch, (i + 1) * batch),
  );
}

const index = (_: unknown, i: number) => i;

function checkBatch(batch: number): void {
  if (!Number.isInteger(batch) || batch < 1)
    throw new DistillError("E_ARGUMENT", `batch size: expected a whole number from 1 on, got ${batch}`);
}
