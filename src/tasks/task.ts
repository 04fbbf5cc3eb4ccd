// What a task is: all that training and evaluation need to know of what a model's outputs mean. Types only.
import type { Shape, Tensor } from "../base/tensor.ts";
import type { DistillationStrategy, OutputKind } from "../strategies/index.ts";
import type { MetricKey, Metrics } from "./metrics.ts";

/** Labels of a batch as the step takes them. */
export interface LabelFeeds {
  /** int32 [R] class indices (0 where the row does not count), or float32 like the logits: distributions or targets. */
  readonly labels: Tensor;
  /** float32 [R]: 1 for a row that counts, 0 for one that does not; left out where every row counts. */
  readonly weights?: Tensor;
}

/** Where labels come from, for messages. */
export interface LabelSource {
  /** E.g. "the data". */
  readonly name: string;
  /** Indices of the samples in the data set. */
  readonly samples: ArrayLike<number>;
}

/** What a model predicts, row by row, in the form in which student and teacher are compared. */
export type Predictions = Int32Array | Float32Array | Uint8Array;

export interface EvaluationBatch {
  /** float32 [R, C] */
  readonly rows: Tensor;
  /** Shape of the logits, samples in front. */
  readonly shape: Shape;
  readonly predictions: Predictions;
  readonly labels?: Tensor | undefined;
  /** What the teacher predicted for the same rows. */
  readonly teacher?: Predictions | undefined;
  readonly source: LabelSource;
}

/** Adds up over the batches of a data set. */
export interface Evaluator {
  add(batch: EvaluationBatch): void;
  result(): {
    readonly metrics: Metrics;
    /** counts[true][predicted], where a task has one class per row and labels were given. */
    readonly confusion?: number[][];
  };
}

export interface TaskOptions {
  /** A label whose row does not count. */
  readonly ignoreIndex?: number | undefined;
  /** δ of Huber's loss; undefined: squared differences. */
  readonly huberDelta?: number | undefined;
  /** The class that stands for no symbol. */
  readonly blankIndex?: number | undefined;
}

export interface StrategyOptions {
  readonly temperature?: number;
  readonly alpha?: number;
}

export interface Task {
  readonly name: string;
  /** What makes predictions of its logits: a model may end in it, and strategies made for others are refused. */
  readonly outputs: OutputKind;
  /** What its rows are, in the plural: `samples`, `tokens`. */
  readonly rows: string;
  /** Shape of the logits it takes, as messages show it. */
  readonly logits: string;
  /** Shape of the labels it takes, likewise. */
  readonly labels: string;
  takesRank(rank: number): boolean;
  /** Whether logits may come as [T, N, C]. */
  readonly timeFirst: boolean;
  /** Whether some rows may not count, by their labels. */
  readonly ignores: boolean;
  /** false: labels serve evaluation only, so that a teacher is needed. */
  readonly learnsFromLabels: boolean;
  /**
   * Labels of a batch, checked against the shape of the logits (samples in front); undefined where the step has no use for
   * them. Errors: E_DATA, with the sample.
   */
  feeds(labels: Tensor, logits: Shape, source: LabelSource): LabelFeeds | undefined;
  /** How many classes the labels may name; undefined where they are no class indices. */
  classesOf(logits: Shape): number | undefined;
  predictions(rows: Tensor): Predictions;
  readonly metrics: readonly MetricKey[];
  /** What makes a student the best: the first of these that was measured. */
  readonly monitors: readonly MetricKey[];
  evaluator(): Evaluator;
  /** The usual loss on outputs. Without a teacher, its hard term is what is trained with. */
  strategy(options: StrategyOptions): DistillationStrategy;
}
