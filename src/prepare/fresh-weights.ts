// Fresh values for a student's weights, by what each is to its layer. Sources: K. He et al., "Delving deep into rectifiers",
// 2015; X. Glorot and Y. Bengio, 2010; R. Jozefowicz et al., "An empirical exploration of recurrent network architectures",
// 2015 (the forget gate's bias).
import { type Initialization, sampler } from "../base/initialization.ts";
import { type Random, randomFor } from "../base/random.ts";
import type { Tensor } from "../base/tensor.ts";
import { keepRows, type PaddingRows } from "../compile/padding-rows.ts";
import { frozenNames, rolesOf } from "../compile/roles.ts";
import { pathTo } from "../compile/student-forward.ts";
import type { Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { opTable } from "../ops/index.ts";
import { type Fill, fillsOf } from "./weight-fills.ts";
import type { WeightInit } from "./weight-init.ts";

const initializations: Readonly<Record<Exclude<WeightInit, "keep">, Initialization>> = {
  kaiming: "kaiming-normal",
  xavier: "xavier-uniform",
  "trunc-normal": "trunc-normal",
};

export interface FreshWeightsOptions {
  readonly init: Exclude<WeightInit, "keep">;
  readonly seed: number;
  readonly freeze: readonly string[];
  readonly train?: readonly string[] | undefined;
  /** Rows of tables that stay. */
  readonly paddingRows?: PaddingRows | undefined;
  /** The values that are trained for. */
  readonly wanted: readonly Value[];
  readonly known: ReadonlyMap<Value, Tensor>;
}

export interface FreshWeights {
  readonly values: ReadonlyMap<string, Tensor>;
  /** Names of trained constants whose part in the model is not known: they stay as they are. */
  readonly kept: readonly string[];
}

/**
 * Fresh values for everything that is trained, and for running statistics (mean 0, variance 1); what `freeze` names stays.
 * Weights of products and convolutions are drawn as `init` says, fan_in and fan_out counted from the op and the slot (a
 * transposed weight is seen as the product sees it; groups and the strides of a ConvTranspose count). Biases are 0, scales of
 * normalisations 1, PRelu's slopes 0.25. What is looked up (Gather), added by position, or put in front of a sequence is drawn
 * from a normal distribution of standard deviation 0.02. Weights of LSTM, GRU and RNN are uniform in ±1/√hidden, as PyTorch's;
 * an LSTM's forget gate gets the bias 1.
 *
 * Numbers depend on the seed and a weight's name alone. The model must have been observed: shapes are its values' types.
 */
export function freshWeights(model: Model, o: FreshWeightsOptions): FreshWeights {
  const path = pathTo(model, o.wanted, o.known);
  const { trained, statistics, paddingRows } = rolesOf(model, opTable, path, o);
  const frozen = frozenNames(o, model);
  const fills = fillsOf(model, path);
  const values = new Map<string, Tensor>();
  const kept: string[] = [];
  for (const v of [...trained, ...statistics]) {
    if (frozen(v.name)) continue;
    const before = model.graph.constants.get(v) as Tensor;
    const { dtype, dims, data } = before;
    const fill = fills.get(v);
    if (!fill || dtype !== "float32") {
      kept.push(v.name);
      continue;
    }
    const draw = drawer(fill, initializations[o.init], randomFor(o.seed, "init", v.name));
    const drawn = { dtype, dims, data: Float32Array.from({ length: data.length }, (_, i) => draw(i)) };
    keepRows(drawn, before, paddingRows.get(v) ?? []);
    values.set(v.name, drawn);
  }
  return { values, kept };
}

function drawer(fill: Fill, how: Initialization, random: Random): (i: number) => number {
  switch (fill.kind) {
    case "weights":
      return sampler(how, fill, random);
    case "embedding":
      return sampler(how === "trunc-normal" ? how : "normal", { fanIn: 1, fanOut: 1 }, random);
    case "recurrent":
      return sampler("pytorch", { fanIn: fill.hidden, fanOut: fill.hidden }, random);
    case "lstm-bias":
      return (i) => (Math.floor(i / fill.hidden) % 8 === 2 ? 1 : 0);
    case "value":
      return () => fill.value;
  }
}
