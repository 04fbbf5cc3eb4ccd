// The strong losses on outputs: against PyTorch, against finite differences, and at the edges.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  CorrelationDistillationStrategy,
  DecoupledDistillationStrategy,
  type DistillationStrategy,
  Matrix,
  ResponseDistillationStrategy,
  TransformedTeacherDistillationStrategy,
} from "../../src/strategies/index.ts";
import { expectClose, finiteDifferences, float32, randomMatrix } from "./helpers.ts";

interface Case {
  readonly name: string;
  readonly strategy: keyof typeof classes;
  readonly options: object;
  readonly student: number[][];
  readonly teacher: number[][];
  readonly labels: number[][] | null;
  readonly loss: number;
  readonly gradient: number[][];
}

const classes = {
  response: ResponseDistillationStrategy,
  decoupled: DecoupledDistillationStrategy,
  correlation: CorrelationDistillationStrategy,
  transformed: TransformedTeacherDistillationStrategy,
};
/** Made with PyTorch by test/fixtures/responses.py. */
const cases: Case[] = JSON.parse(
  readFileSync(new URL("../fixtures/responses.json", import.meta.url), "utf8"),
);

describe("against PyTorch", () => {
  it.each(cases.map((c) => [c.name, c] as const))("%s", (_, c) => {
    const strategy: DistillationStrategy = new classes[c.strategy](c.options);
    const [s, t] = [Matrix.fromRows(c.student), Matrix.fromRows(c.teacher)];
    const y = c.labels ? Matrix.fromRows(c.labels) : undefined;
    // PyTorch's own rounding shows where a standard deviation or a correlation is taken of nearly equal numbers.
    expectClose([strategy.computeLoss(s, t, y)], [c.loss], 1e-9, 1e-11);
    const gradient = strategy.computeGradient(s, t, y);
    expect(gradient.data).toBeInstanceOf(Float64Array);
    expectClose(gradient.data, c.gradient.flat(), 1e-7, 1e-9);
    const in32 = strategy.computeGradient(float32(s), float32(t), y && float32(y));
    expect(in32.data).toBeInstanceOf(Float32Array);
    const rounding = 2e-6 * Math.max(1, ...c.student.flat().map(Math.abs));
    expectClose(in32.data, c.gradient.flat(), 1e-5, rounding);
  });
});

const variants: [string, (temperature: number, alpha: number) => DistillationStrategy][] = [
  [
    "standardised KL",
    (temperature, alpha) => new ResponseDistillationStrategy({ temperature, alpha, standardize: true }),
  ],
  ...(["reverse-kl", "jeffreys", "jensen-shannon"] as const).map(
    (divergence): [string, (temperature: number, alpha: number) => DistillationStrategy] => [
      divergence,
      (temperature, alpha) => new ResponseDistillationStrategy({ temperature, alpha, divergence }),
    ],
  ),
  [
    "DKD",
    (temperature, alpha) => new DecoupledDistillationStrategy({ temperature, alpha, targetWeight: 1.5 }),
  ],
  [
    "standardised DKD",
    (temperature, alpha) => new DecoupledDistillationStrategy({ temperature, alpha, standardize: true }),
  ],
  [
    "DIST",
    (temperature, alpha) =>
      new CorrelationDistillationStrategy({ temperature, alpha, interClassWeight: 1.5 }),
  ],
  [
    "WTTM",
    (temperature, alpha) =>
      new TransformedTeacherDistillationStrategy({ temperature, alpha, teacherWeight: 2 }),
  ],
  [
    "TTM",
    (temperature, alpha) =>
      new TransformedTeacherDistillationStrategy({ temperature, alpha, weighted: false }),
  ],
];

describe("the gradient is the derivative of the loss", () => {
  const [student, teacher] = [randomMatrix(1, 3, 5, -3, 3), randomMatrix(2, 3, 5, -3, 3)];
  const soft = Matrix.fromRows([
    [0.7, 0.2, 0.1, 0, 0],
    [0.2, 0.3, 0.2, 0.2, 0.1],
    [0, 0, 0.0005, 0, 1],
  ]);
  for (const [name, make] of variants)
    for (const temperature of [1, 4])
      for (const alpha of [0, 0.3])
        it.each([["no labels", undefined] as const, ["labels", soft] as const])(
          `${name}, T ${temperature}, alpha ${alpha}, %s`,
          (_, y) => {
            const strategy = make(temperature, alpha);
            const differences = finiteDifferences((m) => strategy.computeLoss(m, teacher, y), student);
            expectClose(strategy.computeGradient(student, teacher, y).data, differences, 1e-8, 1e-9);
          },
        );
  it.each(variants)("%s, for a batch of one and of two, and for two classes", (_, make) => {
    for (const [rows, columns] of [
      [1, 4],
      [2, 4],
      [2, 2],
      [1, 2],
    ] as const) {
      const strategy = make(2, 0.3);
      const [s, t] = [randomMatrix(3, rows, columns, -2, 2), randomMatrix(4, rows, columns, -2, 2)];
      const differences = finiteDifferences((m) => strategy.computeLoss(m, t), s);
      expectClose(strategy.computeGradient(s, t).data, differences, 1e-7, 1e-8);
    }
  });
});

describe.each(variants)("%s", (_, make) => {
  const row = (...v: number[]) => Matrix.fromRows([v]);

  it("is finite, with its gradient, for logits of ±1e4 and probabilities of zero", () => {
    for (const type of [(m: Matrix) => m, float32]) {
      const s = type(
        Matrix.fromRows([
          [1e4, -1e4, 0],
          [0, 1e4, 0],
          [1, 0, -1],
        ]),
      );
      const t = type(
        Matrix.fromRows([
          [-1e4, 1e4, 0],
          [0, 1e4, -1e4],
          [-1e4, 1e4, 1e4],
        ]),
      );
      const y = type(
        Matrix.fromRows([
          [0, 1, 0],
          [1, 0, 0],
          [0, 0, 1],
        ]),
      );
      for (const labels of [undefined, y]) {
        const strategy = make(1, 0.5);
        expect(Number.isFinite(strategy.computeLoss(s, t, labels))).toBe(true);
        expect(strategy.computeGradient(s, t, labels).data.every(Number.isFinite)).toBe(true);
      }
    }
  });

  it("is not negative, and 0 where the student says what the teacher says at T = 1", () => {
    const strategy = make(1, 0.3);
    const [s, t] = [randomMatrix(5, 6, 4, -3, 3), randomMatrix(6, 6, 4, -3, 3)];
    expect(strategy.computeLoss(s, t)).toBeGreaterThan(0.01);
    expect(Math.abs(strategy.computeLoss(t, t))).toBeLessThan(1e-6); // DIST's ρ has 1e-8 in its denominator
    for (const g of strategy.computeGradient(t, t).data) expect(Math.abs(g)).toBeLessThan(1e-7);
  });

  it("falls when one descends", () => {
    const strategy = make(2, 0.3);
    const t = randomMatrix(8, 6, 4, -3, 3);
    let s = randomMatrix(7, 6, 4, -3, 3);
    const before = strategy.computeLoss(s, t);
    for (let i = 0; i < 60; i++) {
      const g = strategy.computeGradient(s, t);
      s = new Matrix(
        6,
        4,
        Float64Array.from(s.data, (v, k) => v - 0.2 * g.data[k]!),
      );
    }
    expect(strategy.computeLoss(s, t)).toBeLessThan(0.9 * before);
  });

  it("does not care for a constant added to a row of logits", () => {
    const strategy = make(2, 0.3);
    const [s, t] = [randomMatrix(9, 3, 4), randomMatrix(10, 3, 4)];
    const moved = new Matrix(
      3,
      4,
      Float64Array.from(s.data, (v, i) => v + 100 * Math.floor(i / 4)),
    );
    expect(strategy.computeLoss(moved, t)).toBeCloseTo(strategy.computeLoss(s, t), 10);
  });

  it("takes rows of equal logits, on either side and on both", () => {
    const [flat, other] = [row(3.3, 3.3, 3.3), row(1, 2, 4)];
    for (const [s, t] of [
      [flat, other],
      [other, flat],
      [flat, flat],
    ] as const) {
      const strategy = make(2, 0.3);
      for (const type of [(m: Matrix) => m, float32]) {
        expect(Number.isFinite(strategy.computeLoss(type(s), type(t)))).toBe(true);
        for (const g of strategy.computeGradient(type(s), type(t)).data)
          expect(Math.abs(g)).toBeLessThan(100);
      }
    }
  });

  it("has a loss of 0 for a single class", () => {
    const strategy = make(2, 0.3);
    expect(strategy.computeLoss(row(1), row(3))).toBe(0);
    expect([...strategy.computeGradient(row(1), row(3)).data]).toEqual([0]);
  });

  it("refuses what every strategy refuses", () => {
    const strategy = make(2, 0.3);
    expect(() => strategy.computeLoss(row(1, 2), row(1, 2, 3))).toThrow(
      "studentLogits is [1,2] and teacherLogits is [1,3]: the number of columns must be the same",
    );
    expect(() => strategy.computeGradient(row(1, Number.NaN), row(1, 2))).toThrow(
      "studentLogits is NaN at row 0, column 1",
    );
    expect(() => strategy.computeLoss(row(1, 2), row(1, 2), row(0.5, 0.6))).toThrow(
      "labels row 0 sums to 1.1",
    );
  });
});

describe("standardised logits", () => {
  const strategy = new ResponseDistillationStrategy({ standardize: true, temperature: 2 });

  it("do not care how large either side's logits are", () => {
    const [s, t] = [randomMatrix(1, 3, 5), randomMatrix(2, 3, 5)];
    const larger = new Matrix(
      3,
      5,
      t.data.map((v) => 7 * v),
    );
    expect(strategy.computeLoss(s, larger)).toBeCloseTo(strategy.computeLoss(s, t), 6);
    expect(new ResponseDistillationStrategy({ temperature: 2 }).computeLoss(s, larger)).toBeGreaterThan(
      3 * new ResponseDistillationStrategy({ temperature: 2 }).computeLoss(s, t),
    );
  });

  it("of the labels' term stay as they are", () => {
    const [s, t, y] = [Matrix.fromRows([[5, 0]]), Matrix.fromRows([[1, 0]]), Matrix.fromRows([[0, 1]])];
    // Standardised, [5, 0] and [1, 0] are the same: the hard term is left.
    expect(strategy.computeLoss(s, t, y)).toBeCloseTo(0.3 * Math.log(1 + Math.exp(5)), 6);
  });

  it("are an option of the selectivity strategy too", async () => {
    const { NeuronSelectivityDistillationStrategy } = await import("../../src/strategies/index.ts");
    const [s, t] = [randomMatrix(1, 3, 5), randomMatrix(2, 3, 5)];
    const both = new NeuronSelectivityDistillationStrategy({ standardize: true, temperature: 2 });
    expect(both.computeLoss(s, t)).toBe(strategy.computeLoss(s, t));
  });
});

describe("decoupled distillation", () => {
  it("adds up to KL with the weights 1 and 1 − p of the target", () => {
    const [s, t] = [randomMatrix(1, 1, 4, -2, 2), randomMatrix(2, 1, 4, -2, 2)];
    const y = Matrix.fromRows([[0, 0, 1, 0]]);
    const of = (targetWeight: number, nonTargetWeight: number) =>
      new DecoupledDistillationStrategy({
        temperature: 2,
        alpha: 0,
        targetWeight,
        nonTargetWeight,
      }).computeLoss(s, t, y);
    const masses = Array.from(t.data, (v) => Math.exp(v / 2));
    const p = masses[2]! / masses.reduce((sum, m) => sum + m);
    const kl = new ResponseDistillationStrategy({ temperature: 2, alpha: 0 }).computeLoss(s, t, y);
    expect(of(1, 1 - p)).toBeCloseTo(kl, 12);
  });

  it("takes the label's class for the target, the teacher's without labels, the first of equal ones", () => {
    const strategy = new DecoupledDistillationStrategy({ alpha: 0 });
    const [s, t] = [Matrix.fromRows([[1, -1, 0.5]]), Matrix.fromRows([[0, 2, 1]])];
    const as = (...y: number[]) => strategy.computeLoss(s, t, Matrix.fromRows([y]));
    expect(strategy.computeLoss(s, t)).toBe(as(0, 1, 0));
    expect(as(0.1, 0.8, 0.1)).toBe(as(0, 1, 0));
    expect(as(1, 0, 0)).not.toBeCloseTo(as(0, 1, 0), 3);
    expect(as(0.5, 0.5, 0)).toBe(as(1, 0, 0));
    expect(strategy.usesLabels).toBe(true);
  });

  it("has no second term with two classes", () => {
    const [s, t] = [randomMatrix(1, 3, 2), randomMatrix(2, 3, 2)];
    const of = (nonTargetWeight: number) => new DecoupledDistillationStrategy({ nonTargetWeight });
    expect(of(1000).computeLoss(s, t)).toBe(of(0).computeLoss(s, t));
    expect(of(1000).computeGradient(s, t)).toEqual(of(0).computeGradient(s, t));
    // Both weights 1: binary KL is all there is.
    const kl = new ResponseDistillationStrategy({ temperature: 4 });
    expect(of(1).computeLoss(s, t)).toBeCloseTo(kl.computeLoss(s, t), 12);
  });
});

describe("distillation by correlation", () => {
  it("has no second term for a batch of one", () => {
    const [s, t] = [randomMatrix(1, 1, 4), randomMatrix(2, 1, 4)];
    const of = (intraClassWeight: number) => new CorrelationDistillationStrategy({ intraClassWeight });
    expect(of(5).computeLoss(s, t)).toBe(of(0).computeLoss(s, t));
  });

  it("counts a row or column without variance as uncorrelated, and leaves it alone", () => {
    const flat = Matrix.fromRows([
      [2, 2, 2],
      [2, 2, 2],
    ]);
    const t = randomMatrix(2, 2, 3);
    for (const [s, other] of [
      [flat, t],
      [t, flat],
    ] as const) {
      const strategy = new CorrelationDistillationStrategy({ interClassWeight: 1, intraClassWeight: 2 });
      expect(strategy.computeLoss(s, other)).toBe(3);
      expect([...strategy.computeGradient(s, other).data]).toEqual([0, 0, 0, 0, 0, 0]);
    }
  });
});

describe("transformed teacher matching", () => {
  it("has the hand-computed weight", () => {
    // p = [4/5, 1/5]; T = 2: Z = (2 + 1)/√5, p^½/Z = [2/3, 1/3]; q = [1/2, 1/2].
    const [s, t] = [Matrix.fromRows([[0, 0]]), Matrix.fromRows([[Math.log(4), 0]])];
    const kl = (2 / 3) * Math.log(4 / 3) + (1 / 3) * Math.log(2 / 3);
    const options = { temperature: 2, teacherWeight: 5 };
    expect(new TransformedTeacherDistillationStrategy(options).computeLoss(s, t)).toBeCloseTo(
      (5 * 3 * kl) / Math.sqrt(5),
      12,
    );
    expect(
      new TransformedTeacherDistillationStrategy({ ...options, weighted: false }).computeLoss(s, t),
    ).toBeCloseTo(5 * kl, 12);
  });
});

describe("options that are refused", () => {
  it.each<[() => unknown, string]>([
    [
      () => new ResponseDistillationStrategy({ standardise: true } as object),
      'ResponseDistillationStrategy: unknown option "standardise". Did you mean "standardize"?',
    ],
    [
      () => new ResponseDistillationStrategy({ standardize: 1 as never }),
      "ResponseDistillationStrategy: standardize must be true or false, got 1",
    ],
    [
      () => new ResponseDistillationStrategy({ divergence: "reverse" as never }),
      'ResponseDistillationStrategy: divergence is one of "forward-kl", "reverse-kl", "jeffreys", "jensen-shannon", got "reverse". Did you mean "reverse-kl"?',
    ],
    [
      () => new DecoupledDistillationStrategy({ targetWeight: -1 }),
      "DecoupledDistillationStrategy: targetWeight must be finite and 0 or more, got -1; 0 switches the term off",
    ],
    [
      () => new CorrelationDistillationStrategy({ intraClassWeight: Number.NaN }),
      "CorrelationDistillationStrategy: intraClassWeight must be finite and 0 or more, got NaN; 0 switches the term off",
    ],
    [
      () => new TransformedTeacherDistillationStrategy({ weighted: "no" as never }),
      'TransformedTeacherDistillationStrategy: weighted must be true or false, got "no"',
    ],
  ])("%#", (make, message) => {
    expect(make).toThrow(message);
  });
});
