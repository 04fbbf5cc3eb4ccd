// What the tasks share whose every output is an answer of its own: labels shaped like the outputs.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Shape, sameShape, type Tensor, toNumbers } from "../base/tensor.ts";
import { withoutOnes } from "./find-layout.ts";
import type { LabelFeeds, LabelSource } from "./task.ts";

/**
 * Labels as float32 in the shape of the outputs, axes of length 1 behind the samples more or less. `wrong` says what is
 * wrong with a label, if anything.
 */
export function elementwiseFeeds(
  labels: Tensor,
  outputs: Shape,
  source: LabelSource,
  task: string,
  wrong: (label: number) => string | undefined = () => undefined,
): LabelFeeds {
  const [n] = outputs as readonly [number];
  if (!sameShape(withoutOnes(labels.dims), withoutOnes(outputs)))
    throw new DistillError(
      "E_DATA",
      `${source.name}: labels are ${labels.dtype} ${formatShape(labels.dims)}; with outputs ${formatShape(outputs)}, task ${task} takes numbers of the same shape`,
    );
  const data =
    labels.dtype === "float32" ? (labels.data as Float32Array) : Float32Array.from(toNumbers(labels));
  const each = data.length / n;
  for (let i = 0; i < data.length; i++) {
    const why = wrong(data[i] as number);
    if (why !== undefined)
      throw new DistillError(
        "E_DATA",
        `${source.name}: sample ${source.samples[Math.floor(i / each)]} has label ${data[i]}; ${why}`,
      );
  }
  return { labels: { dtype: "float32", dims: outputs, data } };
}
