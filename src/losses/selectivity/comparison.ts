// Scores of student and teacher, matched and compared: the emitted twin of strategies/match.ts and strategies/comparison.ts.
import { sizeOf, tensor } from "../../base/tensor.ts";
import { int, typeOf, type Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import { LEAST_MEAN_SQUARE } from "../../strategies/comparison.ts";
import { RESPONSE_FLOOR, type SelectivityDistance } from "../../strategies/index.ts";
import { overlaps } from "../../strategies/match.ts";

/** Pairs of scores along the last axis, and their shares, which sum to 1; where undefined, `count` equal ones. */
export interface PairedScores {
  readonly student: Value;
  readonly teacher: Value;
  readonly share: Value | undefined;
  readonly count: number;
}

const lastDim = (b: Builder, x: Value): number => b.dims(x).at(-1) as number;

export function pairByIndex(b: Builder, student: Value, teacher: Value): PairedScores {
  return { student, teacher, share: undefined, count: lastDim(b, student) };
}

/** Sorted scores [N] with sorted scores [M]; of unequal numbers, by the overlaps of their quantiles. */
export function pairByRank(b: Builder, student: Value, teacher: Value): PairedScores {
  const [n, m] = [sizeOf(b.dims(student)), sizeOf(b.dims(teacher))];
  const sorted = (x: Value, k: number): Value =>
    b.nodes("TopK", [x, b.ints([k])], { axis: int(-1), largest: int(0), sorted: int(1) }, "", 2)[0] as Value;
  const { first, second, share, total } = overlaps(n, m);
  const [s, t] = [sorted(student, n), sorted(teacher, m)];
  if (!share) return pairByIndex(b, s, t);
  const at = (places: Int32Array): Value => b.constant(tensor("int64", [...places]), "ranks");
  const shares = tensor(
    typeOf(student).dtype as "float32",
    Array.from(share, (w) => w / total),
  );
  return {
    student: b.gather(s, at(first), 0),
    teacher: b.gather(t, at(second), 0),
    share: b.constant(shares, "shares"),
    count: 1,
  };
}

/** Score i with the teacher's score at `assignment[i]`, [N] as floats; −1: with none, and it has no share. */
export function pairByAssignment(
  b: Builder,
  student: Value,
  teacher: Value,
  assignment: Value,
): PairedScores {
  const matched = b.cast(b.greaterOrEqual(assignment, b.like(assignment, 0)), typeOf(student).dtype);
  const places = b.cast(b.max(assignment, b.like(assignment, 0)), "int32");
  const count = b.reduceSum(matched);
  return {
    student,
    teacher: b.gather(teacher, places, b.dims(teacher).length - 1),
    share: b.div(matched, b.max(count, b.like(count, 1))),
    count: 1,
  };
}

/** weight · the mean distance of the pairs, summed over classes where scores are [classes, pairs]. */
export function distanceOf(
  b: Builder,
  { student, teacher, share, count }: PairedScores,
  distance: SelectivityDistance,
  weight: number,
): Value {
  const mean = (x: Value, factor: number): Value =>
    b.scale(b.reduceSum(share ? b.mul(x, share) : x), factor / count);
  const difference = b.sub(student, teacher);
  if (distance === "absolute") return mean(b.abs(difference), weight);
  const squared = mean(b.square(difference), weight);
  if (distance === "squared") return squared;
  const size = mean(b.square(teacher), 1);
  return b.div(squared, b.max(size, b.like(size, LEAST_MEAN_SQUARE)));
}

/** Profiles [classes, neurons] of length 1 each over the classes that are present ([classes, 1], 1 or 0). */
export function normalizeProfiles(b: Builder, scores: Value, present: Value): Value {
  const kept = b.mul(scores, present);
  const norm = b.sqrt(b.shift(b.reduceSum(b.square(kept), [0], true), RESPONSE_FLOOR ** 2));
  return b.div(kept, norm);
}
