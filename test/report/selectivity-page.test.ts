import { unzlibSync } from "fflate";
import { describe, expect, it } from "vitest";
import type { SelectivityAnalysis } from "../../src/analysis/selectivity.ts";
import { TapProfile } from "../../src/analysis/tap-profile.ts";
import { encodePng } from "../../src/report/png.ts";
import { histogram } from "../../src/report/score-histograms.ts";
import { renderSelectivityPage } from "../../src/report/selectivity-page.ts";
import { Matrix } from "../../src/strategies/index.ts";

const evil = `"><script>alert('x')</script>&\u0007`;

describe("the selectivity page", () => {
  it("escapes every name and draws dead neurons, one neuron and constants", () => {
    const profile = (columns: number) =>
      new TapProfile({ classes: 2, excited: 2, kept: 8, seed: 1 })
        .add(
          new Matrix(4, columns, new Float32Array(4 * columns).fill(0)),
          [0, 1, 2, 3],
          Matrix.fromRows([
            [1, 0],
            [0, 1],
            [1, 0],
            [0, 1],
          ]),
        )
        .result();
    const side = (columns: number) => ({ value: evil, shape: [columns], profile: profile(columns) });
    const found: SelectivityAnalysis = {
      samples: 4,
      classesFrom: "labels",
      classNames: [evil, "b"],
      notes: [evil],
      taps: [1, 3].map((n) => ({ name: evil, teacher: side(n), chosen: [{ neuron: 0 }] })),
    };
    const page = renderSelectivityPage(found, {
      models: [evil],
      data: evil,
      created: "2026-11-24T09:30:00Z",
      pictures: new Map([[0, { text: evil, label: evil }]]),
    });
    expect(page).not.toMatch(/<script|NaN|undefined|Infinity/);
    expect(page).not.toContain("\u0007");
    expect(page).toContain("Dead: 3 of 3");
  });
});

describe("encodePng", () => {
  it("writes what a decoder reads", () => {
    const pixels = Uint8Array.from({ length: 2 * 3 * 3 }, (_, i) => 14 * i);
    const png = encodePng(2, 3, 3, pixels);
    const view = new DataView(png.buffer);
    expect([...png.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
    expect([view.getUint32(16), view.getUint32(20), png[24], png[25]]).toEqual([2, 3, 8, 2]);
    const length = view.getUint32(33);
    const lines = unzlibSync(png.subarray(41, 41 + length));
    expect([...lines]).toEqual([
      0,
      ...pixels.subarray(0, 6),
      0,
      ...pixels.subarray(6, 12),
      0,
      ...pixels.subarray(12),
    ]);
    // The checksum of an empty IEND is in every PNG.
    expect([...png.subarray(-4)]).toEqual([0xae, 0x42, 0x60, 0x82]);
  });
});

describe("histogram", () => {
  it("counts every finite value once, both ends inside, on any scale", () => {
    const values = [0, 0, 0.5, 1, 4, 9, 16, Number.NaN];
    const bins = histogram(values, 0, 16, 4, { type: "sqrt" });
    expect(bins.map((b) => b.count)).toEqual([3, 1, 1, 2]);
    expect(bins.map((b) => b.to)).toEqual([1, 4, 9, 16]);
    expect(bins.reduce((n, b) => n + b.share, 0)).toBeCloseTo(1, 12);
  });
});
