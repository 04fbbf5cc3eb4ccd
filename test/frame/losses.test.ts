// docs/losses.md against the code: it names every strategy that there is, and tells the weights and names that hold.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { intermediateNames } from "../../src/cli/intermediate-losses.ts";
import { intermediateStrategy } from "../../src/cli/intermediate-option.ts";
import * as strategies from "../../src/strategies/index.ts";

const text = readFileSync(join(import.meta.dirname, "../../docs/losses.md"), "utf8");
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
