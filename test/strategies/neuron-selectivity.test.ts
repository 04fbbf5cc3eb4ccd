import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ACTIVITY_THRESHOLD,
  IntermediateActivations,
  Matrix,
  NeuronSelectivityDistillationStrategy,
  type SelectivityMetric,
  SURROGATE_STEEPNESS,
  selectivityScores,
} from "../../src/strategies/index.ts";
import { expectClose, finiteDifferences, fixtures, float32, layer, randomMatrix } from "./helpers.ts";

const error = (code: string, message: string) => expect.objectContaining({ code, message });
/** The three that every reader of the class knows; selectivity-family.test.ts has the others. */
const METRICS = ["variance", "sparsity", "peak-to-average"] as const;
const make = (metric: SelectivityMetric, selectivityWeight = 0.5) =>
  new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer", metric, selectivityWeight });
const rowsOf = (m: Matrix) => Array.from({ length: m.rows }, (_, i) => m.row(i));

describe.each(fixtures.intermediates)("against PyTorch: $metric, $name", (given) => {
  const strategy = make(given.metric, given.weight);
  const s = Matrix.fromRows(given.student);
  const t = Matrix.fromRows(given.teacher);

  it("float64", () => {
    expectClose(selectivityScores(s, given.metric), given.scores, 1e-12);
    expectClose([strategy.computeIntermediateLoss(layer(s), layer(t))], [given.loss], 1e-12);
    const gradient = strategy.computeIntermediateGradient(layer(s), layer(t)).get("layer")!;
    expect(gradient.dims).toEqual(s.dims);
    expect(gradient.data).toBeInstanceOf(Float64Array);
    expectClose(gradient.data, given.gradient.flat(), 1e-10, 1e-12);
  });

  // 1e6 ± 1 has steps of 1/16 in float32: another input altogether, scored exactly below.
  const itWhereRepresentable = given.name === "1e6 ± 1" ? () => {} : it;
  itWhereRepresentable("float32", () => {
    const [s32, t32] = [float32(s), float32(t)];
    expectClose([strategy.computeIntermediateLoss(layer(s32), layer(t32))], [given.loss], 1e-5, 1e-7);
    const gradient = strategy.computeIntermediateGradient(layer(s32), layer(t32)).get("layer")!;
    expect(gradient.data).toBeInstanceOf(Float32Array);
    expectClose(gradient.data, given.gradient.flat(), 1e-4, 1e-6);
  });

  it("the loss of rows is the loss of the layer, and both at once are the same as one by one", () => {
    const loss = strategy.computeIntermediateLoss(layer(s), layer(t));
    expect(strategy.computeSelectivityLoss(rowsOf(s), rowsOf(t))).toBe(loss);
    const both = strategy.computeIntermediateLossAndGradient(layer(s), layer(t));
    expect(both.loss).toBe(loss);
    expect(both.gradient.get("layer")!.data).toEqual(
      strategy.computeIntermediateGradient(layer(s), layer(t)).get("layer")!.data,
    );
  });
});

describe("the gradient is the derivative of the loss", () => {
  // Away from the kinks: no |a| near 0, and random values have one maximum each, not near the next.
  const away = (m: Matrix) =>
    new Matrix(
      m.rows,
      m.columns,
      m.data.map((v) => v + Math.sign(v) * 0.1),
    );
  for (const rows of [2, 5, 8])
    it.each(["variance", "peak-to-average"] as const)(`%s, ${rows} samples`, (metric) => {
      const strategy = make(metric, 1.5);
      const s = away(randomMatrix(rows, rows, 6));
      const t = layer(randomMatrix(99, rows, 6));
      const differences = finiteDifferences((m) => strategy.computeIntermediateLoss(layer(m), t), s, 1e-4);
      expectClose(
        strategy.computeIntermediateGradient(layer(s), t).get("layer")!.data,
        differences,
        1e-8,
        1e-10,
      );
    });

  it("sparsity: of the smooth surrogate, weighted by the difference of the hard counts", () => {
    const [B, N, weight] = [7, 5, 1.5];
    const strategy = make("sparsity", weight);
    const s = randomMatrix(12, B, N, -0.05, 0.05);
    const t = randomMatrix(13, B, N, -0.02, 0.02);
    const hardS = selectivityScores(s, "sparsity");
    const hardT = selectivityScores(t, "sparsity");
    // Linear in the smooth scores, with the loss's own slope at the hard ones.
    const surrogate = (m: Matrix) => {
      let sum = 0;
      for (let r = 0; r < B; r++)
        for (let c = 0; c < N; c++) {
          const z = SURROGATE_STEEPNESS * (Math.abs(m.get(r, c)) - ACTIVITY_THRESHOLD);
          sum += ((2 * weight * (hardS[c]! - hardT[c]!)) / N) * (1 / (1 + Math.exp(-z)) / B);
        }
      return sum;
    };
    const gradient = strategy.computeIntermediateGradient(layer(s), layer(t)).get("layer")!;
    expect(gradient.data.some((g) => Math.abs(g) > 0.1)).toBe(true);
    expectClose(gradient.data, finiteDifferences(surrogate, s, 1e-5), 1e-7, 1e-9);
  });

  it("sparsity: finite, and zero where |a| is far from the threshold", () => {
    const s = Matrix.fromRows([
      [1e300, 1, 0.01],
      [-1e300, 0, -0.01],
    ]);
    const gradient = make("sparsity")
      .computeIntermediateGradient(
        layer(s),
        layer(
          Matrix.fromRows([
            [0, 1, 1],
            [0, 1, 1],
          ]),
        ),
      )
      .get("layer")!;
    expect(gradient.get(0, 0)).toBe(0);
    expect(gradient.get(1, 0)).toBe(0);
    expect(gradient.get(1, 1)).toBe(0); // sign(0) = 0
    expect(Math.abs(gradient.get(0, 1))).toBeLessThan(1e-40);
    // At the threshold σ′ = 1/4: 2·0.5·(0 − 1)/3 · 100/2 · 1/4, with the sign of a.
    expectClose([gradient.get(0, 2), gradient.get(1, 2)], [-25 / 6, 25 / 6], 1e-14);
  });
});

describe("scores", () => {
  it("have the hand-computed values", () => {
    const m = Matrix.fromRows([
      [1, 0.01, -4],
      [3, 0.0101, 0],
      [5, -0.02, 0],
      [7, 0, 0],
    ]);
    expect([...selectivityScores(m, "variance")].slice(0, 1)).toEqual([5]);
    expect([...selectivityScores(m, "sparsity")]).toEqual([1, 0.5, 0.25]); // |a| = 0.01 is not active
    expect([...selectivityScores(m, "peak-to-average")]).toEqual([
      1.75,
      expect.closeTo(0.02 / 0.010025, 12),
      4,
    ]);
  });

  it("of a variance keep their digits at 1e6 ± 1, in float32 as well, with outliers first or last", () => {
    for (const values of [
      [1e6 - 1, 1e6 + 1, 1e6 - 1, 1e6 + 1, 1e6],
      [0, 1e6, 1e6 + 1, 1e6, 1e6 + 1],
      [1e6, 1e6 + 1, 1e6, 1e6 + 1, 0],
    ]) {
      const mean = values.reduce((a, b) => a + b) / 5;
      const exact = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 5;
      for (const data of [Float64Array.from(values), Float32Array.from(values)])
        expectClose(selectivityScores({ data, dims: [5, 1] }, "variance"), [exact], 1e-14);
    }
    expect([...selectivityScores(Matrix.fromRows([[0.1], [0.1], [0.1]]), "variance")]).toEqual([0]);
  });

  it("read rows one by one and four at a time alike", () => {
    for (const metric of METRICS)
      for (let rows = 2; rows <= 11; rows++) {
        const m = randomMatrix(rows, rows, 3, -0.03, 0.03);
        const column = (c: number) => rowsOf(m).map((r) => Math.abs(r[c]!));
        const scores = selectivityScores(m, metric);
        for (let c = 0; c < 3; c++) {
          const a = column(c);
          const raw = rowsOf(m).map((r) => r[c]!);
          const mean = raw.reduce((x, y) => x + y) / rows;
          const expected = {
            variance: raw.reduce((x, y) => x + (y - mean) ** 2, 0) / rows,
            sparsity: a.filter((v) => v > 0.01).length / rows,
            "peak-to-average": Math.max(...a) / (a.reduce((x, y) => x + y) / rows),
          }[metric];
          expectClose([scores[c]!], [expected], 1e-12);
        }
      }
  });

  it("say what is wrong", () => {
    expect(() => selectivityScores(Matrix.fromRows([[1, 2]]), "variance")).toThrowError(
      error(
        "E_SHAPE",
        "activations holds 1 sample; selectivity compares samples and needs at least 2, so use a larger batch",
      ),
    );
    expect(() => selectivityScores(Matrix.fromRows([[1], [2]]), "peak" as SelectivityMetric)).toThrowError(
      error(
        "E_ARGUMENT",
        'selectivityScores: unknown metric "peak", known are variance, sparsity, peak-to-average, relative-deviation, log-variance, relative-sparsity, lifetime-sparseness, population-sparseness, kurtosis, soft-peak, class-selectivity, class-response. Did you mean "peak-to-average" or "soft-peak"?',
      ),
    );
    for (const metric of ["variance", "peak-to-average"] as const)
      expect(() => selectivityScores(Matrix.fromRows([[1e308], [-1e308]]), metric)).toThrowError(
        error("E_NOT_FINITE", "activations is so large that its scores overflow; scale it down"),
      );
  });
});

describe.each(METRICS)("%s", (metric) => {
  const strategy = make(metric);
  const [s, t] = [randomMatrix(21, 5, 4), randomMatrix(22, 5, 4)];
  const calls = (a: Matrix, b: Matrix) => [
    () => strategy.computeIntermediateLoss(layer(a), layer(b)),
    () => strategy.computeIntermediateGradient(layer(a), layer(b)),
  ];

  it("gives loss 0 and a gradient of zeros where student and teacher agree", () => {
    expect(strategy.computeIntermediateLoss(layer(s), layer(s))).toBe(0);
    const gradient = strategy.computeIntermediateGradient(layer(s), layer(s)).get("layer")!;
    expect(gradient.data).toEqual(new Float64Array(20)); // and no −0
  });

  it("gives loss 0 and no gradients where either side lacks the layer", () => {
    const other = new IntermediateActivations().add("other", s);
    for (const [a, b] of [
      [layer(s), other],
      [other, layer(s)],
      [other, other],
    ] as const) {
      expect(strategy.computeIntermediateLoss(a, b)).toBe(0);
      expect(strategy.computeIntermediateGradient(a, b).size).toBe(0);
    }
  });

  it("answers for the target layer only", () => {
    const both = new IntermediateActivations().add("other", s).add("layer", s);
    const gradients = strategy.computeIntermediateGradient(both, layer(t));
    expect(gradients.names()).toEqual(["layer"]);
  });

  it("gives loss 0 and zeros of the student's type for weight 0, shapes still checked", () => {
    const off = make(metric, 0);
    expect(off.computeIntermediateLoss(layer(s), layer(t))).toBe(0);
    const gradient = off.computeIntermediateGradient(layer(float32(s)), layer(t)).get("layer")!;
    expect(gradient.data).toEqual(new Float32Array(20));
    expect(() => off.computeIntermediateLoss(layer(s), layer(randomMatrix(1, 4, 4)))).toThrow("rows");
  });

  it("is linear in the weight", () => {
    const one = make(metric, 1).computeIntermediateLoss(layer(s), layer(t));
    expect(make(metric, 4).computeIntermediateLoss(layer(s), layer(t))).toBe(4 * one);
  });

  it("changes neither argument", () => {
    const [before, beforeT] = [s.data.slice(), t.data.slice()];
    strategy.computeIntermediateGradient(layer(s), layer(t));
    expect(s.data).toEqual(before);
    expect(t.data).toEqual(beforeT);
  });

  it("names the side, the row and the column of a value that is not finite", () => {
    for (const bad of [NaN, Infinity, -Infinity])
      for (const [row, column] of [
        [0, 0],
        [2, 3],
        [4, 1],
      ] as const) {
        const data = s.data.slice();
        data[row * 4 + column] = bad;
        const broken = new Matrix(5, 4, data);
        const message = (side: string) =>
          `${side} activations "layer" is ${bad} at row ${row}, column ${column}; every value must be finite: look at that sample and what computes it`;
        for (const call of calls(broken, t))
          expect(call).toThrowError(error("E_NOT_FINITE", message("student")));
        for (const call of calls(s, broken))
          expect(call).toThrowError(error("E_NOT_FINITE", message("teacher")));
      }
  });

  it("refuses shapes that differ", () => {
    for (const call of calls(s, randomMatrix(1, 6, 4)))
      expect(call).toThrowError(
        error(
          "E_SHAPE",
          'student activations "layer" is [5,4] and teacher activations "layer" is [6,4]: the number of rows must be the same, one for each sample of the same batch',
        ),
      );
    for (const call of calls(s, randomMatrix(1, 5, 3)))
      expect(call).toThrowError(
        error(
          "E_SHAPE",
          'student activations "layer" is [5,4] and teacher activations "layer" is [5,3]: the number of columns must be the same',
        ),
      );
    expect(() => strategy.computeSelectivityLoss(rowsOf(s), [])).toThrowError(
      error("E_SHAPE", "teacherRows needs at least one row, got none"),
    );
    const ragged = [new Float32Array(4), new Float32Array(3)];
    expect(() => strategy.computeSelectivityLoss(ragged, ragged)).toThrowError(
      error("E_SHAPE", "studentRows: row 1 has 3 values and row 0 has 4; every row needs the same number"),
    );
  });
});

describe("for any activations", () => {
  const pair = fc
    .record({ rows: fc.integer({ min: 2, max: 9 }), columns: fc.integer({ min: 1, max: 4 }) })
    .chain(({ rows, columns }) => {
      const value = fc.oneof(
        fc.constantFrom(0, -0, 0.01, -0.01, 1e-12, 1e-30, 1),
        fc.double({ min: -100, max: 100, noNaN: true }),
      );
      const matrix = fc
        .array(value, { minLength: rows * columns, maxLength: rows * columns })
        .map((v) => new Matrix(rows, columns, Float64Array.from(v)));
      return fc.tuple(matrix, matrix);
    });

  it.each(METRICS)(
    "%s: the loss is not negative, scores lie in their range, gradients are finite",
    (metric) => {
      const strategy = make(metric);
      fc.assert(
        fc.property(pair, ([s, t]) => {
          expect(strategy.computeIntermediateLoss(layer(s), layer(t))).toBeGreaterThanOrEqual(0);
          const top = { variance: 1e4, sparsity: 1, "peak-to-average": s.rows * (1 + 1e-12) }[metric];
          for (const score of selectivityScores(s, metric)) {
            expect(score).toBeGreaterThanOrEqual(0);
            expect(score).toBeLessThanOrEqual(top);
          }
          const gradient = strategy.computeIntermediateGradient(layer(s), layer(t)).get("layer")!;
          expect(gradient.data.every((g) => Number.isFinite(g) && !Object.is(g, -0))).toBe(true);
        }),
      );
    },
  );

  it.each(METRICS)("%s: the order of the samples does not matter", (metric) => {
    fc.assert(
      fc.property(pair, ([s]) => {
        const reversed = Matrix.fromRows(rowsOf(s).reverse());
        expectClose(selectivityScores(reversed, metric), selectivityScores(s, metric), 1e-12);
      }),
    );
  });

  it("peak-to-average does not change with scale, so its gradient is orthogonal to the activations", () => {
    fc.assert(
      fc.property(pair, ([s, t]) => {
        const gradient = make("peak-to-average")
          .computeIntermediateGradient(layer(s), layer(t))
          .get("layer")!;
        for (let c = 0; c < s.columns; c++) {
          let dot = 0;
          for (let r = 0; r < s.rows; r++) dot += gradient.get(r, c) * s.get(r, c);
          expect(Math.abs(dot)).toBeLessThan(1e-12); // of terms of up to rows² = 81 that cancel
        }
      }),
    );
  });
});
