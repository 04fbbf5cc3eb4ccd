// docs/tasks.md against the code: every task with its shapes and metrics, and the example as it stands.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import * as api from "../../src/index.ts";
import { taskNamed, taskNames } from "../../src/tasks/index.ts";
import { runExample, tsBlocks } from "../examples.ts";

const text = readFileSync(join(import.meta.dirname, "../../docs/tasks.md"), "utf8");
const rows = text
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .map((line) => line.split("|").map((cell) => cell.trim().replaceAll("`", "")));

it("has a row for every task, with its shapes and its metrics in order", () => {
  expect(rows.map((r) => r.slice(1, -1))).toEqual(
    taskNames.map((name) => {
      const { logits, labels, metrics } = taskNamed(name);
      return [name, logits, labels, metrics.join(", ")];
    }),
  );
});

it("has an example that runs", async () => {
  const [example, ...more] = tsBlocks(text);
  expect(more).toEqual([]);
  expect(await runExample(example as string, api)).toBe(1);
});
