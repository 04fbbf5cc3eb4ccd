// What a selectivity metric has to answer. Each metric is one file beside this one and one line in the table of
// selectivity-metric.ts; nothing outside asks which metric it is.
//
// A metric is taken in two steps: moments (means over the samples, of the batch or, mixed, of many batches), and scores,
// which follow from the moments alone. So the scores of a whole data set, or a running estimate over batches, need no
// more memory than the moments, and are not the mean of noisy scores of single batches but the scores of all samples.
import type { FloatArray, Matrix } from "../matrix.ts";

/** Means over the samples, in parts of the metric's own choosing: `[neurons]`, `[classes]`, `[classes × neurons]`. */
export type Parts = readonly Float64Array[];

/** The derivative by each part; undefined where nothing depends on it. */
export type PartsGradient = readonly (Float64Array | undefined)[];

export interface Moments {
  readonly parts: Parts;
  /**
   * Writes, for every activation a, Σ upstream · d part / d a into `out` (row-major, as the activations), taken at
   * the moments `at`: these, or a mixture with those of other samples, of which these samples are then a part, but as if
   * they stood for all. Overwrites `out`. A zero is written as 0, not −0.
   */
  backward(upstream: PartsGradient, at: Parts, out: FloatArray): void;
}

export interface Metric {
  /** Whether there is a score for each neuron, over the samples, or for each sample (row), over the neurons. */
  readonly of: "neuron" | "sample";
  /** Whether it tells classes of samples apart. */
  readonly needsClasses: boolean;
  /** Whether the scores of a neuron are one for each class, `[classes × neurons]`, and compared up to a factor. */
  readonly isProfile: boolean;
  /**
   * Moments of activations `[samples, neurons]` in one or two passes over the rows; `classes` `[samples / positions,
   * K]` are the rows' distributions over classes. Throws E_NOT_FINITE naming `what` when a value is not finite.
   */
  measure(what: string, activations: Matrix, classes?: Matrix): Moments;
  /** The moments of two sets of samples together, of which `b` has the given share, in [0, 1]. */
  mix(a: Parts, b: Parts, share: number): Parts;
  score(at: Parts): Float64Array;
  /** d loss / d parts for `upstream`, d loss / d scores. */
  scoreGradient(at: Parts, scores: Float64Array, upstream: Float64Array): PartsGradient;
}

/** Scores that were measured directly, for metrics that need no moments. */
export interface Measured {
  /** One score per neuron, `[columns]`, or per sample. */
  readonly scores: Float64Array;
  /**
   * Writes, for every activation, `upstream[score] · d score / d activation` into `out` (row-major, as the
   * activations). Overwrites `out`. A zero is written as 0, not −0.
   */
  backward(upstream: Float64Array, out: FloatArray): void;
}

/** Scores in one pass over the rows; throws E_NOT_FINITE naming `what` when a value is not finite. */
export type Measure = (what: string, activations: Matrix) => Measured;

/**
 * A metric whose only moments are its scores: those of several batches are averaged. Right for shares and other
 * means; for the rest, which follow from no moments, the mean score of batches of that size stands for them all.
 */
export function averagedScores(of: Metric["of"], measure: Measure): Metric {
  return {
    of,
    needsClasses: false,
    isProfile: false,
    measure(what, activations) {
      const { scores, backward } = measure(what, activations);
      return { parts: [scores], backward: ([upstream], _, out) => backward(upstream!, out) };
    },
    mix: mixMeans,
    score: ([scores]) => scores!,
    scoreGradient: (_at, _scores, upstream) => [upstream],
  };
}

/** {@link Metric.mix} for parts that are plain means. */
export function mixMeans(a: Parts, b: Parts, share: number): Float64Array[] {
  return a.map((part, k) => part.map((v, i) => (1 - share) * v + share * b[k]![i]!));
}

/** What two neighbouring metrics have in common: neither classes nor profiles. */
export const perNeuron = { of: "neuron", needsClasses: false, isProfile: false } as const;

// Some passes take four rows at a time: each column's accumulators are then loaded and stored once for four
// values, which is worth a factor of 2.5 on large matrices. Rows left over are taken one by one.
export const ROWS_AT_A_TIME = 4;

/**
 * What counts as no response at all, in the units of the activations: the scale-free metrics add its square to mean
 * squares that they divide by. A neuron with responses well below it scores as a dead one, and gradients stay
 * below 1 / RESPONSE_FLOOR instead of growing without bound as a neuron dies. It moves the score of a neuron whose
 * root mean square is 0.1 by about 1e-4 of itself.
 */
export const RESPONSE_FLOOR = 1e-3;

/** {@link RESPONSE_FLOOR} squared. */
export const FLOOR_SQUARED = RESPONSE_FLOOR * RESPONSE_FLOOR;

/**
 * The sign of a, 0 for 0, without a branch: signs of activations are what a branch predictor is worst at. Exact but
 * for |a| < 1e-284, where it fades to 0.
 */
export function signOf(a: number): number {
  return a / (Math.abs(a) + 1e-300);
}
