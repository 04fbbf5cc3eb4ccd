import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Matrix, ResponseDistillationStrategy } from "../../src/strategies/index.ts";
import { expectClose, finiteDifferences, fixtures, float32, randomMatrix } from "./helpers.ts";

describe.each(fixtures.responses)("against PyTorch: $name", ({ temperature, alpha, ...given }) => {
  const strategy = new ResponseDistillationStrategy({ temperature, alpha });
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
    // Inputs rounded by 6e-8 relative, through logits of up to 1e4 that T may double.
    const rounding = 1e-6 * Math.max(1, ...given.student.flat().map(Math.abs));
    expectClose([strategy.computeLoss(s, t, y)], [given.loss], 1e-6, rounding);
    const gradient = strategy.computeGradient(s, t, y);
    expect(gradient.data).toBeInstanceOf(Float32Array);
    expectClose(gradient.data, given.gradient.flat(), 1e-6, rounding);
  });
});

describe("the gradient is the derivative of the loss", () => {
  const student = randomMatrix(1, 3, 5, -4, 4);
  const teacher = randomMatrix(2, 3, 5, -4, 4);
  const oneHot = Matrix.fromRows([
    [0, 1, 0, 0, 0],
    [0, 0, 0, 0, 1],
    [1, 0, 0, 0, 0],
  ]);
  const soft = Matrix.fromRows([
    [0.7, 0.2, 0.1, 0, 0],
    [0.2, 0.2, 0.2, 0.2, 0.2],
    [0, 0, 0.0005, 0, 1], // sums to 1.0005: allowed, and part of the derivative
  ]);
  const labels: [string, Matrix | undefined][] = [
    ["no labels", undefined],
    ["one-hot", oneHot],
    ["soft labels", soft],
  ];
  for (const temperature of [1, 3, 0.7])
    for (const alpha of [0, 0.3, 1])
      it.each(labels)(`T ${temperature}, alpha ${alpha}, %s`, (_, y) => {
        const strategy = new ResponseDistillationStrategy({ temperature, alpha });
        const differences = finiteDifferences((s) => strategy.computeLoss(s, teacher, y), student);
        expectClose(strategy.computeGradient(student, teacher, y).data, differences, 1e-9, 1e-10);
      });
});

describe("the loss", () => {
  const row = (...v: number[]) => Matrix.fromRows([v]);

  it("is T²·KL at full weight without labels, whatever alpha is", () => {
    const [s, t] = [randomMatrix(3, 4, 6), randomMatrix(4, 4, 6)];
    const losses = [0, 0.3, 1].map((alpha) => new ResponseDistillationStrategy({ alpha }).computeLoss(s, t));
    expect(losses[0]).toBeGreaterThan(0.01);
    expect(new Set(losses).size).toBe(1);
  });

  it("has the hand-computed value for two classes", () => {
    // T = 2: softmax([2 ln 3, 0] / 2) = [3/4, 1/4] against [1/2, 1/2]; hard: −log 1/2.
    const strategy = new ResponseDistillationStrategy({ temperature: 2, alpha: 0.25 });
    const kl = 0.75 * Math.log(1.5) + 0.25 * Math.log(0.5);
    const [s, t] = [row(0, 0), row(2 * Math.log(3), 0)];
    expect(strategy.computeLoss(s, t)).toBeCloseTo(4 * kl, 14);
    expect(strategy.computeLoss(s, t, row(1, 0))).toBeCloseTo(0.25 * Math.LN2 + 0.75 * 4 * kl, 14);
  });

  it("is a mean over the batch", () => {
    const strategy = new ResponseDistillationStrategy();
    const [s, t] = [randomMatrix(5, 2, 3), randomMatrix(6, 2, 3)];
    const alone = [0, 1].map((i) =>
      strategy.computeLoss(new Matrix(1, 3, s.row(i)), new Matrix(1, 3, t.row(i))),
    );
    expect(strategy.computeLoss(s, t)).toBeCloseTo((alone[0]! + alone[1]!) / 2, 14);
  });

  it("and its gradient stay finite for logits of ±1e4 and a teacher's probability of zero", () => {
    const strategy = new ResponseDistillationStrategy({ temperature: 1, alpha: 0.5 });
    for (const make of [(m: Matrix) => m, float32]) {
      const s = make(row(1e4, -1e4, 0));
      const t = make(row(-1e4, 1e4, 0));
      expect(strategy.computeLoss(s, t)).toBe(2e4);
      expect([...strategy.computeGradient(s, t).data]).toEqual([1, -1, 0]);
      expect(strategy.computeLoss(s, t, make(row(0, 1, 0)))).toBe(2e4);
      expect(strategy.computeLoss(t, t)).toBe(0);
    }
  });

  it("counts 0·log 0 as 0 even where the logarithm itself is infinite", () => {
    const big = row(1.7e308, -1.7e308); // the difference of the logits overflows
    const strategy = new ResponseDistillationStrategy();
    expect(strategy.computeLoss(big, big)).toBe(0);
    expect(strategy.computeLoss(big, big, row(1, 0))).toBe(0);
  });

  it("says when finite logits are too large for a finite loss", () => {
    const big = [row(1.7e308, -1.7e308), row(-1.7e308, 1.7e308)] as const;
    expect(() => new ResponseDistillationStrategy().computeLoss(...big)).toThrow(
      /^ResponseDistillationStrategy: the loss is (Infinity|NaN) for finite arguments, so they are too large; scale them down$/,
    );
  });

  it("takes student and teacher of different element types; the gradient follows the student", () => {
    const strategy = new ResponseDistillationStrategy();
    const [s, t] = [randomMatrix(7, 2, 3), randomMatrix(8, 2, 3)];
    expect(strategy.computeGradient(float32(s), t).data).toBeInstanceOf(Float32Array);
    expect(strategy.computeGradient(s, float32(t)).data).toBeInstanceOf(Float64Array);
  });
});

describe("for any logits", () => {
  const logits = fc
    .record({
      rows: fc.integer({ min: 1, max: 4 }),
      columns: fc.integer({ min: 1, max: 5 }),
      temperature: fc.double({ min: 0.1, max: 20, noNaN: true }),
      alpha: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    .chain(({ rows, columns, temperature, alpha }) => {
      const matrix = fc
        .array(fc.double({ min: -500, max: 500, noNaN: true }), {
          minLength: rows * columns,
          maxLength: rows * columns,
        })
        .map((v) => new Matrix(rows, columns, Float64Array.from(v)));
      return fc.record({
        s: matrix,
        t: matrix,
        strategy: fc.constant(new ResponseDistillationStrategy({ temperature, alpha })),
      });
    });

  it("the loss is not negative, and 0 with zero gradient where student and teacher agree", () => {
    fc.assert(
      fc.property(logits, ({ s, t, strategy }) => {
        expect(strategy.computeLoss(s, t)).toBeGreaterThanOrEqual(0);
        expect(strategy.computeLoss(s, s)).toBe(0);
        expect(strategy.computeGradient(s, s).data.every((g) => Object.is(g, 0))).toBe(true);
      }),
    );
  });

  it("each row of the gradient sums to 0, with labels too", () => {
    fc.assert(
      fc.property(logits, ({ s, t, strategy }) => {
        const y = new Float64Array(s.data.length);
        for (let r = 0; r < s.rows; r++) y[r * s.columns + (r % s.columns)] = 1;
        for (const labels of [undefined, new Matrix(s.rows, s.columns, y)]) {
          const gradient = strategy.computeGradient(s, t, labels);
          const scale = strategy.temperature + 1;
          for (let r = 0; r < s.rows; r++)
            expect(Math.abs([...gradient.row(r)].reduce((a, b) => a + b, 0))).toBeLessThan(1e-14 * scale);
        }
      }),
    );
  });

  it("adding a constant to a row of logits changes nothing", () => {
    fc.assert(
      fc.property(logits, fc.integer({ min: -1000, max: 1000 }), ({ s, t, strategy }, shift) => {
        const moved = new Matrix(
          s.rows,
          s.columns,
          s.data.map((v) => v + shift),
        );
        const loss = strategy.computeLoss(s, t);
        expectClose([strategy.computeLoss(moved, t)], [loss], 1e-9, 1e-9 * strategy.temperature ** 2);
      }),
    );
  });
});
