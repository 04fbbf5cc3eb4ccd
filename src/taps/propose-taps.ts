// Which values of teacher and student to compare, where nobody says: pairs of good places by resolution and depth.
import { sameShape } from "../base/tensor.ts";
import type { TapCandidate } from "./candidates.ts";

export interface TapProposal {
  readonly teacher: TapCandidate;
  readonly student: TapCandidate;
}

export interface ProposeOptions {
  /** Whether both sides must have equally many neurons. */
  readonly equalNeurons: boolean;
}

/** More pairs than this cost more memory and time than they teach. */
const mostPairs = 4;
/** Places of different resolution, or with equal neurons by chance, are no pair when their depths differ by more. */
const farthest = 0.25;

/**
 * Pairs each good place of the student (candidates.ts) with one of the teacher's: of the same resolution if there is
 * one, the last of it where the resolution changes along the model, otherwise the nearest in depth. Pairs keep the order
 * of both models, no value is used twice, and of more than four the deepest stay. A pooled vector is paired only where
 * no map or sequence is.
 *
 * @example
 * const pairs = proposeTaps(tapCandidates(teacher, …), tapCandidates(student, …), { equalNeurons: true });
 */
export function proposeTaps(
  teacher: readonly TapCandidate[],
  student: readonly TapCandidate[],
  o: ProposeOptions,
): TapProposal[] {
  const found: TapProposal[] = [];
  const places = student.filter((s) => s.suggested);
  for (const place of places) {
    const pair = alternatives(place, student, o)
      .map((s) => ({ student: s, teacher: partnerOf(s, teacher, o) }))
      .find((p): p is TapProposal => p.teacher !== undefined);
    if (pair) found.push(pair);
  }
  const positioned = found.filter((p) => p.student.positions > 1);
  return inOrder(positioned.length > 0 ? positioned : found, teacher, student).slice(-mostPairs);
}

/** How deep the one pair lies that CKA alone is given (docs/quality.md): late, but not what the logits are made of. */
const deepEnough = 2 / 3;

/** The pair whose student's side is nearest two thirds of the depth. */
export const onePair = <P extends TapProposal>(pairs: readonly P[]): P[] => {
  const off = (p: P): number => Math.abs(p.student.depth - deepEnough);
  return pairs.length === 0 ? [] : [pairs.reduce((a, b) => (off(b) < off(a) ? b : a))];
};

/** The place itself, and where neurons must be equal the blocks before it at its resolution, the last first. */
function alternatives(
  place: TapCandidate,
  student: readonly TapCandidate[],
  o: ProposeOptions,
): TapCandidate[] {
  if (!o.equalNeurons) return [place];
  const before = student.slice(0, student.indexOf(place)).reverse();
  return [place, ...before.filter((c) => c.block && sameShape(c.resolution, place.resolution))];
}

function partnerOf(
  s: TapCandidate,
  teacher: readonly TapCandidate[],
  o: ProposeOptions,
): TapCandidate | undefined {
  const fits = teacher.filter((t) => !o.equalNeurons || t.neurons === s.neurons);
  const like = (t: TapCandidate) => sameShape(t.resolution, s.resolution);
  const near = (t: TapCandidate) => Math.abs(t.depth - s.depth) <= farthest;
  const changes =
    new Set(teacher.filter((t) => t.suggested && t.positions > 1).map((t) => t.positions)).size > 1;
  const place = (t: TapCandidate) => t.suggested || (t.end && !changes);
  const classes = [
    fits.filter((t) => like(t) && place(t) && (changes || near(t))),
    fits.filter((t) => like(t) && t.block && near(t)),
    fits.filter((t) => t.positions > 1 && (place(t) || t.end) && near(t)),
    fits.filter((t) => t.block && near(t)),
  ];
  const best = classes.find((c) => c.length > 0) ?? [];
  return best.reduce<TapCandidate | undefined>(
    (a, t) => (a && Math.abs(a.depth - s.depth) < Math.abs(t.depth - s.depth) ? a : t),
    undefined,
  );
}

/** Pairs that cross another, or use its value again, go: the one whose depths are nearer stays. */
function inOrder(
  pairs: readonly TapProposal[],
  teacher: readonly TapCandidate[],
  student: readonly TapCandidate[],
): TapProposal[] {
  const kept: TapProposal[] = [];
  const apart = (p: TapProposal) => Math.abs(p.teacher.depth - p.student.depth);
  const follows = (p: TapProposal, q: TapProposal) =>
    teacher.indexOf(p.teacher) > teacher.indexOf(q.teacher) &&
    student.indexOf(p.student) > student.indexOf(q.student);
  for (const pair of pairs) {
    const clashes = kept.filter((q) => !follows(pair, q));
    if (clashes.some((q) => apart(q) <= apart(pair))) continue;
    for (const q of clashes) kept.splice(kept.indexOf(q), 1);
    kept.push(pair);
  }
  return kept;
}
