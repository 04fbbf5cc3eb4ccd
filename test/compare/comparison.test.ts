// What a comparison says: intervals and p held to a numeric integral of Student's density, Holm's correction, the words.
import { describe, expect, it } from "vitest";
import { compareRows, type RowResult, showP } from "../../src/compare/comparison.ts";
import { comparisonMarkdown } from "../../src/compare/comparison-table.ts";
import { renderComparison } from "../../src/compare/render-comparison.ts";
import { estimate, holm, pairedTest } from "../../src/compare/statistics.ts";

/** P(|T| > t), by Simpson's rule on the density, normalised by the same rule on [−400, 400]. */
function tail(t: number, df: number): number {
  const density = (x: number) => (1 + (x * x) / df) ** (-(df + 1) / 2);
  const integral = (from: number, to: number, n = 200_000) => {
    const h = (to - from) / n;
    let sum = density(from) + density(to);
    for (let i = 1; i < n; i++) sum += (i % 2 ? 4 : 2) * density(from + i * h);
    return (sum * h) / 3;
  };
  return 1 - integral(0, t) / integral(0, 400);
}

describe("statistics", () => {
  it("the interval holds 95 % of Student's distribution", () => {
    const { mean, halfWidth, n } = estimate([3, 5, 4, 8, 5]);
    expect([mean, n]).toEqual([5, 5]);
    const error = Math.sqrt((4 + 0 + 1 + 9 + 0) / 4 / 5);
    expect(tail((halfWidth as number) / error, 4)).toBeCloseTo(0.05, 5);
    expect(estimate([7])).toEqual({ mean: 7, n: 1 });
  });

  it("the paired test is Student's", () => {
    const [a, b] = [
      [0.5, 1.3, 2.8, 3.1],
      [0, 1, 2, 3],
    ];
    const t = 0.425 / Math.sqrt((0.075 ** 2 + 0.125 ** 2 + 0.375 ** 2 + 0.325 ** 2) / 3 / 4);
    expect(pairedTest(a, b).mean).toBeCloseTo(0.425, 12);
    expect(pairedTest(a, b).p).toBeCloseTo(tail(t, 3), 5);
    expect(pairedTest(b, a).p).toBeCloseTo(tail(t, 3), 5);
    expect(pairedTest([1, 2], [0, 1])).toEqual({ mean: 1, n: 2, halfWidth: 0 });
    // Equal differences of shares, which are equal but for rounding: no spread, so no claim of certainty.
    const shares = [0.1, 0.2];
    const more = shares.map((v) => v + 0.1);
    expect((more[1] as number) - 0.2).not.toBe((more[0] as number) - 0.1);
    expect(pairedTest(more, shares)).not.toHaveProperty("p");
  });

  it("Holm multiplies the smallest p most, and never falls", () => {
    expect(holm([0.03, undefined, 0.01, 0.04])).toEqual([0.06, undefined, 0.03, 0.06]);
    expect(holm([0.6, 0.7])).toEqual([1, 1]);
  });

  it("p as it is shown", () => {
    expect([undefined, 0.0004, 0.0234, 0.512].map(showP)).toEqual(["–", "< 0.001", "0.023", "0.51"]);
  });
});

const result = (row: string, seed: number, test: number, validation = test): RowResult => ({
  row,
  seed,
  test,
  validation,
  seconds: 1,
});
const options = {
  better: "higher",
  show: (v: number) => `${(100 * v).toFixed(1)} %`,
  showDifference: (v: number) => `${(100 * v).toFixed(1)} points`,
} as const;

describe("words", () => {
  const seeds = [0, 1, 2, 3, 4];
  const rows = ["KD", "much better", "noise", "worse", "twin"];
  const results = seeds.flatMap((s) => [
    result("KD", s, 0.8 + 0.01 * s),
    result("much better", s, 0.9 + 0.01 * s + 0.001 * (s % 2)),
    result("noise", s, 0.8 + 0.01 * s + (s % 2 ? 0.02 : -0.015)),
    result("worse", s, 0.7 + 0.01 * s + 0.001 * (s % 2)),
    result("twin", s, 0.8 + 0.01 * s),
  ]);

  it("say what is shown, and what is not", () => {
    const { rows: found, chosen, conclusion } = compareRows(rows, results, options);
    expect(found.map((r) => r.words)).toEqual([
      "what the others are held to",
      "better",
      "no difference shown",
      "worse",
      "the same",
    ]);
    expect(chosen).toBe("much better");
    expect(conclusion).toBe(
      'The validation split prefers "much better": 92.0 % on the test split, 10.0 points against "KD" over 5 seeds, p < 0.001 after correction for 4 comparisons: better.',
    );
  });

  it("choose by validation, report the test split, and do not call noise a gain", () => {
    const { conclusion } = compareRows(
      ["KD", "lucky"],
      seeds.flatMap((s) => [
        result("KD", s, 0.8, 0.8),
        result("lucky", s, 0.8 + (s % 2 ? 0.02 : -0.015), 0.9),
      ]),
      options,
    );
    expect(conclusion).toMatch(
      /^The validation split prefers "lucky": 79\.9 % on the test split, -0\.1 points against "KD" over 5 seeds\. That is no difference shown \(p 0\.\d+\); more seeds could tell\.$/,
    );
  });

  it("pair by seed, whatever the order, and by common seeds alone", () => {
    const found = compareRows(
      ["a", "b"],
      [result("b", 2, 5), result("a", 1, 1), result("a", 2, 3), result("b", 1, 2), result("b", 9, 100)],
      { ...options, better: "lower" },
    );
    expect(found.rows[1]?.difference).toMatchObject({ mean: 1.5, n: 2 });
    expect(found.chosen).toBe("a");
  });

  it("stand in a page that escapes what users wrote, and in a table", () => {
    const names = ["<KD>", "b & c"];
    const own = seeds.flatMap((s) => names.map((n, i) => result(n, s, 0.5 + 0.1 * i + 0.01 * ((s * 7) % 3))));
    const page = {
      title: "two ways",
      command: "onnx-distill compare --row '<KD>:'",
      metric: "top-1 accuracy",
      comparison: compareRows(names, own, options),
      results: own,
      scale: (v: number) => 100 * v,
      digits: 2,
      unit: "%",
      notes: [],
    };
    const html = renderComparison(page);
    expect(html).not.toContain("<KD>");
    expect(html.match(/<svg /g)?.length).toBe(1);
    expect(comparisonMarkdown(page.comparison, page).split("\n")).toHaveLength(4 + 3);
    expect(comparisonMarkdown(page.comparison, page)).toContain("| <KD> | 50.80 ± 1.04 |");
  });
});
