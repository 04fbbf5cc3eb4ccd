// Measures how selective the neurons of a model's values are: runs the model over some samples, batch by batch, and scores
// each metric. What is kept of the batches is tap-profile.ts's.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Tensor } from "../base/tensor.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Model } from "../onnx/model.ts";
import { targets } from "../ops/target.ts";
import type { Runtime } from "../runtime/session.ts";
import { Matrix, type SelectivityMetric } from "../strategies/index.ts";
import type { TapForm } from "../taps/tap-form.ts";
import { FormRunner } from "../train/form-runner.ts";
import { openRunner } from "../train/model-runner.ts";
import { TapProfile } from "./tap-profile.ts";

export interface MeasureSelectivityOptions {
  readonly model: Model;
  readonly runtime: Runtime;
  readonly dataset: Dataset;
  /** Names of values of the model by tap name. */
  readonly values: Readonly<Record<string, string>>;
  /** What is done to a tap's value before it is scored, by tap name; default: nothing. */
  readonly forms?: Readonly<Record<string, TapForm | undefined>>;
  /** The first so many samples of the data set; default 1000. */
  readonly samples?: number;
  /** Samples at a time; default 100. */
  readonly batch?: number;
  /** Metrics that score each neuron and need no labels; default: variance, sparsity, peak-to-average. */
  readonly metrics?: readonly SelectivityMetric[];
}

export interface MeasuredSelectivity {
  /** Rows that the scores were taken over: samples, times positions for maps and sequences. */
  readonly rows: number;
  /** One score per neuron, by metric. */
  readonly scores: Readonly<Partial<Record<SelectivityMetric, number[]>>>;
}

/** Rows that are kept of each value for the metric that needs whole columns. */
const keptRows = 2048;

/**
 * Scores every neuron of each value by each of the metrics, over all rows ("relative-sparsity" over 2048 of them). A [N, C]
 * value has C neurons and N rows, [N, T, C] has N·T rows, [N, C, H, W] (and [N, C, …]) has N·H·W.
 *
 * Errors: E_NAME for a value that does not exist, E_SHAPE for one of rank 1 or 0 or with fewer than two rows,
 * E_NOT_FINITE for NaN in it.
 *
 * @example
 * const found = await measureSelectivity({ model, runtime, dataset, values: { features: "/layer3/relu" } });
 * found.features?.scores.variance; // one number per channel
 */
export async function measureSelectivity(
  o: MeasureSelectivityOptions,
): Promise<Record<string, MeasuredSelectivity>> {
  const { model, dataset, values, metrics = ["variance", "sparsity", "peak-to-average"] } = o;
  const taps = Object.entries(values);
  const runner = await openRunner(model, o.runtime, dataset, [...new Set(Object.values(values))]);
  const forms = new FormRunner(
    new Map(taps.map(([tap]) => [tap, o.forms?.[tap] ?? {}])),
    o.runtime,
    targets.cpu,
  );
  const profiles = new Map(
    taps.map(([tap]) => [tap, new TapProfile({ excited: 1, kept: keptRows, seed: 1 })]),
  );
  try {
    const count = Math.min(o.samples ?? 1000, dataset.length);
    for (const samples of evaluationBatches(count, Math.min(o.batch ?? 100, count))) {
      const { inputs } = await dataset.read(samples);
      const out = await runner.run(inputs);
      const tapped = await forms.run(
        Object.fromEntries(taps.map(([tap, name]) => [tap, float32(name, out[name] as Tensor)])),
      );
      for (const [tap, t] of Object.entries(tapped)) profiles.get(tap)?.add(Matrix.fromTensor(t), samples);
    }
  } finally {
    await runner.release();
    await forms.release();
  }
  return Object.fromEntries(
    [...profiles].map(([tap, profile]) => {
      const { rows, scores } = profile.result();
      return [tap, { rows, scores: Object.fromEntries(metrics.map((m) => [m, [...(scores[m] ?? [])]])) }];
    }),
  );
}

function float32(name: string, tensor: Tensor): Tensor {
  if (tensor.dtype !== "float32" || tensor.dims.length < 2)
    throw new DistillError(
      "E_SHAPE",
      `selectivity: "${name}" is ${tensor.dtype}${formatShape(tensor.dims)}; tap a float32 value of rank 2 or more`,
    );
  return tensor;
}
