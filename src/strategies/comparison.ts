// How far the student's scores are from the teacher's: the distance of matched pairs, its mean, and its derivative.
import { DistillError } from "../base/errors.ts";
import type { Pairs } from "./match.ts";
import { FLOOR_SQUARED } from "./metrics/metric.ts";
import type { SelectivityDistance } from "./selectivity-words.ts";

/** Below this mean square of the teacher's scores the relative distance does not grow any more. */
export const LEAST_MEAN_SQUARE = 1e-6;

export interface Compared {
  readonly loss: number;
  /** d loss / d the student's scores. */
  readonly upstream: Float64Array;
}

/**
 * The mean over the pairs of what {@link SelectivityDistance} says, each pair with its share. Scores of several classes
 * `[classes × neurons]` are summed over the classes.
 */
export function compareScores(
  student: Float64Array,
  teacher: Float64Array,
  pairs: Pairs,
  distance: SelectivityDistance,
  classes = 1,
): Compared {
  const upstream = new Float64Array(student.length);
  const [columnsS, columnsT] = [student.length / classes, teacher.length / classes];
  let [sum, squares] = [0, 0];
  for (let k = 0; k < classes; k++)
    for (let p = 0; p < pairs.student.length; p++) {
      const i = k * columnsS + pairs.student[p]!;
      const t = teacher[k * columnsT + pairs.teacher[p]!]!;
      const share = pairs.share?.[p] ?? 1;
      const d = student[i]! - t;
      squares += share * t * t;
      if (distance === "absolute") {
        sum += share * Math.abs(d);
        upstream[i]! += share * Math.sign(d);
      } else {
        sum += share * (d * d);
        upstream[i]! += share * (2 * d);
      }
    }
  const scale = distance === "relative" ? Math.max(squares / pairs.total, LEAST_MEAN_SQUARE) : 1;
  const over = pairs.total * scale;
  for (let i = 0; i < upstream.length; i++) upstream[i]! /= over;
  return { loss: sum / over, upstream };
}

/**
 * {@link compareScores} of scores for each class, as profiles over the classes that are `present` in the student's samples
 * (a share above 0): the others can't be compared.
 */
export function compareProfiles(
  student: Float64Array,
  teacher: Float64Array,
  present: Float64Array,
  pairing: (classes: number) => Pairs,
  distance: SelectivityDistance,
): Compared {
  const classes = present.length;
  if (teacher.length % classes !== 0)
    throw new DistillError(
      "E_SHAPE",
      `the teacher has ${teacher.length} scores, which is no number for each of ${classes} classes; give [classes × neurons]`,
    );
  const [s, t] = [normalizeProfiles(student, present), normalizeProfiles(teacher, present)];
  const { loss, upstream } = compareScores(s.profiles, t.profiles, pairing(classes), distance, classes);
  return { loss, upstream: s.backward(upstream) };
}

/** Profiles `[classes × neurons]` of length 1 each, over the classes that are present; what they are and how to go back. */
export function normalizeProfiles(
  scores: Float64Array,
  present: ArrayLike<boolean | number>,
): { readonly profiles: Float64Array; backward(upstream: Float64Array): Float64Array } {
  const classes = present.length;
  const columns = scores.length / classes;
  const kept = scores.map((s, i) => (present[Math.floor(i / columns)] ? s : 0));
  const norms = new Float64Array(columns).fill(FLOOR_SQUARED);
  kept.forEach((s, i) => {
    norms[i % columns]! += s * s;
  });
  for (let c = 0; c < columns; c++) norms[c] = Math.sqrt(norms[c]!);
  const profiles = kept.map((s, i) => s / norms[i % columns]!);
  return {
    profiles,
    /** d loss / d scores = (u − profile · Σ u·profile) / norm. */
    backward(upstream) {
      const along = new Float64Array(columns);
      profiles.forEach((p, i) => {
        along[i % columns]! += upstream[i]! * p;
      });
      return upstream.map((u, i) =>
        present[Math.floor(i / columns)] ? (u - profiles[i]! * along[i % columns]!) / norms[i % columns]! : 0,
      );
    },
  };
}
