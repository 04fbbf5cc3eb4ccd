import { describe, expect, it } from "vitest";
import {
  binSeries,
  chooseScale,
  correlation,
  logTicks,
  meanSquaredDifference,
  quantile,
  thin,
} from "../../src/report/numbers.ts";

describe("correlation and mean squared difference", () => {
  it("agree with figures worked out by hand, and skip what is not finite", () => {
    const a = [1, 2, 3, Number.NaN, 4, null];
    const b = [2, 1, 4, 9, 3, 1];
    expect(meanSquaredDifference(a, b)).toBe((1 + 1 + 1 + 1) / 4);
    // Deviations (−1.5, −0.5, 0.5, 1.5) and (−0.5, −1.5, 1.5, 0.5): 3 / 5.
    expect(correlation(a, b)).toBeCloseTo(0.6, 12);
    expect(correlation(b, b)).toBe(1);
  });

  it("are missing where there is nothing to say", () => {
    expect(correlation([0.1, 0.1, 0.1], [1, 2, 3])).toBeNaN();
    expect(correlation([1], [1])).toBeNaN();
    expect(meanSquaredDifference([], [])).toBeNaN();
  });
});

describe("binSeries", () => {
  it("keeps every point of a short series", () => {
    const bins = binSeries(
      [3, 1, 2].map((y, i) => ({ x: i + 1, y })),
      10,
    );
    expect(bins.map((b) => [b.x, b.low, b.high, b.mean])).toEqual([
      [1, 3, 3, 3],
      [2, 1, 1, 1],
      [3, 2, 2, 2],
    ]);
  });

  it("keeps a long series' extremes and mean, and leaves out what is not finite", () => {
    const points = Array.from({ length: 10_000 }, (_, i) => ({
      x: i,
      y: i === 5000 ? 99 : i === 7 ? Number.NaN : 1,
    }));
    const bins = binSeries(points, 100);
    expect(bins.length).toBe(100);
    expect(Math.max(...bins.map((b) => b.high))).toBe(99);
    expect(bins.every((b) => b.low === 1 && Number.isFinite(b.smooth))).toBe(true);
    expect(bins.reduce((s, b) => s + b.mean, 0) / 100).toBeCloseTo(1 + 98 / 9999, 4);
  });

  it("smooths without bending a straight line at its ends", () => {
    const bins = binSeries(
      Array.from({ length: 1000 }, (_, i) => ({ x: i, y: i })),
      50,
    );
    for (const b of bins) expect(b.smooth).toBeCloseTo(b.x, 9);
  });

  it("gives nothing for nothing", () => {
    expect(binSeries([{ x: 1, y: null }], 10)).toEqual([]);
  });
});

it("quantile interpolates", () => {
  expect([0, 0.5, 1].map((q) => quantile([1, 2, 10, 11], q))).toEqual([1, 6, 11]);
  expect(quantile([], 0.5)).toBeNaN();
});

it("thin keeps both ends", () => {
  expect(thin([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4)).toEqual([0, 3, 6, 9]);
  expect(thin([1, 2], 4)).toEqual([1, 2]);
});

it.each([
  ["linear", [1, 2, 3], false],
  ["linear", [0, 0, 0], true],
  ["linear", [-1, 1, 50], true],
  ["linear", [], true],
  ["log", [0.1, 1, 20], false],
  ["sqrt", [0.1, 1, 20], true],
  ["sqrt", [0, 1, 20], false],
  ["symlog", [0, 1, 1e10], true],
] as const)("chooses a %s scale for %j (zero belongs to it: %s)", (type, values, zero) => {
  expect(chooseScale(values, zero).type).toBe(type);
});

it("logTicks are round and few", () => {
  expect(logTicks(5000, 400_000)).toEqual([10_000, 100_000]);
  expect(logTicks(0.02, 0.6)).toEqual([0.02, 0.05, 0.1, 0.2, 0.5]);
  expect(logTicks(1e-3, 1e12).length).toBeLessThanOrEqual(6);
});
