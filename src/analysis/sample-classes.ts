// Which class each sample is of, for metrics and maps that tell classes apart: the data's labels, or what the model predicts.
import { DistillError } from "../base/errors.ts";
import { isFloat, type Tensor, toNumbers } from "../base/tensor.ts";
import { type Dataset, labelTensor, type SampleBatch } from "../data/dataset.ts";
import { refuseSorted } from "../prepare/logits.ts";
import { Matrix } from "../strategies/index.ts";
import { taskNamed, withoutOnes } from "../tasks/index.ts";
import type { ModelRunner } from "../train/model-runner.ts";
import { OutputReader } from "../train/output-reader.ts";
import { predictedClasses } from "../train/sample-classes.ts";
import type { TappedModel } from "./tapped-model.ts";

export interface Classes {
  readonly from: "labels" | "predictions";
  readonly count: number;
  /** `[samples, classes]` of a batch: 1 for a sample's class, zeros where its label is none. `output`: of predictions. */
  of(batch: SampleBatch, output?: Tensor): Promise<Matrix>;
}

/** Whether the data's labels are known to be class indices; otherwise `classesOf` asks the model too. */
export async function hasClasses(dataset: Dataset): Promise<boolean> {
  if (!dataset.hasLabels || dataset.classes === undefined) return false;
  return (await dataset.read([0])).labels instanceof Int32Array;
}

/**
 * Labels that are one class a sample, whole numbers or distributions; otherwise the predictions of a classifier, however its
 * output lies.
 *
 * @param runner gives the value of the logits, where `hasClasses` is false
 * @param samples the first batch
 */
export async function classesOf(
  dataset: Dataset,
  { model, logits }: TappedModel,
  runner: ModelRunner,
  samples: ArrayLike<number>,
): Promise<Classes | undefined> {
  if (await hasClasses(dataset)) return labelled(dataset.classes as number);
  const first = await dataset.read(samples);
  const { value } = logits;
  const reader = new OutputReader({
    task: taskNamed("classification"),
    who: `the model's {} "${value}"`,
    source: model.source,
    flags: { logits: "--logits", gives: "--logits" },
    // The likeliest class is the same by logits and by probabilities.
    asked: { gives: "logits" },
    graph: { model, logits: logits.found },
  });
  const again = async (inputs: readonly Tensor[]): Promise<Tensor> =>
    (await runner.run(inputs, [value]))[value] as Tensor;
  const read = (output: Tensor, batch: SampleBatch): Promise<Tensor> =>
    reader.read(output, { ...batch, again, shapes: () => runner.observe(batch.inputs) });
  let count: number;
  try {
    refuseSorted(model, logits.found);
    count = (await read(await again(first.inputs), first)).dims[1] as number;
  } catch (error) {
    // It gives no class for each sample.
    if (error instanceof DistillError && (error.code === "E_SHAPE" || error.code === "E_MODEL"))
      return undefined;
    throw error;
  }
  const told = first.labels && rowsOfLabels(labelTensor(first.labels), count);
  if (told && !("unfit" in told)) return labelled(count);
  return {
    from: "predictions",
    count,
    async of(batch, output) {
      const { data, dims } = await read(output as Tensor, batch);
      return predictedClasses(data as Float32Array, dims[0] as number, count);
    },
  };
}

function labelled(count: number): Classes {
  return {
    from: "labels",
    count,
    async of({ labels }) {
      const found = rowsOfLabels(labelTensor(labels as NonNullable<typeof labels>), count);
      if (!("unfit" in found)) return found;
      throw new DistillError("E_DATA", `labels of one class a sample, of ${count} classes: ${found.unfit}`);
    },
  };
}

/** Whole numbers [N], also with axes of length 1, or distributions over the classes [N, C]. */
function rowsOfLabels(labels: Tensor, count: number): Matrix | { readonly unfit: string } {
  const [samples = 0, ...others] = withoutOnes(labels.dims);
  const values = toNumbers(labels);
  const out = new Float32Array(samples * count);
  if (others.length === 0 && !isFloat(labels.dtype)) {
    for (let i = 0; i < samples; i++) {
      const k = values[i] as number;
      if (k >= count) return { unfit: `a label is ${k}` };
      // Below 0 stands for no class, as of padding.
      if (k >= 0) out[i * count + k] = 1;
    }
    return new Matrix(samples, count, out);
  }
  if (others.length !== 1 || others[0] !== count) return { unfit: `labels are [${labels.dims}]` };
  out.set(values);
  for (let i = 0; i < samples; i++) {
    const row = out.subarray(i * count, (i + 1) * count);
    if (row.some((p) => p < 0) || Math.abs(row.reduce((sum, p) => sum + p, 0) - 1) > 1e-3)
      return { unfit: "a row is no distribution" };
  }
  return new Matrix(samples, count, out);
}
