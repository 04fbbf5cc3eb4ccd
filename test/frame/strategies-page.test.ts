// docs/strategies.md against the code: it names every strategy that there is, tells the weights and names that hold, and its
// examples run as they stand.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { intermediateNames } from "../../src/cli/intermediate-losses.ts";
import { intermediateStrategy } from "../../src/cli/intermediate-option.ts";
import { outputLossNames } from "../../src/cli/output-losses.ts";
import { outputStrategy, parseLoss } from "../../src/cli/output-option.ts";
import * as api from "../../src/index.ts";
import * as strategies from "../../src/strategies/index.ts";
import { world } from "../cli/helpers.ts";
import { runExample, tsBlocks } from "../examples.ts";

const text = readFileSync(join(import.meta.dirname, "../../docs/strategies.md"), "utf8");
const rows = text
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .map((line) => line.split("|").map((cell) => cell.trim().replaceAll("`", "")));

it("has a row for every strategy, and no other", () => {
  const classes = Object.keys(strategies).filter((name) => name.endsWith("Strategy"));
  const sum = "CombinedDistillationStrategy";
  expect(rows.map((r) => r[1]).sort()).toEqual(classes.filter((name) => name !== sum).sort());
  expect(text).toContain(`\`${sum}\``);
});

it("tells for each loss between layers its name on the command line and its weight", () => {
  const between = rows.filter((r) => r.length === 8);
  expect(between.map((r) => r[2]).sort()).toEqual([...intermediateNames].sort());
  for (const [, name, option, , , weight] of between) {
    const made = intermediateStrategy("", {
      name: option as (typeof intermediateNames)[number],
      options: {},
    });
    expect(made.constructor.name).toBe(name);
    const { weight: own, selectivityWeight } = made as { weight?: number; selectivityWeight?: number };
    expect(own ?? selectivityWeight, name).toBe(Number(weight));
  }
});

it("tells for each loss on outputs its name on the command line", () => {
  const told = rows
    .filter((r) => r.length === 6)
    .flatMap(([, name, options]) =>
      (options as string)
        .split(", ")
        .filter((option) => !option.startsWith("("))
        .map((option) => [option, name]),
    );
  expect(told.map(([option]) => option).sort()).toEqual([...outputLossNames].sort());
  for (const [option, name] of told)
    expect(outputStrategy("", parseLoss(option as string), {}).constructor.name).toBe(name);
});

const examples = tsBlocks(text).filter((code) => code.includes('from "onnx-distill"'));

it("has an example of a sum, of a strategy on arrays and of one with graph values", () => {
  expect(examples).toHaveLength(3);
});

it.each(examples)("example %#", async (code) => {
  const before = process.cwd();
  process.chdir(world().at(""));
  try {
    expect(await runExample(code, api)).toBeGreaterThan(1);
  } finally {
    process.chdir(before);
  }
});
