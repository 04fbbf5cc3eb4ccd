// How good a model is on a data set: measured on an ordinary session of its exported form.
import { DistillError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { evaluationBatches } from "../data/batches.ts";
import { checkLabels, type Dataset } from "../data/dataset.ts";

/** Shares in [0, 1]; the loss in nats. What cannot be measured (no labels, no teacher) is left out. */
export interface Metrics {
  /** Share of samples whose label has the largest logit. */
  top1?: number;
  /** Share of samples whose label is among the five largest logits. */
  top5?: number;
  /** Mean cross-entropy −log softmax(z)[label]. */
  loss?: number;
  /** Share of samples in which student and teacher put the same class first. */
  agreement?: number;
}

export interface Evaluation {
  readonly metrics: Metrics;
  readonly samples: number;
  /** counts[true][predicted], where there are labels. */
  readonly confusion?: number[][];
  /** Class with the largest logit, per sample. */
  readonly predictions: Int32Array;
  /** Median over the full batches. */
  readonly msPerSample: number;
}

/** `run` gives the logits [n, classes] of a batch; `teacher` are the teacher's predictions per sample. */
export async function evaluate(
  run: (inputs: readonly Tensor[]) => Promise<Tensor>,
  dataset: Dataset,
  options: {
    readonly batch: number;
    readonly teacher?: Int32Array | undefined;
    readonly onProgress?: (done: number) => void;
  },
): Promise<Evaluation> {
  const predictions = new Int32Array(dataset.length);
  const times: number[] = [];
  let confusion: number[][] | undefined;
  let top1 = 0;
  let top5 = 0;
  let loss = 0;
  let agree = 0;
  for (const samples of evaluationBatches(dataset.length, options.batch)) {
    const { inputs, labels } = await dataset.read(samples);
    const began = performance.now();
    const logits = await run(inputs);
    if (samples.length === options.batch || times.length === 0)
      times.push((performance.now() - began) / samples.length);
    const [n, classes] = logits.dims as [number, number];
    if (logits.dims.length !== 2 || n !== samples.length)
      throw new DistillError(
        "E_SHAPE",
        `evaluation: the logits are [${logits.dims}], expected [${samples.length}, classes]`,
      );
    const data = logits.data as Float32Array;
    if (labels) checkLabels(labels, classes, "evaluation data", samples);
    confusion ??=
      labels && classes <= 1000
        ? Array.from({ length: classes }, () => new Array<number>(classes).fill(0))
        : undefined;
    for (let i = 0; i < n; i++) {
      const row = data.subarray(i * classes, (i + 1) * classes);
      const best = argmax(row);
      const sample = samples[i] as number;
      predictions[sample] = best;
      if (options.teacher && options.teacher[sample] === best) agree++;
      const label = labels?.[i];
      if (label === undefined) continue;
      if (best === label) top1++;
      const own = row[label] as number;
      let above = 0;
      for (let c = 0; c < classes; c++)
        if ((row[c] as number) > own || ((row[c] as number) === own && c < label)) above++;
      if (above < 5) top5++;
      loss -= own - logSumExp(row);
      if (confusion) (confusion[label] as number[])[best]!++;
    }
    options.onProgress?.((samples.at(-1) as number) + 1);
  }
  const count = dataset.length;
  const metrics: Metrics = {
    ...(dataset.hasLabels ? { top1: top1 / count, top5: top5 / count, loss: loss / count } : {}),
    ...(options.teacher ? { agreement: agree / count } : {}),
  };
  const sorted = times.slice(times.length > 1 ? 1 : 0).sort((a, b) => a - b);
  return {
    metrics,
    samples: count,
    ...(confusion ? { confusion } : {}),
    predictions,
    msPerSample: sorted[sorted.length >> 1] ?? 0,
  };
}

/** Share of each class's samples that were recognised; null for a class without samples. */
export function recalls(confusion: readonly (readonly number[])[]): (number | null)[] {
  return confusion.map((row, i) => {
    const all = row.reduce((a, b) => a + b, 0);
    return all === 0 ? null : (row[i] as number) / all;
  });
}

function argmax(row: Float32Array): number {
  let best = 0;
  for (let c = 1; c < row.length; c++) if ((row[c] as number) > (row[best] as number)) best = c;
  return best;
}

function logSumExp(row: Float32Array): number {
  const top = row[argmax(row)] as number;
  let sum = 0;
  for (const z of row) sum += Math.exp(z - top);
  return top + Math.log(sum);
}
