// Results of runs, rows × seeds -> what can be said: means, intervals, tests against the first row, and plain words. Runs
// nothing and prints nothing.
import { type Estimate, estimate, holm, type PairedTest, pairedTest } from "./statistics.ts";

/** One run of a row. */
export interface RowResult {
  readonly row: string;
  readonly seed: number;
  /** The monitored metric of the chosen step on the validation split, which chooses. */
  readonly validation: number;
  /** The same on the test split, looked at once, after everything was chosen. */
  readonly test: number;
  readonly seconds: number;
}

export interface RowSummary {
  readonly row: string;
  readonly validation: Estimate;
  readonly test: Estimate;
  readonly seconds: number;
  /** Against the first row, on the test split, over the seeds that both have; not for the first row itself. */
  readonly difference?: PairedTest;
  /** Its p, corrected for the number of rows (Holm). */
  readonly p?: number;
  readonly words: string;
}

export interface Comparison {
  readonly rows: readonly RowSummary[];
  /** The row with the best mean on the validation split. */
  readonly chosen: string;
  /** One sentence. */
  readonly conclusion: string;
}

export interface ComparisonOptions {
  readonly better: "higher" | "lower";
  /** Where p counts as a difference; default 0.05. */
  readonly level?: number;
  /** A number of the metric, for the sentence. */
  readonly show: (value: number) => string;
  /** A difference of the metric, with its sign. */
  readonly showDifference: (value: number) => string;
}

/** `rows` in the order that they were given in; the first is what the others are held to. */
export function compareRows(
  rows: readonly string[],
  results: readonly RowResult[],
  o: ComparisonOptions,
): Comparison {
  const level = o.level ?? 0.05;
  const of = (row: string): RowResult[] =>
    results.filter((r) => r.row === row).sort((a, b) => a.seed - b.seed);
  const base = new Map(of(rows[0] as string).map((r) => [r.seed, r]));
  const tests = rows.map((row, i) => {
    if (i === 0) return undefined;
    const pairs = of(row).filter((r) => base.has(r.seed));
    return pairedTest(
      pairs.map((r) => r.test),
      pairs.map((r) => base.get(r.seed)!.test),
    );
  });
  const corrected = holm(tests.map((t) => t?.p));
  const summaries = rows.map((row, i): RowSummary => {
    const own = of(row);
    const difference = tests[i];
    const p = corrected[i];
    return {
      row,
      validation: estimate(own.map((r) => r.validation)),
      test: estimate(own.map((r) => r.test)),
      seconds: own.reduce((a, r) => a + r.seconds, 0) / own.length,
      ...(difference && { difference }),
      ...(p !== undefined && { p }),
      words: wordsFor(difference, p, level, o),
    };
  });
  const sign = o.better === "higher" ? 1 : -1;
  const chosen = summaries.reduce((a, b) => (sign * b.validation.mean > sign * a.validation.mean ? b : a));
  return { rows: summaries, chosen: chosen.row, conclusion: conclude(summaries, chosen, level, o) };
}

function wordsFor(
  difference: PairedTest | undefined,
  p: number | undefined,
  level: number,
  { better }: ComparisonOptions,
): string {
  if (!difference) return "what the others are held to";
  if (difference.n < 2) return "one seed shows nothing";
  if (p === undefined) return difference.mean === 0 ? "the same" : "too regular to test";
  if (p >= level) return "no difference shown";
  return difference.mean > 0 === (better === "higher") ? "better" : "worse";
}

function conclude(
  rows: readonly RowSummary[],
  chosen: RowSummary,
  level: number,
  o: ComparisonOptions,
): string {
  const first = rows[0] as RowSummary;
  const test = `${o.show(chosen.test.mean)} on the test split`;
  if (rows.length === 1) return `"${first.row}" reaches ${test}.`;
  if (chosen === first)
    return `The validation split prefers "${first.row}", which reaches ${test}; no other row is chosen over it.`;
  const { difference, p } = chosen;
  const against = `${o.showDifference(difference?.mean ?? 0)} against "${first.row}" over ${difference?.n} seeds`;
  if (p === undefined || p >= level)
    return `The validation split prefers "${chosen.row}": ${test}, ${against}. That is no difference shown (p ${showP(p)}); more seeds could tell.`;
  return `The validation split prefers "${chosen.row}": ${test}, ${against}, p ${showP(p)} after correction for ${rows.length - 1} comparison${rows.length === 2 ? "" : "s"}: ${chosen.words}.`;
}

/** `< 0.001`, `0.023`, `–` */
export function showP(p: number | undefined): string {
  if (p === undefined) return "–";
  return p < 0.001 ? "< 0.001" : p.toFixed(p < 0.1 ? 3 : 2);
}
