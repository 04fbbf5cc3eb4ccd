import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Matrix, RegressionDistillationStrategy } from "../../src/strategies/index.ts";
import { expectClose, finiteDifferences, float32, randomMatrix } from "./helpers.ts";

interface Case {
  readonly name: string;
  readonly alpha: number;
  readonly delta: number | null;
  readonly student: number[][];
  readonly teacher: number[][];
  readonly labels: number[][] | null;
  readonly loss: number;
  readonly gradient: number[][];
}
const fixtures: Case[] = JSON.parse(
  readFileSync(new URL("../fixtures/tasks.json", import.meta.url), "utf8"),
).regression;

describe.each(fixtures)("against PyTorch: $name", ({ alpha, delta, ...given }) => {
  const strategy = new RegressionDistillationStrategy({
    alpha,
    ...(delta !== null && { huberDelta: delta }),
  });
  const args = [
    Matrix.fromRows(given.student),
    Matrix.fromRows(given.teacher),
    ...(given.labels ? [Matrix.fromRows(given.labels)] : []),
  ] as [Matrix, Matrix, Matrix?];

  it.each([
    ["float64", (m: Matrix) => m, 1e-12],
    ["float32", float32, 1e-6],
  ] as const)("%s", (_, make, tolerance) => {
    const [s, t, y] = args.map((m) => m && make(m)) as typeof args;
    expectClose([strategy.computeLoss(s, t, y)], [given.loss], tolerance);
    const gradient = strategy.computeGradient(s, t, y);
    expect(gradient.data.constructor).toBe(s.data.constructor);
    expectClose(gradient.data, given.gradient.flat(), tolerance);
  });
});

describe("the gradient is the derivative of the loss", () => {
  // Apart, so that no difference lies near Huber's δ of 0.5 or 2.
  const student = randomMatrix(1, 3, 4, 1, 1.2);
  const teacher = Matrix.fromRows([0, 1, 2].map((r) => [0.9 + 0.1 * r, 3.1, -2, 1.4]));
  const targets = Matrix.fromRows([0, 1, 2].map(() => [1.3, 0.8, 5, 8]));
  for (const huberDelta of [undefined, 0.5, 2])
    for (const alpha of [0, 0.3, 1])
      it.each([
        ["no targets", undefined],
        ["targets", targets],
      ])(`delta ${huberDelta}, alpha ${alpha}, %s`, (_, y) => {
        const strategy = new RegressionDistillationStrategy({
          alpha,
          ...(huberDelta !== undefined && { huberDelta }),
        });
        const differences = finiteDifferences((s) => strategy.computeLoss(s, teacher, y), student);
        expectClose(strategy.computeGradient(student, teacher, y).data, differences, 1e-9, 1e-10);
      });
});

describe("the loss", () => {
  const row = (...v: number[]) => Matrix.fromRows([v]);

  it("has the hand-computed values on both sides of delta", () => {
    const [s, t] = [row(0, 0), row(1, -4)];
    expect(new RegressionDistillationStrategy().computeLoss(s, t)).toBe((1 + 16) / 2);
    const huber = new RegressionDistillationStrategy({ huberDelta: 2 });
    expect(huber.computeLoss(s, t)).toBe((0.5 + 2 * (4 - 1)) / 2);
    expect([...huber.computeGradient(s, t).data]).toEqual([-0.5, 1]);
  });

  it("knows no temperature", () => {
    const strategy = new RegressionDistillationStrategy();
    const [s, t, y] = [randomMatrix(1, 2, 3), randomMatrix(2, 2, 3), randomMatrix(3, 2, 3)];
    const before = strategy.computeLoss(s, t, y);
    strategy.temperature = 7;
    expect(strategy.computeLoss(s, t, y)).toBe(before);
    expect(() => new RegressionDistillationStrategy({ temperature: 3 } as object)).toThrow(
      'RegressionDistillationStrategy: unknown option "temperature".',
    );
  });

  it("refuses a delta out of range, and targets that are not finite", () => {
    for (const huberDelta of [0, -1, Number.NaN, Infinity])
      expect(() => new RegressionDistillationStrategy({ huberDelta })).toThrow(
        `RegressionDistillationStrategy: huberDelta must be finite and greater than 0, got ${huberDelta}; leave it out for squared differences`,
      );
    expect(() => new RegressionDistillationStrategy().computeLoss(row(1), row(1), row(Infinity))).toThrow(
      "labels is Infinity at row 0, column 0; every value must be finite: look at that sample and what computes it",
    );
    const far = [row(1e200), row(-1e200)] as const;
    expect(() => new RegressionDistillationStrategy().computeLoss(...far)).toThrow(
      "RegressionDistillationStrategy: the loss is Infinity for finite arguments, so they are too large; scale them down",
    );
    expect(new RegressionDistillationStrategy({ alpha: 1 }).computeLoss(...far, row(1e200))).toBe(0);
  });
});
