// docs/selectivity.md against the code: it names every metric and every word of the options, and its example runs.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import * as api from "../../src/strategies/index.ts";
import {
  selectivityDistances,
  selectivityMatches,
  selectivityOvers,
  selectivityTargets,
} from "../../src/strategies/selectivity-words.ts";
import { runExample, tsBlocks } from "../examples.ts";

const text = readFileSync(join(import.meta.dirname, "../../docs/selectivity.md"), "utf8");
const tables = text.split("\n## ").map((section) =>
  section
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|")[1]!.trim().replaceAll("`", "")),
);
const tableOf = (title: string) => tables[text.split("\n## ").findIndex((s) => s.startsWith(title))]!;

it("has every metric in the table of metrics and in that of scales", () => {
  const metrics = Object.values(api.SelectivityMetric).sort();
  expect([...tableOf("Metrics")].sort()).toEqual(metrics);
  expect([...tableOf("Weights")].sort()).toEqual(metrics);
});

it("names every word that the options take", () => {
  expect(tableOf("Over what")).toEqual(selectivityOvers);
  for (const word of [...selectivityMatches, ...selectivityTargets, ...selectivityDistances])
    expect(text, word).toMatch(new RegExp(`["\`]${word}["\`]|${word} `));
});

it("its example runs, and its loss is a number", async () => {
  const [example] = tsBlocks(text);
  await runExample(`${example}\nloss >= 0; // => true\nstrategy.match; // => "rank"`, api);
});
