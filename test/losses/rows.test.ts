// Rows that do not count, and labels that are class indices: against PyTorch, and against what they stand for.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { ResponseDistillationStrategy } from "../../src/strategies/index.ts";
import { expectClose } from "../gradient-checker.ts";
import { draw, emitted } from "./emitted.ts";

interface Case {
  readonly name: string;
  readonly temperature: number;
  readonly alpha: number;
  readonly ignoreIndex: number;
  readonly student: number[][];
  readonly teacher: number[][];
  readonly labels: number[];
  readonly loss: number;
  readonly gradient: number[][];
}
const fixtures: Case[] = JSON.parse(
  readFileSync(new URL("../fixtures/tasks.json", import.meta.url), "utf8"),
).ignored;
const matrix = (rows: number[][]) => tensor("float64", rows.flat(), [rows.length, rows[0]!.length]);

describe("ignored rows, as PyTorch's ignore_index", () => {
  it.each(fixtures)("$name", async ({ temperature, alpha, ignoreIndex, ...given }) => {
    const strategy = new ResponseDistillationStrategy({ temperature, alpha });
    const inputs = {
      student: matrix(given.student),
      teacher: matrix(given.teacher),
      labels: tensor(
        "int32",
        given.labels.map((y) => (y === ignoreIndex ? 0 : y)),
      ),
      rowWeights: tensor(
        "float64",
        given.labels.map((y) => (y === ignoreIndex ? 0 : 1)),
      ),
    };
    for (const [dtype, target, tolerance] of [
      ["float64", "cpu", 1e-12],
      ["float32", "cpu", 1e-5],
      ["float32", "webgpu", 1e-5],
    ] as const) {
      const found = await emitted(strategy, inputs, dtype, target);
      expectClose(
        [found.values.reduce((a, v) => a + v, 0)],
        [given.loss],
        tolerance,
        `${dtype} ${target}: loss`,
      );
      expectClose(found.gradient!, given.gradient.flat(), tolerance, `${dtype} ${target}: gradient`);
    }
  });

  it("a batch in which no row counts has loss and gradient 0, not NaN", async () => {
    const found = await emitted(
      new ResponseDistillationStrategy({ temperature: 2, alpha: 0.5 }),
      {
        student: draw(1, [3, 4]),
        teacher: draw(2, [3, 4]),
        labels: tensor("int32", [0, 0, 0]),
        rowWeights: tensor("float64", [0, 0, 0]),
      },
      "float32",
    );
    expect(found.terms).toEqual(["hard", "soft"]);
    for (const v of [...found.values, ...Array.from(found.gradient!)]) expect(Math.abs(v)).toBe(0);
  });
});

describe("class indices", () => {
  it.each([2, 80])("are their one-hot rows, with logits of ±%i", async (size) => {
    const strategy = new ResponseDistillationStrategy({ temperature: 2, alpha: 0.6 });
    const logits = { student: draw(1, [4, 5], -size, size), teacher: draw(2, [4, 5], -size, size) };
    const oneHot = tensor(
      "float64",
      [0, 3, 4, 3].flatMap((y) => [0, 1, 2, 3, 4].map((c) => (c === y ? 1 : 0))),
      [4, 5],
    );
    for (const [dtype, target, tolerance] of [
      ["float64", "cpu", 1e-13],
      ["float32", "cpu", 1e-6],
      ["float32", "webgpu", 1e-6],
    ] as const) {
      const dense = await emitted(strategy, { ...logits, labels: oneHot }, dtype, target);
      const found = await emitted(
        strategy,
        { ...logits, labels: tensor("int32", [0, 3, 4, 3]) },
        dtype,
        target,
      );
      expect(found.terms).toEqual(dense.terms);
      expectClose(found.values, dense.values, tolerance, `${dtype} ${target}: loss`);
      expectClose(found.gradient!, dense.gradient!, tolerance, `${dtype} ${target}: gradient`);
    }
  });
});
