// What the neurons of one layer respond to, from activations that are given batch by batch: memory grows with the number
// of neurons and classes, not with the samples. The scores themselves are the strategies room's.
import {
  ACTIVITY_THRESHOLD,
  DEAD_NEURON_MEAN,
  type Matrix,
  SelectivityAccumulator,
  SelectivityMetric,
  selectivityScores,
} from "../strategies/index.ts";
import { RowReservoir } from "./row-reservoir.ts";
import { type Excitation, TopSamples } from "./top-samples.ts";

export interface ProfileOptions {
  /** Number of classes, where each sample's is told; without it the metrics of classes are left out. */
  readonly classes?: number | undefined;
  /** Exciting samples that are kept for each neuron. */
  readonly excited: number;
  /** Rows that are kept for histograms and the metrics that need whole columns. */
  readonly kept: number;
  readonly seed: number;
}

export interface NeuronProfile {
  readonly neurons: number;
  /** Samples, and rows: samples times positions. */
  readonly samples: number;
  readonly rows: number;
  readonly positions: number;
  /**
   * By metric, one score for each neuron; of "population-sparseness" one for each kept row. Metrics of classes only where
   * classes are told.
   */
  readonly scores: Readonly<Partial<Record<SelectivityMetric, Float64Array>>>;
  /** Mean response to each class, `[classes × neurons]`. */
  readonly classResponse?: Float64Array;
  /** Which classes had samples. */
  readonly present?: readonly boolean[];
  /** Share of the rows in which a neuron is active, |a| > 0.01. */
  readonly active: Float64Array;
  /** Neurons that no row makes active. */
  readonly dead: readonly number[];
  /** Neurons that every row makes active. */
  readonly alwaysOn: readonly number[];
  /** A bounded uniform sample of the rows, `[kept, neurons]`. */
  readonly kept: Matrix;
  excited(neuron: number): Excitation[];
}

/** These follow from moments, whatever the batches. */
const streamed = [
  SelectivityMetric.Variance,
  SelectivityMetric.RelativeDeviation,
  SelectivityMetric.LogVariance,
  SelectivityMetric.LifetimeSparseness,
  SelectivityMetric.Kurtosis,
  SelectivityMetric.SoftPeak,
] as const;
const ofClasses = [SelectivityMetric.ClassSelectivity, SelectivityMetric.ClassResponse] as const;

/**
 * Takes the activations of a layer and tells what its neurons respond to. Scores are those of all rows together, except
 * "relative-sparsity" and "population-sparseness", which are taken over the kept rows.
 *
 * Errors: those of `SelectivityAccumulator` (E_NOT_FINITE for NaN, E_SHAPE for layers that differ from batch to batch).
 */
export class TapProfile {
  readonly #accumulators: SelectivityAccumulator[];
  readonly #reservoir: RowReservoir;
  readonly #top: TopSamples;
  readonly #samplesOfClass: Float64Array;
  #peak = new Float64Array(0);
  #sum = new Float64Array(0);
  #activeRows = new Float64Array(0);
  #samples = 0;
  #rows = 0;
  #positions = 1;

  constructor(options: ProfileOptions) {
    const metrics = [...streamed, ...(options.classes === undefined ? [] : ofClasses)];
    this.#accumulators = metrics.map((metric) => new SelectivityAccumulator({ metric }));
    this.#reservoir = new RowReservoir(options.kept, options.seed);
    this.#top = new TopSamples(options.excited);
    this.#samplesOfClass = new Float64Array(options.classes ?? 0);
  }

  /**
   * @param samples the number of each sample in the data set
   * @param classes `[samples, classes]`, one-hot or distributions; needed where `options.classes` is given
   */
  add(activations: Matrix, samples: ArrayLike<number>, classes?: Matrix): this {
    const { rows, columns, data, positions } = activations;
    for (const accumulator of this.#accumulators) accumulator.add(activations, classes);
    this.#reservoir.add(activations);
    this.#top.add(activations, samples);
    classes?.data.forEach((share, i) => {
      this.#samplesOfClass[i % classes.columns]! += share;
    });
    if (this.#rows === 0) {
      this.#peak = new Float64Array(columns);
      this.#sum = new Float64Array(columns);
      this.#activeRows = new Float64Array(columns);
    }
    for (let r = 0, i = 0; r < rows; r++)
      for (let c = 0; c < columns; c++, i++) {
        const size = Math.abs(data[i]!);
        this.#sum[c]! += size;
        if (size > this.#peak[c]!) this.#peak[c] = size;
        if (size > ACTIVITY_THRESHOLD) this.#activeRows[c]! += 1;
      }
    this.#rows += rows;
    this.#samples += rows / positions;
    this.#positions = positions;
    return this;
  }

  /** Error: E_SHAPE for fewer than two rows. */
  result(): NeuronProfile {
    const found = Object.fromEntries(this.#accumulators.map((a) => [a.metric, a.scores()])) as Partial<
      Record<SelectivityMetric, Float64Array>
    >;
    const { "class-response": classResponse, "class-selectivity": classSelectivity, ...scores } = found;
    const kept = this.#reservoir.matrix();
    const neurons = kept.columns;
    const active = this.#activeRows.map((n) => n / this.#rows);
    const mean = this.#sum.map((s) => s / this.#rows);
    const where = (share: number) => [...active.keys()].filter((c) => active[c] === share);
    return {
      neurons,
      samples: this.#samples,
      rows: this.#rows,
      positions: this.#positions,
      scores: {
        ...scores,
        sparsity: active,
        "peak-to-average": this.#peak.map((p, c) => (mean[c]! <= DEAD_NEURON_MEAN ? 0 : p / mean[c]!)),
        "relative-sparsity": selectivityScores(kept, "relative-sparsity"),
        ...(neurons > 1 && { "population-sparseness": selectivityScores(kept, "population-sparseness") }),
        ...(classSelectivity && { "class-selectivity": classSelectivity }),
      },
      ...(classResponse && {
        classResponse,
        present: Array.from(this.#samplesOfClass, (n) => n > 0),
      }),
      active,
      dead: where(0),
      alwaysOn: where(1),
      kept,
      excited: (neuron) => this.#top.of(neuron),
    };
  }
}
