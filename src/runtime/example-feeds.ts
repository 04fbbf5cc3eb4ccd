// Made-up inputs for a model whose real data is not at hand, to observe shapes or to measure time with.
import { uniformFloat32 } from "pure-rand/distribution/uniformFloat32";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { checkKeys, DistillError } from "../base/errors.ts";
import { type DType, formatShape, newArray, sizeOf, type Tensor, type TensorData } from "../base/tensor.ts";
import type { ValueInfo } from "../base/value-info.ts";
import type { Model } from "../onnx/model.ts";
import type { Tensors } from "./session.ts";

export interface ExampleFeedsOptions {
  /** Sizes of the other open dimensions, by their name in the model, or as `input[axis]` where they have none. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Default 1. */
  readonly seed?: number;
}

/**
 * One tensor for each declared input: floats uniform in [-1, 1) from the seed, integers and booleans 1. An open first
 * dimension becomes `batch`, as does any other of the same name; a static one must be `batch` already, unless another
 * input has an open one (then it is no batch, and kept).
 *
 * Errors: E_MODEL for a model made for another, fixed batch; E_OPTION for an open dimension without a size.
 *
 * @example
 * const feeds = exampleFeeds(model, 8, { sizes: { height: 32, width: 32 } });
 */
export function exampleFeeds(model: Model, batch: number, options: ExampleFeedsOptions = {}): Tensors {
  checkKeys("exampleFeeds", options, ["sizes", "seed"]);
  if (!Number.isSafeInteger(batch) || batch < 1)
    throw new DistillError("E_ARGUMENT", `batch must be a whole number from 1 on, got ${batch}`);
  const sizes = new Map(Object.entries(options.sizes ?? {}));
  const open = model.inputs.filter((i) => typeof i.dims[0] === "string");
  const fixed = model.inputs.find((i) => i.dims.length > 0 && i.dims[0] !== batch);
  if (open.length === 0 && fixed)
    throw new DistillError(
      "E_MODEL",
      `${model.source}: made for a fixed batch of ${fixed.dims[0]} (input "${fixed.name}" is ${formatShape(fixed.dims)}), not ${batch}; use that batch size, or export the model with a dynamic first dimension`,
    );
  for (const { dims } of open) {
    const name = String(dims[0]);
    if (name !== "?") sizes.set(name, batch);
  }
  const random = generator(options.seed ?? 1);
  const feeds: Record<string, Tensor> = {};
  for (const input of model.inputs) {
    const dims = input.dims.map((d, axis) => {
      if (typeof d === "number") return d;
      const size = sizes.get(`${input.name}[${axis}]`) ?? (d === "?" ? undefined : sizes.get(d));
      if (axis === 0) return size ?? batch;
      if (size !== undefined) return size;
      throw new DistillError(
        "E_OPTION",
        `${model.source}: input "${input.name}" ${formatShape(input.dims)} leaves dimension ${axis} open; give its size as ${JSON.stringify(d === "?" ? `${input.name}[${axis}]` : d)}`,
      );
    });
    feeds[input.name] = { dtype: input.dtype, dims, data: exampleData(input, sizeOf(dims), random) };
  }
  return feeds;
}

interface Random {
  /** Uniform in [-1, 1). */
  signed(): number;
  /** Whole, from 0 up to and including `max`. */
  whole(max: number): number;
}

function generator(seed: number): Random {
  const rng = xoroshiro128plus(seed);
  return { signed: () => 2 * uniformFloat32(rng) - 1, whole: (max) => uniformInt(rng, 0, max) };
}

/** Bits of 0.5 in the 16-bit formats, and how many bits below may vary while the number stays under 1. */
const halves: Partial<Record<DType, { half: number; free: number }>> = {
  float16: { half: 0x3800, free: 0x3ff },
  bfloat16: { half: 0x3f00, free: 0x7f },
};

function exampleData({ dtype }: ValueInfo, length: number, random: Random): TensorData {
  if (dtype === "string") return new Array<string>(length).fill("");
  const data = newArray(dtype, length);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return data.fill(1n);
  if (dtype === "float32" || dtype === "float64") return data.map(random.signed);
  const bits = halves[dtype];
  return bits ? data.map(() => bits.half + random.whole(bits.free)) : data.fill(1);
}
