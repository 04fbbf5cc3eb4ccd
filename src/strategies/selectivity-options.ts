// The options of the selectivity loss, checked once: what is scored, over what, and how scores are compared.
import { DistillError } from "../base/errors.ts";
import { checkLayerName, checkOneOf, checkWeight } from "./checks.ts";
import type { Metric } from "./metrics/metric.ts";
import type { ResponseOptions } from "./response-strategy.ts";
import { metricFor, SelectivityMetric } from "./selectivity-metric.ts";
import {
  type SelectivityDistance,
  type SelectivityMatch,
  type SelectivityOver,
  type SelectivityTarget,
  selectivityDistances,
  selectivityMatches,
  selectivityTargets,
} from "./selectivity-words.ts";

export interface NeuronSelectivityOptions extends ResponseOptions {
  /** The layer to compare, by its name in the activations; not blank; default "default". */
  readonly targetLayerName?: string;
  /** The weight of the selectivity loss; finite, 0 or more; default 0.5. 0 switches it off. */
  readonly selectivityWeight?: number;
  /** How a neuron is scored; default "variance". */
  readonly metric?: SelectivityMetric;
  /**
   * What counts as a sample of a map or a sequence; default "samples-and-positions": every position of every sample.
   * "samples": the mean over a sample's positions. "positions": the positions of one sample, scored sample by sample, and
   * the scores averaged.
   */
  readonly over?: SelectivityOver;
  /**
   * Which neuron is compared with which; default "index": the i-th with the i-th. "rank": the i-th smallest score with the
   * i-th smallest, a distance of the two layers' distributions of scores, also of unequal numbers of neurons.
   * "assignment": each neuron with the one that answers most like it, of unequal numbers too.
   */
  readonly match?: SelectivityMatch;
  /** Steps of training after which the assignment is computed anew; a whole number, 1 or more; default 100. */
  readonly assignmentEvery?: number;
  /**
   * The teacher's scores: default "batch", measured on the same batch; "dataset", measured once over the whole training
   * set, without the noise and the bias of a batch.
   */
  readonly target?: SelectivityTarget;
  /**
   * m in [0, 1): the student's moments are a running mean over batches, (1 − m)·batch + m·before, unbiased from the
   * first step; default 0, the batch alone. About (1 + m)/(1 − m) batches count. The gradient is that of scores over
   * all samples, estimated on the batch: it is not made smaller by 1 − m.
   */
  readonly momentum?: number;
  /** How two scores are compared; default "squared". See {@link SelectivityDistance}. */
  readonly distance?: SelectivityDistance;
}

type Own = Required<Omit<NeuronSelectivityOptions, keyof ResponseOptions>>;

const defaults: Own = {
  targetLayerName: "default",
  selectivityWeight: 0.5,
  metric: SelectivityMetric.Variance,
  over: "samples-and-positions",
  match: "index",
  assignmentEvery: 100,
  target: "batch",
  momentum: 0,
  distance: "squared",
};

/** The keys beyond temperature and alpha. */
export const selectivityOptionKeys = Object.keys(defaults) as (keyof Own)[];

export interface ResolvedSelectivity extends Own {
  /** `metric`, taken over `over`. */
  readonly scored: Metric;
}

/** Errors: `E_ARGUMENT` for a value out of range or unknown, `E_OPTION` for values that contradict each other. */
export function resolveSelectivity(owner: string, options: NeuronSelectivityOptions): ResolvedSelectivity {
  const o = { ...defaults };
  for (const key of selectivityOptionKeys)
    if (options[key] !== undefined) Object.assign(o, { [key]: options[key] });
  checkLayerName(`${owner}: targetLayerName`, o.targetLayerName);
  checkWeight(owner, "selectivityWeight", o.selectivityWeight);
  const scored = metricFor(owner, o.metric, o.over);
  checkOneOf(owner, "match", o.match, selectivityMatches);
  checkOneOf(owner, "target", o.target, selectivityTargets);
  checkOneOf(owner, "distance", o.distance, selectivityDistances);
  if (!(o.momentum >= 0 && o.momentum < 1))
    throw new DistillError(
      "E_ARGUMENT",
      `${owner}: momentum must lie in [0, 1), got ${o.momentum}; 0 takes each batch by itself`,
    );
  if (!Number.isInteger(o.assignmentEvery) || o.assignmentEvery < 1)
    throw new DistillError(
      "E_ARGUMENT",
      `${owner}: assignmentEvery must be a whole number of steps, 1 or more, got ${o.assignmentEvery}`,
    );
  checkTogether(owner, o, scored);
  return { ...o, scored };
}

function checkTogether(owner: string, o: Own, { of, isProfile }: Metric): void {
  const refuse = (what: string, why: string): never => {
    throw new DistillError("E_OPTION", `${owner}: ${what} cannot be had with metric "${o.metric}", ${why}`);
  };
  if (of === "sample") {
    const why = "which scores each sample, not each neuron";
    if (o.match === "assignment") refuse('match "assignment"', `${why}; samples match by themselves`);
    if (o.target === "dataset")
      refuse('target "dataset"', `${why}; the scores of a sample are exact already`);
    if (o.momentum > 0) refuse("momentum", `${why}; no sample comes in every batch`);
  }
  if (isProfile && o.match === "rank")
    refuse('match "rank"', "whose scores, one for each class, have no order; match by index or assignment");
}
