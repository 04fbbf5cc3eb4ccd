import { describe, expect, it } from "vitest";
import {
  formatBytes,
  formatCompact,
  formatCount,
  formatDuration,
  formatFixed,
  formatNumber,
  formatPercent,
  formatRate,
} from "../../src/base/format.ts";

describe.each([
  [
    "formatDuration",
    formatDuration,
    [
      [0, "0 s"],
      [-3, "0 s"],
      [0.00042, "0.42 ms"],
      [0.34, "340 ms"],
      [0.9996, "1.0 s"],
      [8.24, "8.2 s"],
      [9.96, "10 s"],
      [59.4, "59 s"],
      [59.6, "1 min 00 s"],
      [185, "3 min 05 s"],
      [3599.7, "1 h 00 min"],
      [7460, "2 h 04 min"],
      [86_399, "1 d 0 h"],
      [97_200, "1 d 3 h"],
      [Number.NaN, "–"],
      [Number.POSITIVE_INFINITY, "∞"],
    ],
  ],
  [
    "formatCount",
    formatCount,
    [
      [0, "0"],
      [11034, "11,034"],
      [1234567.6, "1,234,568"],
      [null, "–"],
    ],
  ],
  [
    "formatCompact",
    formatCompact,
    [
      [950, "950"],
      [999.6, "1 k"],
      [11034, "11 k"],
      [175_258, "175 k"],
      [1_340_000, "1.34 M"],
    ],
  ],
  [
    "formatBytes",
    formatBytes,
    [
      [0, "0 B"],
      [512, "512 B"],
      [44_136, "44.1 kB"],
      [999_999, "1 MB"],
      [2.5e9, "2.5 GB"],
      [undefined, "–"],
    ],
  ],
  [
    "formatPercent",
    formatPercent,
    [
      [0.8814, "88.1 %"],
      [1, "100.0 %"],
      [-0.0001, "0.0 %"],
      [null, "–"],
    ],
  ],
  [
    "formatNumber",
    formatNumber,
    [
      [0, "0"],
      [0.41234, "0.412"],
      [-12.345, "−12.3"],
      [1234.5, "1,235"],
      [4.1e-7, "4.1e-7"],
      [3.2e9, "3.2e9"],
      [Number.NEGATIVE_INFINITY, "−∞"],
    ],
  ],
  [
    "formatRate",
    formatRate,
    [
      [12.34, "12.3 steps/s"],
      [0.25, "4.0 s/step"],
      [0, "– steps/s"],
      [Number.NaN, "– steps/s"],
    ],
  ],
] as [string, (value: number | null | undefined) => string, [number | null | undefined, string][]][])(
  "%s",
  (_, format, cases) => {
    it.each(cases)("%s is %s", (value, text) => {
      expect(format(value)).toBe(text);
    });
  },
);

it("formatFixed keeps its digits and never prints a negative zero", () => {
  expect([1.25, -0.04, -1.26].map((v) => formatFixed(v, 1))).toEqual(["1.3", "0.0", "−1.3"]);
});
