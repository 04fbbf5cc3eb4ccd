import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Matrix, MultiLabelDistillationStrategy } from "../../src/strategies/index.ts";
import { expectClose, finiteDifferences, float32, randomMatrix } from "./helpers.ts";

interface Case {
  readonly name: string;
  readonly temperature: number;
  readonly alpha: number;
  readonly student: number[][];
  readonly teacher: number[][];
  readonly labels: number[][] | null;
  readonly loss: number;
  readonly gradient: number[][];
}
const fixtures: Case[] = JSON.parse(
  readFileSync(new URL("../fixtures/tasks.json", import.meta.url), "utf8"),
).multiLabel;

describe.each(fixtures)("against PyTorch: $name", ({ temperature, alpha, ...given }) => {
  const strategy = new MultiLabelDistillationStrategy({ temperature, alpha });
  const args = [
    Matrix.fromRows(given.student),
    Matrix.fromRows(given.teacher),
    ...(given.labels ? [Matrix.fromRows(given.labels)] : []),
  ] as [Matrix, Matrix, Matrix?];

  it("float64", () => {
    expectClose([strategy.computeLoss(...args)], [given.loss], 1e-12);
    const gradient = strategy.computeGradient(...args);
    expect(gradient.data).toBeInstanceOf(Float64Array);
    expectClose(gradient.data, given.gradient.flat(), 1e-12);
  });

  it("float32", () => {
    const [s, t, y] = args.map((m) => m && float32(m)) as typeof args;
    const rounding = 1e-6 * Math.max(1, ...given.student.flat().map(Math.abs)); // of the inputs
    expectClose([strategy.computeLoss(s, t, y)], [given.loss], 1e-6, rounding);
    const gradient = strategy.computeGradient(s, t, y);
    expect(gradient.data).toBeInstanceOf(Float32Array);
    expectClose(gradient.data, given.gradient.flat(), 1e-6, rounding);
  });
});

describe("the gradient is the derivative of the loss", () => {
  const [student, teacher] = [randomMatrix(1, 3, 5, -4, 4), randomMatrix(2, 3, 5, -4, 4)];
  const labels: [string, Matrix | undefined][] = [
    ["no labels", undefined],
    ["labels", new Matrix(3, 5, randomMatrix(3, 3, 5).data.map((v) => (v > 0 ? 1 : 0)) as Float64Array)],
    ["soft labels", randomMatrix(4, 3, 5, 0, 1)],
  ];
  for (const temperature of [1, 3, 0.7])
    for (const alpha of [0, 0.3, 1])
      it.each(labels)(`T ${temperature}, alpha ${alpha}, %s`, (_, y) => {
        const strategy = new MultiLabelDistillationStrategy({ temperature, alpha });
        const differences = finiteDifferences((s) => strategy.computeLoss(s, teacher, y), student);
        expectClose(strategy.computeGradient(student, teacher, y).data, differences, 1e-9, 1e-10);
      });
});

describe("the loss", () => {
  const row = (...v: number[]) => Matrix.fromRows([v]);

  it("is finite for logits of ±1e4: T²·KL and BCE grow with the logit, and a sure teacher's 0·log 0 is 0", () => {
    const strategy = new MultiLabelDistillationStrategy({ temperature: 1, alpha: 0.5 });
    for (const make of [(m: Matrix) => m, float32]) {
      const [s, t] = [make(row(1e4, -1e4)), make(row(-1e4, 1e4))];
      expect(strategy.computeLoss(s, t)).toBe(1e4);
      expect([...strategy.computeGradient(s, t).data]).toEqual([0.5, -0.5]);
      expect(strategy.computeLoss(s, t, make(row(0, 1)))).toBe(1e4);
      expect(strategy.computeLoss(t, t)).toBe(0);
    }
  });

  it("is a mean over the labels: twice the same labels are the same loss", () => {
    const strategy = new MultiLabelDistillationStrategy();
    const twice = (m: Matrix) => Matrix.fromRows([[...m.data, ...m.data]]);
    const [s, t, y] = [row(1, -2), row(0, 3), row(1, 0)];
    expect(strategy.computeLoss(twice(s), twice(t), twice(y))).toBeCloseTo(strategy.computeLoss(s, t, y), 14);
  });

  it("does not know a sum of labels: every label may hold, or none", () => {
    const strategy = new MultiLabelDistillationStrategy({ alpha: 1 });
    expect(strategy.computeLoss(row(50, 50), row(0, 0), row(1, 1))).toBeLessThan(1e-20);
    expect(strategy.computeLoss(row(-50, -50), row(0, 0), row(0, 0))).toBeLessThan(1e-20);
  });

  it("refuses labels that are no probabilities", () => {
    const strategy = new MultiLabelDistillationStrategy();
    expect(() => strategy.computeLoss(row(1, 2), row(1, 2), row(0, 2))).toThrow(
      "labels is 2 at row 0, column 1; each must lie in [0, 1]: 1 for a label that holds, 0 for one that does not",
    );
    expect(() => strategy.computeGradient(row(1, 2), row(1, 2), row(0, Number.NaN))).toThrow(
      "labels is NaN at row 0, column 1; every value must be finite: look at that sample and what computes it",
    );
    expect(() => new MultiLabelDistillationStrategy({ temprature: 1 } as object)).toThrow(
      'MultiLabelDistillationStrategy: unknown option "temprature". Did you mean "temperature"?',
    );
  });
});
