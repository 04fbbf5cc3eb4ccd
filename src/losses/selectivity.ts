// Neuron selectivity as graph values: the emitted twin of NeuronSelectivityDistillationStrategy's intermediate loss. One
// table of metrics; what is scored, matched and compared lies in the folder beside this file.
import { DistillError } from "../base/errors.ts";
import { neuronAxis } from "../base/layout.ts";
import { formatShape, type Shape, sizeOf, tensor } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import type { NeuronSelectivityDistillationStrategy, SelectivityMetric } from "../strategies/index.ts";
import { metricNamed } from "../strategies/selectivity-metric.ts";
import { classResponse, classSelectivity, presentClasses } from "./selectivity/classes.ts";
import {
  distanceOf,
  normalizeProfiles,
  type PairedScores,
  pairByAssignment,
  pairByIndex,
  pairByRank,
} from "./selectivity/comparison.ts";
import { kurtosis } from "./selectivity/kurtosis.ts";
import { logVariance } from "./selectivity/log-variance.ts";
import { type EmittedMetric, takenOver } from "./selectivity/metric.ts";
import { peakToAverage } from "./selectivity/peak-to-average.ts";
import { relativeDeviation } from "./selectivity/relative-deviation.ts";
import { relativeSparsity } from "./selectivity/relative-sparsity.ts";
import { gradientForAll, runningMoments } from "./selectivity/running.ts";
import { type Samples, samplesOf } from "./selectivity/samples.ts";
import { softPeak } from "./selectivity/soft-peak.ts";
import { sparsity } from "./selectivity/sparsity.ts";
import { stateNames } from "./selectivity/state-names.ts";
import { trevesRolls } from "./selectivity/treves-rolls.ts";
import { variance } from "./selectivity/variance.ts";
import type { LossContext, TapPair } from "./terms.ts";

const metrics: Readonly<Record<SelectivityMetric, EmittedMetric>> = {
  variance,
  sparsity,
  "peak-to-average": peakToAverage,
  "relative-deviation": relativeDeviation,
  "log-variance": logVariance,
  "relative-sparsity": relativeSparsity,
  "lifetime-sparseness": trevesRolls,
  "population-sparseness": trevesRolls,
  kurtosis,
  "soft-peak": softPeak,
  "class-selectivity": classSelectivity,
  "class-response": classResponse,
};

/** What of a strategy the loss depends on. */
export type SelectivitySettings = Pick<
  NeuronSelectivityDistillationStrategy,
  "selectivityWeight" | "metric" | "over" | "match" | "target" | "momentum" | "distance"
>;

/** weight · the mean distance of the scores of one tap; see the strategy for what the settings mean. */
export function selectivityLoss(c: LossContext, tap: TapPair, settings: SelectivitySettings): Value {
  const { b } = c;
  const { metric: name, over, momentum } = settings;
  const { of, needsClasses, isProfile } = metricNamed("selectivity", name);
  const metric = takenOver(metrics[name], over, of);
  const states = stateNames(tap.name, settings);
  const classes = needsClasses ? classesOf(c, tap) : undefined;

  const samples = samplesOf(b, tap.student, over, of, classes);
  const batch = metric.moments(samples);
  const running =
    momentum > 0 ? runningMoments(b, c.state, states.running, metric, batch, momentum) : undefined;
  const moments = running?.moments ?? batch;
  const score = (s: Samples, from: readonly Value[]): Value => flat(s, metric.score(s, from), isProfile);
  let student = score(samples, moments);
  let teacher: Value;
  if (settings.target === "dataset") {
    const neurons = b.dims(tap.teacher)[neuronAxis(b.dims(tap.teacher).length)] as number;
    const dims: Shape = isProfile ? [b.dims(classes as Value)[1] as number, neurons] : [neurons];
    const variable = c.state.variable(
      states.teacher,
      tensor("float32", new Float32Array(sizeOf(dims)), dims),
    );
    teacher = b.cast(variable.value, typeOf(student).dtype);
  } else {
    const other = samplesOf(b, tap.teacher, over, of, classes);
    teacher = score(other, metric.moments(other));
  }
  if (isProfile) {
    // Classes that the student has not met yet can't be compared.
    const present = presentClasses(b, moments);
    student = normalizeProfiles(b, student, present);
    teacher = normalizeProfiles(b, teacher, present);
  }
  const pairs = paired(c, settings, states.assignment, student, teacher);
  const loss = distanceOf(b, pairs, settings.distance, settings.selectivityWeight);
  return running ? gradientForAll(b, loss, running.share) : loss;
}

function paired(
  { b, state }: LossContext,
  { match }: SelectivitySettings,
  assignmentName: string,
  student: Value,
  teacher: Value,
): PairedScores {
  if (match === "rank") return pairByRank(b, student, teacher);
  if (match === "index") return pairByIndex(b, student, teacher);
  const [own, other] = [b.dims(student).at(-1) as number, b.dims(teacher).at(-1) as number];
  // Until the training loop sets it, the i-th with the i-th.
  const initial = tensor(
    "float32",
    Array.from({ length: own }, (_, i) => (i < other ? i : -1)),
  );
  return pairByAssignment(b, student, teacher, state.variable(assignmentName, initial).value);
}

/** Scores as [neurons], [classes, neurons] or [samples]. */
function flat({ b }: Samples, scores: Value, isProfile: boolean): Value {
  return isProfile ? scores : b.reshape(scores, [sizeOf(b.dims(scores))]);
}

/** The distribution over classes of each sample of the tap: the labels', or the class that the teacher predicts. */
function classesOf(c: LossContext, tap: TapPair): Value {
  const { b } = c;
  const samples = b.dims(tap.student)[0] as number;
  const classes = c.labels ?? (c.teacherLogits && predictedClasses(c, c.teacherLogits));
  if (!classes)
    throw new DistillError(
      "E_OPTION",
      `tap "${tap.name}": this selectivity metric tells classes apart; give labels, or a teacher with logits`,
    );
  const dims = b.dims(classes);
  if (dims[0] !== samples || (dims[1] as number) < 2)
    throw new DistillError(
      "E_SHAPE",
      `tap "${tap.name}": ${samples} samples, but labels or logits of shape ${formatShape(dims)}; a selectivity metric that tells classes apart needs one row for each sample and two classes or more`,
    );
  // A sample whose label does not count is of no class.
  return c.rowWeights ? b.mul(classes, b.reshape(c.rowWeights, [samples, 1])) : classes;
}

/** 1 where a row is greatest (shared, where several are), else 0. */
function predictedClasses({ b }: LossContext, logits: Value): Value {
  const top = b.expand(b.reduceMax(logits, [1], true), b.dims(logits));
  const isTop = b.cast(b.equal(logits, top), typeOf(logits).dtype);
  return b.div(isTop, b.reduceSum(isTop, [1], true));
}
