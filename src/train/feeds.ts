// Fits a data set to a model: which of its inputs feeds which of the model's, checked before anything runs. Two models may
// take different inputs out of one data set.
import { DistillError } from "../base/errors.ts";
import { encodeFloat16, floatsAsFloat32 } from "../base/floats.ts";
import { type DType, formatShape, isFloat, newArray, type Tensor, type TypedArray } from "../base/tensor.ts";
import type { ValueInfo } from "../base/value-info.ts";
import { type Dataset, type DatasetInput, knownSize } from "../data/dataset.ts";
import { batchAxesOf } from "../prepare/batch-axes.ts";
import { dimsPlaced, laid, placementOf, takesPixels, toBytes } from "./placements.ts";

/** Turns the tensors of a batch, in the data set's order, into feeds by the model's input names. */
export type Feeder = (inputs: readonly Tensor[]) => Record<string, Tensor>;

interface FedModel {
  readonly source: string;
  readonly inputs: readonly ValueInfo[];
}

/**
 * An input of the model is fed by the data set's input of the same name; what is left, by inputs without a name, in order;
 * or, if a single one is left on both sides, by that. Named inputs that the model does not take are passed over. Whole
 * numbers are converted to the element type that the model wants (uint8, which is mostly pixels, not to floats), floats to
 * floats of another width, and to whole numbers where they are whole. Images that were made of bytes are given as those
 * bytes to a model that takes whole numbers, and with channels last to one that has them there.
 *
 * Errors: E_DATA where names, counts, shapes or element types do not fit; when fed, for a number that the model's element
 * type does not hold.
 */
export function feederFor(model: FedModel, dataset: Pick<Dataset, "inputs">): Feeder {
  const order = matchInputs(model, dataset.inputs).map((at, i) => {
    const input = model.inputs[i] as ValueInfo;
    const given = dataset.inputs[at] as DatasetInput;
    const as = placementOf(given, input);
    const pixels = takesPixels(given, input) ? given.pixels : undefined;
    if (!as || !(pixels || convertible(given.dtype, input.dtype)))
      throw new DistillError(
        "E_DATA",
        `${model.source}: input "${input.name}" takes ${input.dtype} ${formatShape(input.dims)}, the data set gives ${given.dtype} samples of ${formatShape(given.dims.map((d) => d ?? "?"))}${hint(given.dtype, input.dtype)}`,
      );
    return { input, at, as, pixels, declared: { ...given, dims: dimsPlaced(given, as) } };
  });
  return (tensors) =>
    Object.fromEntries(
      order.map(({ input, at, as, pixels, declared }) => {
        const raw = tensors[at] as Tensor;
        const read = laid(pixels ? toBytes(raw, pixels) : raw, as);
        checkSizes(read, declared, input, model.source);
        return [input.name, convert(read, input, model.source)];
      }),
    );
}

/** Inputs of the model that are given the bytes of images as they are, whatever mean and std were asked for. */
export function pixelInputs(model: FedModel, dataset: Pick<Dataset, "inputs">): string[] {
  return matchInputs(model, dataset.inputs).flatMap((at, i) => {
    const input = model.inputs[i] as ValueInfo;
    return takesPixels(dataset.inputs[at] as DatasetInput, input) ? [input.name] : [];
  });
}

/** What was read may be smaller than declared, or of a size that was left open. */
function checkSizes(read: Tensor, declared: DatasetInput, input: ValueInfo, source: string): void {
  const rank = declared.dims.length + 1;
  for (let k = 1; read.dims.length === rank && k < rank; k++) {
    const size = read.dims[k] as number;
    const [largest, wanted] = [knownSize(declared.dims[k - 1]), input.dims[k]];
    if (size === largest || (size <= (largest ?? size) && (typeof wanted === "string" || wanted === size)))
      continue;
    throw new DistillError(
      "E_DATA",
      size > (largest ?? size)
        ? `the data set declares samples of ${formatShape(declared.dims.map((d) => d ?? "?"))} for input "${input.name}" and gave a batch ${formatShape(read.dims)}; declare the largest size, or null for one that is left open`
        : `${source}: input "${input.name}" takes ${formatShape(input.dims)}, the data set gave a batch ${formatShape(read.dims)}; pad it to that size, or export the model with that dimension open`,
    );
  }
  if (read.dims.length !== rank)
    throw new DistillError(
      "E_DATA",
      `the data set declares samples of ${formatShape(declared.dims.map((d) => d ?? "?"))} for input "${input.name}" and gave a batch ${formatShape(read.dims)}`,
    );
}

/** For each input of a model the place of the data set's input that feeds it; -1 where none does. */
export function pairInputs(inputs: readonly ValueInfo[], given: readonly DatasetInput[]): number[] {
  const found = inputs.map((input) => given.findIndex((d) => d.name === input.name));
  const unnamed = given.flatMap((d, i) => (d.name === undefined ? [i] : []));
  const open = found.flatMap((at, i) => (at < 0 ? [i] : []));
  for (const i of open) found[i] = unnamed.shift() ?? -1;
  const lacking = found.flatMap((at, i) => (at < 0 ? [i] : []));
  const over = given.flatMap((_, i) => (found.includes(i) ? [] : [i]));
  if (lacking.length === 1 && over.length === 1) found[lacking[0] as number] = over[0] as number;
  return found;
}

function matchInputs(model: FedModel, given: readonly DatasetInput[]): number[] {
  const found = pairInputs(model.inputs, given);
  const lacking = found.indexOf(-1);
  if (lacking >= 0) throw notFed(model, model.inputs[lacking] as ValueInfo, given);
  if (given.some((d, i) => d.name === undefined && !found.includes(i)))
    throw new DistillError(
      "E_DATA",
      `${model.source} takes ${model.inputs.length} inputs (${model.inputs.map((i) => i.name).join(", ")}), the data set has ${given.length}`,
    );
  return found;
}

/** What an input usually holds that exporters of transformers add. */
const usual: readonly (readonly [RegExp, string])[] = [
  [/attention.?mask/i, "all ones, where no sample is padded"],
  [/token.?type|segment/i, "all zeros, for texts of one part"],
  [/position.?ids/i, "0, 1, 2, … for every sample"],
];

function notFed(model: FedModel, input: ValueInfo, given: readonly DatasetInput[]): DistillError {
  const has = given.map((d) => d.name ?? "(unnamed)").join(", ") || "no inputs";
  const hint = usual.find(([name]) => name.test(input.name))?.[1];
  const axis = batchAxesOf(model.inputs)[model.inputs.indexOf(input)];
  const fixed =
    axis === 0
      ? ""
      : `, or say what it is for all samples: --fix ${input.name}=${axis === undefined ? "<value>" : "zeros"}`;
  return new DistillError(
    "E_DATA",
    `${model.source}: nothing in the data set feeds input "${input.name}", ${input.dtype} ${formatShape(input.dims)}; it has ${has}. Add an array of that name${hint ? ` (${hint})` : ""}${fixed}`,
  );
}

function convertible(from: DType, to: DType): boolean {
  if (from === to) return true;
  if (from === "string" || to === "string" || to === "bfloat16") return false;
  if (isFloat(from)) return true;
  return !isFloat(to) || from !== "uint8";
}

function hint(from: DType, to: DType): string {
  if (from === "uint8" && isFloat(to))
    return "; give images by imageDataset, which scales them, or save the numbers as float32";
  return "";
}

function convert(t: Tensor, { name, dtype }: ValueInfo, source: string): Tensor {
  if (t.dtype === dtype) return t;
  const from = (t.dtype === "float64" ? t : floatsAsFloat32(t)).data as ArrayLike<number | bigint>;
  if (dtype === "float16")
    return {
      dtype,
      dims: t.dims,
      data: encodeFloat16(isFloat(t.dtype) ? (from as ArrayLike<number>) : Array.from(from, Number)),
    };
  const data = newArray(dtype, from.length);
  const big = data instanceof BigInt64Array || data instanceof BigUint64Array;
  const refuse = (value: number | bigint): never => {
    throw new DistillError(
      "E_DATA",
      `${source}: input "${name}" takes ${dtype}, which does not hold ${value}; save the data as ${dtype}`,
    );
  };
  for (let i = 0; i < from.length; i++) {
    const value = from[i] as number | bigint;
    if (big && typeof value === "number" && !Number.isInteger(value)) refuse(value);
    data[i] = big ? BigInt(value) : dtype === "bool" ? Number(Number(value) !== 0) : Number(value);
    // biome-ignore lint/suspicious/noDoubleEquals: 3n and 3 are the same number here.
    const other = data[i] != value;
    if (isFloat(dtype) ? Number.isFinite(value) && !Number.isFinite(data[i]) : dtype !== "bool" && other)
      refuse(value);
  }
  return { dtype, dims: t.dims, data: data as TypedArray };
}
