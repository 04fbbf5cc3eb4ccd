// A batch's inputs as a step sees them: augmented, where the run augments.
import type { Tensor } from "../base/tensor.ts";
import { augment } from "../data/augment.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Resolved } from "./options.ts";

/** Whether the run shows images otherwise than they lie in the data. */
export function augments({ augment: { flip, crop } }: Resolved): boolean {
  return flip === true || (crop ?? 0) > 0;
}

/** How many ways each sample is shown in; undefined: another in each epoch. */
export const variantsOf = (o: Resolved): number | undefined => (augments(o) ? o.augment.variants : 1);

/** Whether the teacher would be asked about the same views more than once, by this run or by those that share its outputs. */
export function asksAgain(o: Resolved, shared: boolean): boolean {
  const variants = variantsOf(o);
  return variants !== undefined && (shared || o.epochs > variants);
}

/** Maps changed as epoch and sample number say; other inputs as they are. */
export function augmented(
  inputs: readonly Tensor[],
  data: Dataset,
  o: Resolved,
  epoch: number,
  samples: Uint32Array,
): Tensor[] {
  return inputs.map((x, i) => {
    const zero = data.inputs[i]?.zero;
    return x.dims.length === 4
      ? augment(x, o.augment, { seed: o.seed, epoch, samples, ...(zero === undefined ? {} : { zero }) })
      : x;
  });
}
