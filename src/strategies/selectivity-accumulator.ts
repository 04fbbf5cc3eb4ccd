// Scores of more samples than are in memory at once: their moments, mixed batch by batch.
import { checkKeys, DistillError } from "../base/errors.ts";
import { checkClasses, checkNotEmpty } from "./checks.ts";
import { type MatrixLike, matrixFromTensor } from "./matrix.ts";
import type { Metric, Parts } from "./metrics/metric.ts";
import { checkComparable } from "./metrics/over.ts";
import { metricFor, type SelectivityMetric } from "./selectivity-metric.ts";
import type { SelectivityOver } from "./selectivity-words.ts";

export interface SelectivityAccumulatorOptions {
  readonly metric: SelectivityMetric;
  /** What counts as a sample; default "samples-and-positions". */
  readonly over?: SelectivityOver;
}

/**
 * The selectivity scores of a whole data set, given batch by batch. For metrics that follow from means over samples they are
 * the scores of all samples together, to rounding; for "peak-to-average" and "relative-sparsity", and for all over
 * "positions", they are the mean of the batches' scores, each weighted by its samples (a maximum grows with the number of
 * samples, so only peaks of equally large batches compare).
 *
 * Errors: `E_OPTION` for a metric that scores each sample, which needs no accumulation; others as `selectivityScores`.
 *
 * @example
 * ```ts
 * import { Matrix, SelectivityAccumulator } from "onnx-distill";
 *
 * const accumulator = new SelectivityAccumulator({ metric: "variance" });
 * accumulator.add(Matrix.fromRows([[0], [2]])).add(Matrix.fromRows([[4], [6]]));
 * [...accumulator.scores()]; // => [5]
 * ```
 */
export class SelectivityAccumulator {
  readonly metric: SelectivityMetric;
  readonly over: SelectivityOver;
  readonly #metric: Metric;
  #parts: Parts | undefined;
  #samples = 0;
  /** What is compared with what: samples, or rows, which are their positions. */
  #compared = 0;

  constructor(options: SelectivityAccumulatorOptions) {
    checkKeys("SelectivityAccumulator", options, ["metric", "over"]);
    const { metric, over = "samples-and-positions" } = options;
    this.metric = metric;
    this.over = over;
    this.#metric = metricFor("SelectivityAccumulator", metric, over);
    if (this.#metric.of === "sample")
      throw new DistillError(
        "E_OPTION",
        `SelectivityAccumulator: ${metric} scores each sample by itself; use selectivityScores for each batch`,
      );
  }

  /** Samples so far (each with all its positions). */
  get samples(): number {
    return this.#samples;
  }

  /** Adds a batch of one sample or more; `labels` `[samples, classes]` for the metrics that need them. */
  add(activations: MatrixLike, labels?: MatrixLike): this {
    const matrix = matrixFromTensor("activations", activations);
    checkNotEmpty("activations", matrix);
    if (this.over === "positions") checkComparable("activations", matrix, this.over);
    const classes = this.#metric.needsClasses
      ? checkClasses("labels", labels, "activations", matrix)
      : undefined;
    const { parts } = this.#metric.measure("activations", matrix, classes);
    const samples = matrix.rows / matrix.positions;
    if (this.#parts?.some((part, k) => part.length !== parts[k]!.length))
      throw new DistillError(
        "E_SHAPE",
        `SelectivityAccumulator: a batch of ${matrix.columns} neurons after others; every batch must be of the same layer and classes`,
      );
    this.#samples += samples;
    const compared = this.over === "samples-and-positions" ? matrix.rows : samples;
    this.#compared += compared;
    this.#parts = this.#parts ? this.#metric.mix(this.#parts, parts, compared / this.#compared) : parts;
    return this;
  }

  /** The scores of all that was added. Error: `E_SHAPE` for fewer than two samples (or positions, over "positions"). */
  scores(): Float64Array {
    if (!this.#parts || (this.#compared < 2 && this.over !== "positions"))
      throw new DistillError(
        "E_SHAPE",
        `SelectivityAccumulator holds ${this.#compared} samples; selectivity compares samples and needs at least 2: add a batch`,
      );
    return this.#metric.score(this.#parts).slice();
  }
}
