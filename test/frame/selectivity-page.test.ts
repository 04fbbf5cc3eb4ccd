// docs/selectivity.md against the code: it names every metric and every word of the options, and its example runs.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { demoRecipe } from "../../src/cli/demo-recipe.ts";
import { analyzeSelectivity, openDataset, readModelFile } from "../../src/index.ts";
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

it("its look into a model runs as it is written", async () => {
  const example = tsBlocks(text).find((code) => code.includes("analyzeSelectivity")) as string;
  const model = await readModelFile(join(import.meta.dirname, "../../assets/fashion-mnist/teacher.onnx"));
  const { data, mean, std } = demoRecipe;
  const dataset = await openDataset(data, { split: "test", mean, std });
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await runExample(example, { analyzeSelectivity }, { model, dataset });
    expect(log.mock.calls.length).toBeGreaterThan(0);
    for (const [, neurons, , selective, response] of log.mock.calls)
      expect([selective.length, response.length]).toEqual([neurons, 10 * neurons]);
  } finally {
    log.mockRestore();
  }
  await expect(analyzeSelectivity({ model, dataset, sample: 1 } as never)).rejects.toThrow(
    /^analyzeSelectivity: unknown option "sample"/,
  );
});
