// A model with the places at which its neurons are looked at: the ones that are named, or good ones that are found. Runs the
// model once on real samples, for the shapes.
import { DistillError, didYouMean } from "../base/errors.ts";
import { takeSamples } from "../base/samples.ts";
import { formatShape, type TensorType } from "../base/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Value } from "../graph/graph.ts";
import { withFloat32Inputs } from "../onnx/float32-inputs.ts";
import type { Model } from "../onnx/model.ts";
import { fixedBatchOf } from "../prepare/fixed-batch.ts";
import { type Logits, logitsOf, withLogits } from "../prepare/logits.ts";
import { observeBranches } from "../runtime/observe-branches.ts";
import type { Runtime } from "../runtime/session.ts";
import { type TapCandidate, tapCandidates } from "../taps/candidates.ts";
import { neuronAxisOf } from "../taps/neuron-layout.ts";
import type { TapSide } from "../taps/tap-form.ts";
import { feederFor } from "../train/feeds.ts";

export interface TappedModel {
  /** The model as it is run: taken Ifs written out, logits as a value of their own. */
  readonly model: Model;
  /** The value that holds the logits, and how it was found. */
  readonly logits: { readonly value: string; readonly found: Logits };
  readonly candidates: readonly TapCandidate[];
  /**
   * Shape and axis of neurons of a value.
   *
   * Errors: E_NAME for a value that does not exist, E_SHAPE for one that has no neurons or not the samples in front.
   */
  side(tap: string, value: string): TapSide;
}

export async function openTapped(
  given: Model,
  runtime: Runtime,
  dataset: Dataset,
  logits?: string,
): Promise<TappedModel> {
  const taking = withFloat32Inputs(given);
  const found = logitsOf(taking, logits);
  const ready = withLogits(taking, found);
  // One sample several times: a model's fixed batch may be more than there are samples.
  const batch = fixedBatchOf(ready) ?? 2;
  const { inputs } = await dataset.read([0]);
  const feeds = feederFor(ready, dataset)(inputs.map((t) => takeSamples(t, new Array(batch).fill(0))));
  const { model, types, known } = await observeBranches(ready, runtime, feeds);
  const { graph } = model;
  return {
    model,
    logits: { value: found.value, found },
    candidates: tapCandidates(model, { types, known, batch, logits: found.value }).filter(
      (c) => typeOf(graph.find(c.name), types)?.dtype === "float32",
    ),
    side(tap, name) {
      const value = graph.find(name);
      if (!value)
        throw new DistillError(
          "E_NAME",
          `tap "${tap}": ${given.source} has no value "${name}".${didYouMean(
            name,
            [...graph.values()].map((v) => v.name),
          )} \`onnx-distill inspect\` lists them.`,
        );
      const type = types.get(value);
      if (type?.dtype !== "float32" || type.dims.length < 2)
        throw new DistillError(
          "E_SHAPE",
          `tap "${tap}": "${name}" of ${given.source} is ${type ? `${type.dtype} ${formatShape(type.dims)}` : "no tensor"}; tap a float32 value of rank 2 or more`,
        );
      if (type.dims[0] !== batch)
        throw new DistillError(
          "E_SHAPE",
          `tap "${tap}": "${name}" of ${given.source} is ${formatShape(type.dims)} for ${batch} samples; tap a value that has the samples in front`,
        );
      return { dims: type.dims, axis: neuronAxisOf(value, type.dims.length) };
    },
  };
}

const typeOf = (value: Value | undefined, types: ReadonlyMap<Value, TensorType>) => value && types.get(value);
