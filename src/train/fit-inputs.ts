// Fits a model's inputs to a data set: inputs that are one value for all samples are computed in the graph, those whose samples
// lie on another axis than the first are fed with them in front. What is trained and run takes batches of samples alone; the
// file keeps its inputs. See feeds.ts for which input of the data feeds which of the model's.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Tensor } from "../base/tensor.ts";
import type { ValueInfo } from "../base/value-info.ts";
import { type Dataset, type DatasetInput, knownSize } from "../data/dataset.ts";
import { ints } from "../graph/graph.ts";
import { type AddedNode, editInputs } from "../onnx/edit-model.ts";
import type { Model } from "../onnx/model.ts";
import { batchAxesOf } from "../prepare/batch-axes.ts";
import { describeFixed, type Fix, type FixedValue, fixedValueOf, nodesFor } from "../prepare/fixed-inputs.ts";
import { beginsLayer } from "../prepare/initial-states.ts";
import type { Alike } from "./alike-inputs.ts";
import { pairInputs } from "./feeds.ts";

export interface FittedModel {
  readonly model: Model;
  /** Every input that is one value for all samples: what was given, what the data set says, what begins at zero. */
  readonly fix: Fix;
  /** Inputs of the data set that must be the same for all samples, by its place there. */
  readonly alike: ReadonlyMap<number, Alike>;
  readonly notes: readonly string[];
}

/**
 * The model as a data set feeds it. An input is fixed where `fix` says so; where it has no axis of samples and the data set has
 * a value of its very shape for every sample; and where the data set lacks it and it is but the first state of a recurrent
 * layer (zeros). Its samples are brought in front where they lie on another axis (see `batchAxesOf`).
 *
 * Names in `fix` that the model does not have are passed over.
 *
 * Errors: as `nodesFor`; E_DATA where it is not clear on which axis the samples lie.
 *
 * @param who "the student's" or "the teacher's", for notes
 */
export async function fitInputs(
  model: Model,
  data: Pick<Dataset, "inputs" | "read">,
  fix: Fix = {},
  who = "the model's",
): Promise<FittedModel> {
  const axes = new Map(batchAxesOf(model.inputs).map((axis, i) => [model.inputs[i] as ValueInfo, axis]));
  const notes: string[] = [];
  const alike = new Map<number, Alike>();
  const fixed = new Map<ValueInfo, FixedValue>();
  const moved = new Map<ValueInfo, number>();
  for (const input of model.inputs) {
    const value = fixedValueOf(fix, input.name);
    if (value === undefined) continue;
    fixed.set(input, value);
    notes.push(`${who} input "${input.name}" is ${describeFixed(value)} for all samples`);
  }
  const unfixed = (): ValueInfo[] => model.inputs.filter((i) => !fixed.has(i));
  if (pairInputs(unfixed(), data.inputs).includes(-1))
    for (const input of unfixed()) {
      if (data.inputs.some((d) => d.name === input.name)) continue;
      const layer = beginsLayer(model, input.name);
      const axis = axes.get(input);
      const sizes = input.dims.filter((_, k) => k !== axis);
      if (!layer || axis === "unclear" || sizes.some((d) => typeof d === "string")) continue;
      fixed.set(input, "zeros");
      notes.push(
        `${who} input "${input.name}", which the data set does not have, is the first state of ${layer.op} at node "${layer.name}": zeros`,
      );
    }
  const fed = unfixed();
  const places = pairInputs(fed, data.inputs);
  let first: readonly Tensor[] | undefined;
  for (const [i, input] of fed.entries()) {
    const at = places[i] as number;
    const axis = axes.get(input);
    if (at < 0) continue;
    const given = data.inputs[at] as DatasetInput;
    const declared = formatShape(input.dims);
    if (axis === undefined && isWhole(input, given)) {
      if (given.name === undefined)
        throw new DistillError(
          "E_DATA",
          `${model.source}: input "${input.name}" ${input.dtype} ${declared} is one value for all samples; fix it (--fix ${input.name}=…), or name the data set's inputs`,
        );
      first ??= (await data.read([0])).inputs;
      const read = first[at] as Tensor;
      const value = {
        ...read,
        dims: input.dims.map((d, k) => (typeof d === "number" ? d : (given.dims[k] as number))),
      };
      fixed.set(input, value);
      alike.set(at, { value, taker: `${model.source}: input "${input.name}" ${declared}` });
      notes.push(
        `${who} input "${input.name}" is ${describeFixed(value)} for all samples, as the data set has it`,
      );
      continue;
    }
    const other = axis === "unclear" || axis === undefined ? onlyFit(input, given) : axis;
    if (other === undefined || other === 0 || !fitsWithout(input, other, given)) continue;
    moved.set(input, other);
    notes.push(
      `${who} input "${input.name}" ${declared} has its samples on axis ${other}: they are put there`,
    );
  }
  if (fixed.size === 0 && moved.size === 0) return { model, fix: {}, alike, notes };

  const nodes: AddedNode[] = [];
  const renamed = new Map<string, string>();
  const beside = fed.find((i) => !fixed.has(i) && (moved.has(i) || axes.get(i) === 0))?.name;
  for (const [input, value] of fixed) {
    const axis = axes.get(input);
    nodes.push(...nodesFor({ input, axis: axis === "unclear" ? undefined : axis, value }, beside, model));
  }
  for (const [{ name, dims }, axis] of moved) {
    const laid = model.graph.freeName(`${name}/laid`);
    const perm = [
      ...Array.from({ length: axis }, (_, k) => k + 1),
      0,
      ...dims.map((_, k) => k).slice(axis + 1),
    ];
    nodes.push({
      op: "Transpose",
      name: laid,
      inputs: [name],
      outputs: [laid],
      attributes: { perm: ints(perm) },
    });
    renamed.set(name, laid);
  }
  const fitted = editInputs(model, {
    removed: [...fixed.keys()].map((i) => i.name),
    reshaped: [...moved].map(([i, axis]) => ({
      ...i,
      dims: [i.dims[axis] as number | string, ...i.dims.filter((_, k) => k !== axis)],
    })),
    renamed,
    nodes,
  });
  const resolved = Object.fromEntries([...fixed].map(([{ name }, value]) => [name, value]));
  return { model: fitted, fix: resolved, alike, notes };
}

/** A sample of the data has all that the input has, which has no samples. */
function isWhole({ dims }: ValueInfo, given: DatasetInput): boolean {
  const fits = (a: number | string | undefined, b: number | string | null | undefined): boolean =>
    typeof a === "string" ? knownSize(b) !== undefined : a === b;
  if (given.dims.length === dims.length) return dims.every((d, k) => fits(d, given.dims[k]));
  return dims.every((d) => d === 1) && given.dims.every((d) => d === 1);
}

function fitsWithout({ dims }: ValueInfo, axis: number, given: DatasetInput): boolean {
  const rest = dims.filter((_, k) => k !== axis);
  return (
    rest.length === given.dims.length &&
    rest.every((d, k) => typeof d === "string" || d === (knownSize(given.dims[k]) ?? d))
  );
}

/** The one axis without which the input has a sample's shape. */
function onlyFit(input: ValueInfo, given: DatasetInput): number | undefined {
  const axes = input.dims.flatMap((d, k) =>
    (typeof d === "string" || d === 1) && fitsWithout(input, k, given) ? [k] : [],
  );
  return axes.length === 1 ? axes[0] : undefined;
}
