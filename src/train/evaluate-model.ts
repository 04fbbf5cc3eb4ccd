// Evaluates a model as it is, on a session of its own, also one that was made for a fixed batch.
import { DistillError, didYouMean } from "../base/errors.ts";
import { sizeOf, type Tensor, type TypedArray } from "../base/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import { withOutputs } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import type { Runtime } from "../runtime/session.ts";
import type { Predictions, Task } from "../tasks/index.ts";
import { type Evaluation, evaluate } from "./evaluate.ts";
import { feederFor } from "./feeds.ts";

export interface EvaluateModelOptions {
  readonly runtime: Runtime;
  /** Samples at a time; default 128, or the batch that the model was made for. */
  readonly batch?: number | undefined;
  /** The value that holds the logits; default: the first output. */
  readonly logits?: string | undefined;
  /** Default: classification. */
  readonly task?: Task | undefined;
  /** The teacher's predictions on the same data. */
  readonly teacher?: Predictions | undefined;
  readonly onProgress?: (done: number) => void;
}

/**
 * Metrics of a model on a data set. A model made for a fixed batch gets batches of that size, the last one filled up.
 *
 * Errors: E_NAME for logits that do not exist, E_DATA where model and data do not fit, E_ARGUMENT for a batch that the
 * model was not made for.
 */
export async function evaluateModel(
  model: Model,
  dataset: Dataset,
  o: EvaluateModelOptions,
): Promise<Evaluation & { readonly batch: number }> {
  const feed = feederFor(model, dataset);
  const fixed = model.inputs.map((i) => i.dims[0]).find((d) => typeof d === "number");
  if (fixed !== undefined && o.batch !== undefined && o.batch !== fixed)
    throw new DistillError(
      "E_ARGUMENT",
      `${model.source}: made for a fixed batch of ${fixed}, not ${o.batch}; leave the batch size out`,
    );
  const batch = o.batch ?? fixed ?? 128;
  const logits = o.logits ?? model.graph.outputs[0]?.name ?? "";
  if (!model.graph.has(logits))
    throw new DistillError(
      "E_NAME",
      `logits: ${model.source} has no value "${logits}".${didYouMean(
        logits,
        [...model.graph.values()].map((v) => v.name),
      )}`,
    );
  const session = await o.runtime.load(withOutputs(model, [logits]), { externalData: model.externalFiles });
  try {
    const run = async (inputs: readonly Tensor[]): Promise<Tensor> => {
      const n = inputs[0]?.dims[0] ?? 0;
      const full = fixed === undefined || n === fixed ? inputs : inputs.map((t) => resized(t, fixed));
      const out = (await session.run(feed(full), [logits]))[logits] as Tensor;
      return full === inputs ? out : resized(out, n);
    };
    const found = await evaluate(run, dataset, {
      batch,
      task: o.task,
      teacher: o.teacher,
      ...(o.onProgress && { onProgress: o.onProgress }),
    });
    return { ...found, batch };
  } finally {
    await session.release();
  }
}

/** The first `n` samples, zeros where there are fewer. */
function resized(t: Tensor, n: number): Tensor {
  const dims = [n, ...t.dims.slice(1)];
  const from = t.data as Float32Array;
  const data = new (from.constructor as Float32ArrayConstructor)(sizeOf(dims));
  data.set(from.subarray(0, data.length));
  return { dtype: t.dtype, dims, data: data as TypedArray };
}
