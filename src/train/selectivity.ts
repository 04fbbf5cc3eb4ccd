// Measures how selective the neurons of a model's values are: runs the model over some samples and scores each metric.
// The scores themselves are the strategies room's.
import { DistillError } from "../base/errors.ts";
import { formatShape, sizeOf, type Tensor } from "../base/tensor.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Model } from "../onnx/model.ts";
import { targets } from "../ops/target.ts";
import type { Runtime } from "../runtime/session.ts";
import { Matrix, type SelectivityMetric, selectivityScores } from "../strategies/index.ts";
import type { TapForm } from "../taps/tap-form.ts";
import { FormRunner } from "./form-runner.ts";
import { openRunner } from "./model-runner.ts";

export interface MeasureSelectivityOptions {
  readonly model: Model;
  readonly runtime: Runtime;
  readonly dataset: Dataset;
  /** Names of values of the model by tap name. */
  readonly values: Readonly<Record<string, string>>;
  /** What is done to a tap's value before it is scored, by tap name; default: nothing. */
  readonly forms?: Readonly<Record<string, TapForm | undefined>>;
  /** The first so many samples of the data set; default 1000. Fewer where a value is very large. */
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

/** Elements of one value that are held at a time: 256 MiB of float32. */
const largestValue = 2 ** 26;

/**
 * Scores every neuron of each value by each of the metrics. A [N, C] value has C neurons and N rows,
 * [N, T, C] has N·T rows, [N, C, H, W] (and [N, C, …]) has N·H·W.
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
  const wanted = [...new Set(Object.values(values))];
  const runner = await openRunner(model, o.runtime, dataset, wanted);
  const forms = new FormRunner(
    new Map(Object.keys(values).map((tap) => [tap, o.forms?.[tap] ?? {}])),
    o.runtime,
    targets.cpu,
  );
  const parts = new Map<string, Tensor[]>(Object.keys(values).map((tap) => [tap, []]));
  try {
    let count = Math.min(o.samples ?? 1000, dataset.length);
    const batch = Math.min(o.batch ?? 100, count);
    for (const samples of evaluationBatches(count, batch)) {
      if ((samples[0] as number) >= count) break;
      const { inputs } = await dataset.read(samples);
      const out = await runner.run(inputs);
      const tapped = await forms.run(
        Object.fromEntries(
          Object.entries(values).map(([tap, name]) => [tap, float32(name, out[name] as Tensor)]),
        ),
      );
      for (const [tap, t] of Object.entries(tapped)) {
        parts.get(tap)?.push(t);
        const each = sizeOf(t.dims) / samples.length;
        count = Math.min(count, Math.max(samples.length, Math.floor(largestValue / each)));
      }
    }
  } finally {
    await runner.release();
    await forms.release();
  }
  const scored: Record<string, MeasuredSelectivity> = {};
  for (const [tap, tensors] of parts) {
    const matrix = rowsOf(tensors);
    const scores = Object.fromEntries(
      metrics.map((metric) => [metric, [...selectivityScores(matrix, metric)]]),
    ) as Partial<Record<SelectivityMetric, number[]>>;
    scored[tap] = { rows: matrix.rows, scores };
    parts.set(tap, []);
  }
  return scored;
}

/** All batches of one value as one matrix [rows, neurons]. */
function rowsOf(tensors: readonly Tensor[]): Matrix {
  const matrices = tensors.map((t) => Matrix.fromTensor(t));
  const [first] = matrices;
  if (first && matrices.length === 1) return first;
  const columns = first?.columns ?? 0;
  const rows = matrices.reduce((n, m) => n + m.rows, 0);
  const data = new Float32Array(rows * columns);
  let at = 0;
  for (const m of matrices) {
    data.set(m.data, at);
    at += m.data.length;
  }
  return new Matrix(rows, columns, data);
}

function float32(name: string, tensor: Tensor): Tensor {
  if (tensor.dtype !== "float32" || tensor.dims.length < 2)
    throw new DistillError(
      "E_SHAPE",
      `selectivity: "${name}" is ${tensor.dtype}${formatShape(tensor.dims)}; tap a float32 value of rank 2 or more`,
    );
  return tensor;
}
