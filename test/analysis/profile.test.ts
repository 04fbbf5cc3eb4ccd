import { describe, expect, it } from "vitest";
import { mostSelective, preferredClasses } from "../../src/analysis/choose-neurons.ts";
import { compareProfiles } from "../../src/analysis/compare-profiles.ts";
import { RowReservoir } from "../../src/analysis/row-reservoir.ts";
import { TapProfile } from "../../src/analysis/tap-profile.ts";
import { TopSamples } from "../../src/analysis/top-samples.ts";
import { Matrix, SelectivityMetric, selectivityScores } from "../../src/strategies/index.ts";
import { testRandom } from "../gradient-checker.ts";

const [samples, positions, neurons, classes] = [30, 4, 5, 3];
const random = testRandom(3);
/** Rectified; neuron 3 is dead, neuron 4 always on. */
const data = Float32Array.from({ length: samples * positions * neurons }, (_, i) => {
  const c = i % neurons;
  return c === 3 ? 0 : c === 4 ? 1 + random() : Math.max(0, random() * 3 - 1);
});
const whole = new Matrix(samples * positions, neurons, data, positions);
const labels = new Matrix(
  samples,
  classes,
  Float32Array.from({ length: samples * classes }, (_, i) =>
    Math.floor(i / classes) % classes === i % classes ? 1 : 0,
  ),
);
const part = (m: Matrix, from: number, to: number, each: number, p = 1) =>
  new Matrix(
    (to - from) * each,
    m.columns,
    m.data.subarray(from * each * m.columns, to * each * m.columns),
    p,
  );

function profiled(batch: number, kept = 1000) {
  const profile = new TapProfile({ classes, excited: 4, kept, seed: 1 });
  for (let from = 0; from < samples; from += batch) {
    const to = Math.min(samples, from + batch);
    profile.add(
      part(whole, from, to, positions, positions),
      Array.from({ length: to - from }, (_, i) => 100 + from + i),
      part(labels, from, to, 1),
    );
  }
  return profile.result();
}

describe("TapProfile", () => {
  it.each([1, 7, 30])("in batches of %i gives the scores of all activations at once", (batch) => {
    const found = profiled(batch);
    for (const metric of Object.values(SelectivityMetric)) {
      if (metric === "class-response") continue;
      const direct = selectivityScores(whole, metric, { labels });
      expect(found.scores[metric]).toHaveLength(direct.length);
      for (const [i, s] of direct.entries())
        expect(found.scores[metric]?.[i], `${metric} ${i}`).toBeCloseTo(s, 10);
    }
    for (const [i, s] of selectivityScores(whole, "class-response", { labels }).entries())
      expect(found.classResponse?.[i]).toBeCloseTo(s, 10);
    expect([found.dead, found.alwaysOn, found.rows, found.samples]).toEqual([[3], [4], 120, 30]);
  });

  it("keeps the samples that excite a neuron most, with where they do", () => {
    const found = profiled(7);
    for (let c = 0; c < neurons; c++) {
      const all = Array.from({ length: samples }, (_, n) => {
        const rows = Array.from({ length: positions }, (_, p) => whole.get(n * positions + p, c));
        const response = Math.max(...rows);
        return { sample: 100 + n, response, position: rows.indexOf(response) };
      });
      const best = all.sort((a, b) => b.response - a.response || a.sample - b.sample).slice(0, 4);
      expect(found.excited(c)).toEqual(best);
    }
  });

  it("keeps no more rows than asked for", () => {
    expect(profiled(7, 16).kept.dims).toEqual([16, neurons]);
  });
});

describe("RowReservoir", () => {
  it("keeps every row equally often, whatever the batches, and the same ones for the same seed", () => {
    const rows = 40;
    const numbers = new Matrix(
      rows,
      1,
      Float32Array.from({ length: rows }, (_, i) => i),
    );
    const counts = new Array<number>(rows).fill(0);
    for (let seed = 1; seed <= 3000; seed++) {
      const kept = new RowReservoir(8, seed).add(numbers).matrix().data;
      expect(new Set(kept).size).toBe(8);
      for (const row of kept) counts[row]! += 1;
      if (seed > 20) continue;
      const parts = new RowReservoir(8, seed);
      for (const [from, to] of [
        [0, 5],
        [5, 8],
        [8, 27],
        [27, 40],
      ] as const)
        parts.add(part(numbers, from, to, 1));
      expect(parts.matrix().data).toEqual(kept);
    }
    // Binomial with mean 600 and deviation 22: five deviations.
    for (const n of counts) expect(Math.abs(n - 600)).toBeLessThan(110);
  });
});

describe("TopSamples", () => {
  it("gives fewer where there are fewer, and of equal ones the first", () => {
    const top = new TopSamples(3);
    top.add(Matrix.fromRows([[1], [1]]), [8, 9]);
    expect(top.of(0).map((e) => e.sample)).toEqual([8, 9]);
    top.add(Matrix.fromRows([[1], [2]]), [10, 11]);
    expect(top.of(0).map((e) => e.sample)).toEqual([11, 8, 9]);
  });
});

describe("chosen neurons", () => {
  it("are of different classes first, and never dead", () => {
    const found = profiled(30);
    const liked = preferredClasses(found);
    expect(liked[3]).toBe(-1);
    const chosen = mostSelective(found, 10);
    expect([...chosen].sort()).toEqual([0, 1, 2, 4]);
    const different = new Set([0, 1, 2, 4].map((c) => liked[c])).size;
    expect(new Set(chosen.slice(0, different).map((c) => liked[c])).size).toBe(different);
  });
});

describe("compareProfiles", () => {
  it("finds nothing between a layer and itself, and the permutation of a shuffled one", () => {
    const teacher = profiled(30);
    const same = compareProfiles(teacher, teacher);
    for (const d of same.distances) if (d.match !== "assignment") expect(d.squared).toBe(0);
    const order = [2, 0, 1, 4];
    const shuffled = new TapProfile({ classes, excited: 1, kept: 1000, seed: 1 });
    shuffled.add(
      new Matrix(
        whole.rows,
        4,
        Float32Array.from({ length: whole.rows * 4 }, (_, i) =>
          whole.get(Math.floor(i / 4), order[i % 4] as number),
        ),
        positions,
      ),
      Array.from({ length: samples }, (_, i) => i),
      labels,
    );
    const found = compareProfiles(shuffled.result(), teacher);
    expect(found.assignment).toEqual(order);
    for (const r of found.correlations) expect(r).toBeCloseTo(1, 10);
    const of = (metric: string, match: string) =>
      found.distances.find((d) => d.metric === metric && d.match === match)?.squared;
    expect(of("variance", "index")).toBeUndefined();
    expect(of("variance", "assignment")).toBeCloseTo(0, 12);
    expect(of("class-response", "assignment")).toBeCloseTo(0, 12);
    expect(of("variance", "rank")).toBeGreaterThan(0);
    expect(of("population-sparseness", "sample")).toBeGreaterThan(0);
  });
});
