import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomFor } from "../../src/base/random.ts";

const floats = (n: number, ...path: (string | number)[]) => {
  const random = randomFor(42, ...path);
  return Array.from({ length: n }, () => random.nextFloat());
};
const correlation = (a: number[], b: number[]) =>
  (a.reduce((sum, x, i) => sum + (x - 0.5) * (b[i]! - 0.5), 0) / a.length) * 12;

describe("randomFor", () => {
  it("gives the numbers that a second implementation of MurmurHash3 and xoroshiro128+ gives", () => {
    const random = randomFor(42, "order", 7);
    expect(random.nextFloat()).toBe(0.359037039638861);
    expect(random.nextInt(1000)).toBe(820);
    expect(random.nextInt(2 ** 32)).toBe(2098814548);
    expect(randomFor(0).nextInt(2 ** 32)).toBe(2870730315);
    expect(randomFor(-1).nextInt(2 ** 32)).toBe(1739790471);
  });

  it("does not drift: normals and permutations", () => {
    const random = randomFor(42, "order", 7);
    random.nextFloat();
    random.nextInt(1000);
    random.nextInt(2 ** 32);
    expect(random.nextNormal()).toBeCloseTo(-1.600576441153915, 12);
    expect([...random.permutation(10)]).toEqual([7, 2, 1, 8, 0, 4, 9, 6, 5, 3]);
  });

  it("depends on seed and path alone, not on what was drawn in between", () => {
    const first = floats(5, "a", 1);
    floats(100, "b");
    expect(floats(5, "a", 1)).toEqual(first);
    expect(randomFor(43, "a", 1).nextFloat()).not.toBe(first[0]);
  });

  it("keeps paths apart that a joined string would not", () => {
    const paths = [
      [],
      [""],
      ["", ""],
      ["a", "b"],
      ["ab"],
      ["a", "b", ""],
      [1],
      ["1"],
      [1, 2],
      [12],
      [1.5],
      [2, 1],
    ];
    const firsts = paths.map((path) => floats(1, ...path)[0]);
    expect(new Set(firsts).size).toBe(paths.length);
    expect(floats(1, -0)).toEqual(floats(1, 0));
  });

  it("gives uncorrelated numbers along one path, and across neighbouring paths and seeds", () => {
    const n = 20_000;
    const along = floats(n, "x");
    const across = Array.from({ length: n }, (_, i) => floats(1, "x", i)[0]!);
    const seeds = Array.from({ length: n }, (_, i) => randomFor(i).nextFloat());
    // A correlation of n independent pairs has standard deviation 1/sqrt(n) = 0.007.
    for (const series of [along, across, seeds])
      expect(Math.abs(correlation(series.slice(1), series.slice(0, -1)))).toBeLessThan(0.03);
    expect(Math.abs(correlation(along, across))).toBeLessThan(0.03);
    expect(Math.abs(correlation(across, seeds))).toBeLessThan(0.03);
  });

  it("is uniform: chi-squared over 16 bins below its 0.999 quantile, 37.7", () => {
    const random = randomFor(1, "uniform");
    const sources = [
      () => Math.floor(random.nextFloat() * 16),
      () => random.nextInt(16),
      () => Math.floor(random.nextInt(3 * 2 ** 30) / (3 * 2 ** 26)), // a bare remainder would favour the low ones
    ];
    for (const draw of sources) {
      const bins = new Array<number>(48).fill(0);
      for (let i = 0; i < 32_000; i++) bins[draw()]!++;
      const used = bins.filter((count) => count > 0);
      expect(used.length).toBe(16);
      expect(used.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0)).toBeLessThan(37.7);
    }
  });

  it("draws normals of mean 0, variance 1 and kurtosis 3", () => {
    const random = randomFor(3, "normal");
    const n = 50_000;
    const moments = [0, 0, 0, 0];
    for (let i = 0; i < n; i++) {
      const x = random.nextNormal();
      for (let k = 0; k < 4; k++) moments[k]! += x ** (k + 1) / n;
    }
    expect(moments[0]!).toBeCloseTo(0, 1);
    expect(Math.abs(moments[1]! - 1)).toBeLessThan(0.03);
    expect(Math.abs(moments[2]!)).toBeLessThan(0.05);
    expect(Math.abs(moments[3]! - 3)).toBeLessThan(0.2);
  });

  it("permutes: every number once, every order of three equally often", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(200), (seed, n) => {
        const sorted = [...randomFor(seed).permutation(n)].sort((a, b) => a - b);
        expect(sorted).toEqual(Array.from({ length: n }, (_, i) => i));
      }),
    );
    const orders = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const order = randomFor(9, "perm", i).permutation(3).join("");
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }
    expect(orders.size).toBe(6);
    for (const count of orders.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it("refuses what it can't hash or draw", () => {
    expect(() => randomFor(1.5)).toThrow("random seed: expected a whole number, got 1.5");
    expect(() => randomFor(1, Number.NaN)).toThrow(
      "random path: expected finite numbers and strings, got NaN",
    );
    expect(() => randomFor(1).nextInt(0)).toThrow("nextInt: expected a whole number from 1 to 2^32, got 0");
    expect(() => randomFor(1).permutation(-1)).toThrow(
      "permutation: expected a whole number from 0 to 2^32, got -1",
    );
  });
});
