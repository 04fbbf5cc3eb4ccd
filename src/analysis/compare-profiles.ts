// How far the student's neurons are from the teacher's: their scores by metric, under each way to match them.
import { compareScores, normalizeProfiles } from "../strategies/comparison.ts";
import { type Matrix, ResponseCorrelation, SelectivityMetric } from "../strategies/index.ts";
import { type Pairs, pairByAssignment, pairByIndex, pairByRank } from "../strategies/match.ts";
import type { NeuronProfile } from "./tap-profile.ts";

/** How scores are matched: neurons as by `SelectivityMatch`, or, of scores of samples, sample by sample. */
export type ProfileMatch = "index" | "rank" | "assignment" | "sample";

export interface ScoreDistance {
  readonly metric: SelectivityMetric;
  readonly match: ProfileMatch;
  /** Mean over the pairs of (s − t)²; of class response, of profiles of length 1, summed over the classes. */
  readonly squared: number;
  /** The same over the mean of t² over the pairs. */
  readonly relative: number;
}

export interface ProfileComparison {
  /** In the order of the metrics. */
  readonly distances: readonly ScoreDistance[];
  /** For each neuron of the student the teacher's neuron that it answers most like, one to one; −1 for none. */
  readonly assignment: readonly number[];
  /** Correlation of the responses of each such pair over the kept rows; NaN for none. */
  readonly correlations: readonly number[];
}

/**
 * Compares two profiles of the same rows: "index" where both have equally many neurons, "rank" and "assignment" always
 * (class response, which has no order, not by rank).
 *
 * Error: E_SHAPE where the kept rows differ in number.
 */
export function compareProfiles(student: NeuronProfile, teacher: NeuronProfile): ProfileComparison {
  const responses = new ResponseCorrelation().add(student.kept, teacher.kept);
  const assignment = responses.assignment();
  const matrix = responses.matrix();
  const ways = (s: Float64Array, t: Float64Array): [ProfileMatch, Pairs][] => [
    ...(student.neurons === teacher.neurons
      ? [["index", pairByIndex(student.neurons)] as [ProfileMatch, Pairs]]
      : []),
    ["rank", pairByRank(s, t)],
    ["assignment", pairByAssignment(assignment)],
  ];
  const distances = Object.values(SelectivityMetric).flatMap((metric): ScoreDistance[] => {
    const [s, t] = [student.scores[metric], teacher.scores[metric]];
    if (metric === "class-response") return classDistances(student, teacher, ways);
    if (!s || !t) return [];
    const matches: [ProfileMatch, Pairs][] =
      metric === "population-sparseness" ? [["sample", pairByIndex(s.length)]] : ways(s, t);
    return matches.map(([match, pairs]) => distanceOf(metric, match, s, t, pairs));
  });
  return {
    distances,
    assignment: [...assignment],
    correlations: correlationsOf(matrix, assignment),
  };
}

function distanceOf(
  metric: SelectivityMetric,
  match: ProfileMatch,
  student: Float64Array,
  teacher: Float64Array,
  pairs: Pairs,
  classes = 1,
): ScoreDistance {
  const of = (distance: "squared" | "relative") =>
    compareScores(student, teacher, pairs, distance, classes).loss;
  return { metric, match, squared: of("squared"), relative: of("relative") };
}

function classDistances(
  student: NeuronProfile,
  teacher: NeuronProfile,
  ways: (s: Float64Array, t: Float64Array) => [ProfileMatch, Pairs][],
): ScoreDistance[] {
  const { classResponse: s, present } = student;
  const { classResponse: t } = teacher;
  if (!s || !t || !present) return [];
  const [profilesS, profilesT] = [s, t].map((r) => normalizeProfiles(r, present).profiles) as [
    Float64Array,
    Float64Array,
  ];
  return ways(new Float64Array(student.neurons), new Float64Array(teacher.neurons))
    .filter(([match]) => match !== "rank")
    .map(([match, pairs]) =>
      distanceOf("class-response", match, profilesS, profilesT, pairs, present.length),
    );
}

const correlationsOf = (matrix: Matrix, assignment: Int32Array): number[] =>
  Array.from(assignment, (j, i) => (j < 0 ? Number.NaN : matrix.get(i, j)));
