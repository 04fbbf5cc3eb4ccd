// Which score of the student is compared with which of the teacher's, and how much each such pair counts.
import { DistillError } from "../base/errors.ts";
import type { SelectivityMatch } from "./selectivity-words.ts";

/** Pairs of scores; `share` are whole numbers that sum to `total`, or one each where undefined. */
export interface Pairs {
  readonly student: Int32Array;
  readonly teacher: Int32Array;
  readonly share: Float64Array | undefined;
  readonly total: number;
}

/**
 * The pairs that `match` makes of scores of student and teacher, each one for a neuron or (`classes` above 1) one for each
 * class of a neuron.
 *
 * Errors: `E_SHAPE` for unequal numbers by index and for an assignment that does not fit, `E_OPTION` where there is none.
 */
export function pairsOf(
  match: SelectivityMatch,
  student: Float64Array,
  teacher: Float64Array,
  classes: number,
  assignment: Int32Array | undefined,
): Pairs {
  if (match === "rank") return pairByRank(student, teacher);
  const [own, other] = [student.length / classes, teacher.length / classes];
  if (match === "index") {
    if (own === other) return pairByIndex(own);
    throw new DistillError(
      "E_SHAPE",
      `the student has ${own} scores and the teacher ${other}; match neurons by "rank" or "assignment"`,
    );
  }
  if (!assignment)
    throw new DistillError(
      "E_OPTION",
      'match "assignment" needs an assignment; call computeAssignment with activations of both sides, or set it',
    );
  if (assignment.length !== own || assignment.some((j) => j >= other))
    throw new DistillError(
      "E_SHAPE",
      `assignment has ${assignment.length} entries up to ${Math.max(...assignment)} for ${own} neurons of the student and ${other} of the teacher; compute it anew`,
    );
  return pairByAssignment(assignment);
}

/** Score i with score i. */
export function pairByIndex(count: number): Pairs {
  const same = new Int32Array(count);
  for (let i = 0; i < count; i++) same[i] = i;
  return { student: same, teacher: same, share: undefined, total: count };
}

/**
 * The i-th smallest with the i-th smallest. Of unequal numbers n and m, each sorted score stands for an equal share
 * of its distribution, and a pair counts as much as the shares overlap: with squared differences the sum over the
 * pairs is then the squared Wasserstein-2 distance of the two distributions of scores, exactly.
 */
export function pairByRank(student: Float64Array, teacher: Float64Array): Pairs {
  const [s, t] = [orderOf(student), orderOf(teacher)];
  const { first, second, share, total } = overlaps(s.length, t.length);
  return {
    student: first.map((i) => s[i]!),
    teacher: second.map((j) => t[j]!),
    share,
    total,
  };
}

/**
 * Where the n equal parts and the m equal parts of one range overlap, from its beginning: pairs of parts, at most
 * n + m − 1, and the length of each overlap in units of which `total` make up the range.
 */
export function overlaps(
  n: number,
  m: number,
): { first: Int32Array; second: Int32Array; share: Float64Array | undefined; total: number } {
  const { student: first, total } = pairByIndex(n);
  if (n === m) return { first, second: first, share: undefined, total };
  const [i, j, share]: [number[], number[], number[]] = [[], [], []];
  const units = (n * m) / greatestCommonDivisor(n, m);
  for (let at = 0, a = 0, b = 0; at < units; ) {
    const [endOfA, endOfB] = [((a + 1) * units) / n, ((b + 1) * units) / m];
    const end = Math.min(endOfA, endOfB);
    i.push(a);
    j.push(b);
    share.push(end - at);
    at = end;
    if (endOfA === end) a++;
    if (endOfB === end) b++;
  }
  return {
    first: Int32Array.from(i),
    second: Int32Array.from(j),
    share: Float64Array.from(share),
    total: units,
  };
}

/** The student's neuron i with the teacher's neuron `assignment[i]`; −1: with none, and it does not count. */
export function pairByAssignment(assignment: Int32Array): Pairs {
  const student = Int32Array.from(assignment.keys()).filter((i) => assignment[i]! >= 0);
  return {
    student,
    teacher: student.map((i) => assignment[i]!),
    share: undefined,
    total: student.length,
  };
}

/** An assignment as the caller gave it: one entry for each neuron of the student, each a different neuron of the teacher's. */
export function checkAssignment(what: string, assignment: ArrayLike<number>): Int32Array {
  const taken = new Set<number>();
  for (let i = 0; i < assignment.length; i++) {
    const j = assignment[i]!;
    if (!Number.isInteger(j) || j < -1 || (j >= 0 && taken.has(j)))
      throw new DistillError(
        "E_ARGUMENT",
        `${what}: entry ${i} is ${j}; each must be the number of another neuron of the teacher, or −1 for none`,
      );
    taken.add(j);
  }
  if (assignment.length === 0 || (taken.size === 1 && taken.has(-1)))
    throw new DistillError("E_ARGUMENT", `${what} matches no neuron; at least one must be matched`);
  return Int32Array.from(assignment);
}

/** Indices in the order of rising values; equal values in the order they came. */
function orderOf(values: Float64Array): Int32Array {
  return Int32Array.from(values.keys()).sort((a, b) => values[a]! - values[b]! || a - b);
}

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b);
