// Which class each sample is of, for metrics and maps that tell classes apart: the data's labels, or what the model predicts.
import type { Tensor } from "../base/tensor.ts";
import { type Dataset, labelTensor, type SampleBatch } from "../data/dataset.ts";
import { Matrix } from "../strategies/index.ts";
import { predictedClasses } from "../train/sample-classes.ts";
import type { TappedModel } from "./tapped-model.ts";

export interface Classes {
  readonly from: "labels" | "predictions";
  readonly count: number;
}

/** Labels that are one class a sample; otherwise the predictions of a classifier. */
export async function classesOf(dataset: Dataset, { logits }: TappedModel): Promise<Classes | undefined> {
  if (dataset.hasLabels && dataset.classes !== undefined) {
    const { labels } = await dataset.read([0]);
    if (labels && labelTensor(labels).dims.length === 1 && labels instanceof Int32Array)
      return { from: "labels", count: dataset.classes };
  }
  const { dims } = logits;
  return dims?.length === 2 && (dims[1] as number) > 1
    ? { from: "predictions", count: dims[1] as number }
    : undefined;
}

/** `[samples, classes]` of a batch; `logits`, where predictions are asked for. */
export function toldClasses({ from, count }: Classes, { labels }: SampleBatch, logits?: Tensor): Matrix {
  if (from === "labels") return oneHot(labels as Int32Array, count);
  const { data, dims } = logits as Tensor;
  return predictedClasses(data as Float32Array, dims[0] as number, count);
}

function oneHot(labels: Int32Array, classes: number): Matrix {
  const out = new Float32Array(labels.length * classes);
  labels.forEach((k, i) => {
    out[i * classes + k] = 1;
  });
  return new Matrix(labels.length, classes, out);
}
