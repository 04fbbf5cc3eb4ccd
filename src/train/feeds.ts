// Fits a data set to a model: which of its inputs feeds which of the model's, checked before anything runs.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Tensor } from "../base/tensor.ts";
import type { ValueInfo } from "../base/value-info.ts";
import type { Dataset } from "../data/dataset.ts";

/** Turns the tensors of a batch, in the data set's order, into feeds by the model's input names. */
export type Feeder = (inputs: readonly Tensor[]) => Record<string, Tensor>;

/** @throws E_DATA where names, counts, shapes or element types do not fit. */
export function feederFor(
  model: { readonly source: string; readonly inputs: readonly ValueInfo[] },
  dataset: Dataset,
): Feeder {
  const { inputs } = model;
  if (inputs.length !== dataset.inputs.length)
    throw new DistillError(
      "E_DATA",
      `${model.source} takes ${inputs.length} inputs (${inputs.map((i) => i.name).join(", ")}), the data set has ${dataset.inputs.length}`,
    );
  const order = inputs.map((input, i) => {
    const named = dataset.inputs.findIndex((d) => d.name === input.name);
    const at = named >= 0 ? named : i;
    const given = dataset.inputs[at];
    if (!given || (named < 0 && given.name !== undefined && inputs.some((x) => x.name === given.name)))
      throw new DistillError(
        "E_DATA",
        `${model.source}: nothing in the data set feeds input "${input.name}"; it has ${dataset.inputs.map((d) => d.name ?? "(unnamed)").join(", ")}`,
      );
    const wanted = input.dims.slice(1);
    const fits =
      wanted.length === given.dims.length &&
      wanted.every((d, k) => typeof d === "string" || d === given.dims[k]);
    if (!fits || input.dtype !== given.dtype)
      throw new DistillError(
        "E_DATA",
        `${model.source}: input "${input.name}" takes ${input.dtype} ${formatShape(input.dims)}, the data set gives ${given.dtype} samples of ${formatShape(given.dims)}`,
      );
    return { name: input.name, at };
  });
  return (tensors) => Object.fromEntries(order.map(({ name, at }) => [name, tensors[at] as Tensor]));
}
