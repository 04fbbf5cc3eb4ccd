// A learned linear map from the neurons of a student's tap to as many as the teacher's has, so that losses which compare
// neuron with neuron can look at layers of unequal width (the regressor of Romero et al., "FitNets", 2015,
// arXiv:1412.6550). It is trained in the step and thrown away with it: the exported student never holds it.
import { biasInitialization, sampler } from "../base/initialization.ts";
import { neuronAxis } from "../base/layout.ts";
import { randomFor } from "../base/random.ts";
import { sizeOf, type Tensor, tensor } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { Projection } from "./projection-options.ts";
import type { LossState } from "./terms.ts";

/** The projection of a student's outputs stands beside those of taps, under a name that no value has. */
const ofOutputs = "(outputs)";
export const outputProjection = {
  weight: `projection/${ofOutputs}/weight`,
  bias: `projection/${ofOutputs}/bias`,
};

/** {@link project} of rows of outputs [R, C]. */
export function projectOutputs(
  b: Builder,
  state: LossState,
  rows: Value,
  width: number,
  o: Projection,
): Value {
  return project(b, state, ofOutputs, rows, width, o);
}

/**
 * y = W·x + c at every sample: x `[N, C]`, `[N, T, C]` or `[N, C, …]` gives the same shape with `width` in place of C;
 * W `[width, C]` and c `[width]` are parameters of the loss named after the tap. On maps this is a 1×1 convolution.
 */
export function project(
  b: Builder,
  state: LossState,
  tap: string,
  x: Value,
  width: number,
  o: Projection,
): Value {
  const dims = b.dims(x);
  const axis = neuronAxis(dims.length);
  const neurons = dims[axis] as number;
  const fill = (name: string, shape: readonly number[]): Tensor => {
    const how = name === "bias" ? biasInitialization(o.init) : o.init;
    const draw = sampler(how, { fanIn: neurons, fanOut: width }, randomFor(o.seed, "projection", tap, name));
    return tensor("float32", Array.from({ length: sizeOf(shape) }, draw), [...shape]);
  };
  const parameter = (name: string, shape: readonly number[]): Value =>
    state.parameter(`projection/${tap}/${name}`, fill(name, shape));
  return b.scope(`projection/${tap}`, () => {
    const weight = parameter("weight", [width, neurons]);
    const last = axis === dims.length - 1;
    const rows = sizeOf(dims.slice(0, axis));
    const product = last
      ? b.matmulT(b.reshape(x, [rows, neurons]), false, weight, true)
      : b.matmul(weight, b.reshape(x, [rows, neurons, sizeOf(dims.slice(axis + 1))]));
    const bias = o.bias ? parameter("bias", [width]) : undefined;
    const shifted = bias ? b.add(product, last ? bias : b.reshape(bias, [width, 1])) : product;
    return b.reshape(shifted, dims.with(axis, width));
  });
}
