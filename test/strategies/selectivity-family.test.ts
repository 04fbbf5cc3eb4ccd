// The whole family of selectivity losses on arrays: against PyTorch, against finite differences, and by what each score
// promises (range, scale, order of samples, dead neurons).
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  IntermediateActivations,
  Matrix,
  NeuronSelectivityDistillationStrategy,
  type NeuronSelectivityOptions,
  SelectivityMetric,
  type SelectivityOver,
  selectivityScores,
} from "../../src/strategies/index.ts";
import {
  expectClose,
  type FamilyCase,
  familyCases,
  finiteDifferences,
  layer,
  randomMatrix,
} from "./helpers.ts";

const nameOf = ({ options: o, dims }: FamilyCase) =>
  `${o.metric}, over ${o.over}, by ${o.match}, ${o.distance}, ${dims[0][1]} and ${dims[1][1]} neurons`;
const error = (code: string, message: string) => expect.objectContaining({ code, message });

const all = Object.values(SelectivityMetric);
const ofClasses: SelectivityMetric[] = ["class-selectivity", "class-response"];
const overs: SelectivityOver[] = ["samples-and-positions", "samples", "positions"];
const oversOf = (metric: SelectivityMetric) => (ofClasses.includes(metric) ? overs.slice(0, 2) : overs);
const every = all.flatMap((metric) => oversOf(metric).map((over) => ({ metric, over })));

describe.each(familyCases.map((c) => [nameOf(c), c] as const))("against PyTorch: %s", (_, c) => {
  const { over } = c.options;
  const tensorOf = (data: number[], dims: number[]) => ({ data: Float64Array.from(data), dims });
  const [s, t] = [tensorOf(c.student, c.dims[0]), tensorOf(c.teacher, c.dims[1])];
  const labels = Matrix.fromRows(c.labels);

  it("scores, loss and gradient", () => {
    expectClose(selectivityScores(s, c.options.metric, { over: over!, labels }), c.scores, 1e-11);
    const strategy = new NeuronSelectivityDistillationStrategy({ ...c.options, targetLayerName: "layer" });
    if (c.assignment) strategy.assignment = c.assignment;
    const student = new IntermediateActivations().add("layer", s);
    const teacher = new IntermediateActivations().add("layer", t);
    const { loss, gradient } = strategy.computeIntermediateLossAndGradient(student, teacher, labels);
    expectClose([loss], [c.loss], 1e-11);
    const got = gradient.get("layer")!;
    expectClose(got.toTensor(c.dims[0]).data, c.gradient, 1e-9, 1e-11);
    // Given the teacher's scores instead of its activations, the same.
    if (c.options.metric !== "population-sparseness") {
      const once = new NeuronSelectivityDistillationStrategy({
        ...c.options,
        targetLayerName: "layer",
        target: "dataset",
      });
      once.teacherScores = c.teacherScores;
      if (c.assignment) once.assignment = c.assignment;
      const nothing = new IntermediateActivations();
      expectClose([once.computeIntermediateLoss(student, nothing, labels)], [c.loss], 1e-11);
    }
  });
});

const classesOf = (samples: number, classes: number) =>
  Matrix.fromRows(
    Array.from({ length: samples }, (_, n) =>
      Array.from({ length: classes }, (_, k) => (n % classes === k ? 0.75 : 0.25 / (classes - 1))),
    ),
  );

/** No |a| near 0, where sizes have a kink. */
const away = (m: Matrix) =>
  new Matrix(
    m.rows,
    m.columns,
    m.data.map((v) => v + Math.sign(v) * 0.1),
    m.positions,
  );
const drawn = (seed: number, samples: number, positions: number, columns: number) =>
  away(
    new Matrix(
      samples * positions,
      columns,
      randomMatrix(seed, samples * positions, columns).data,
      positions,
    ),
  );

describe("the gradient is the derivative of the loss", () => {
  // Sparsity counts; its surrogate has a test of its own in neuron-selectivity.test.ts.
  it.each(every.filter((e) => e.metric !== "sparsity"))(
    "$metric over $over, soft labels",
    ({ metric, over }) => {
      const [samples, positions, columns] = [5, 4, 4]; // three values always have kurtosis 1.5
      const labels = classesOf(samples, 3);
      for (const distance of ["squared", "absolute", "relative"] as const) {
        const strategy = new NeuronSelectivityDistillationStrategy({
          targetLayerName: "layer",
          metric,
          over,
          distance,
          selectivityWeight: 1.5,
        });
        const s = drawn(7, samples, positions, columns);
        const t = layer(drawn(8, samples, positions, columns));
        const at = (m: Matrix) => layer(new Matrix(m.rows, m.columns, m.data, positions));
        const wanted = finiteDifferences((m) => strategy.computeIntermediateLoss(at(m), t, labels), s, 1e-4);
        const got = strategy.computeIntermediateGradient(layer(s), t, labels).get("layer")!;
        expect(got.positions).toBe(positions);
        expect(Math.max(...Array.from(wanted, Math.abs))).toBeGreaterThan(1e-4);
        expectClose(got.data, wanted, 1e-7, 1e-9);
      }
    },
  );

  it.each(all.filter((m) => m !== "population-sparseness" && m !== "class-response"))(
    "%s by rank, to a layer of other width",
    (metric) => {
      const labels = classesOf(6, 3);
      const strategy = new NeuronSelectivityDistillationStrategy({
        targetLayerName: "layer",
        metric,
        match: "rank",
      });
      const scale = metric === "sparsity" ? 0.02 : 1;
      const small = (m: Matrix) =>
        new Matrix(
          m.rows,
          m.columns,
          m.data.map((v) => v * scale),
        );
      const [s, t] = [small(drawn(9, 6, 1, 4)), layer(small(drawn(10, 6, 1, 6)))];
      const got = strategy.computeIntermediateGradient(layer(s), t, labels).get("layer")!.data;
      if (metric === "sparsity") {
        expect(got.some((g) => g !== 0)).toBe(true);
        return;
      }
      const wanted = finiteDifferences((m) => strategy.computeIntermediateLoss(layer(m), t, labels), s, 1e-5);
      expectClose(got, wanted, 1e-6, 1e-8);
    },
  );
});

/** What each score promises for B rows of N neurons. */
const ranges: Record<SelectivityMetric, (B: number, N: number) => [number, number]> = {
  variance: () => [0, 1e4],
  sparsity: () => [0, 1],
  "peak-to-average": (B) => [0, B],
  "relative-deviation": (_, N) => [0, N],
  "log-variance": () => [Math.log(1e-6), Math.log(1e4 + 1e-6)],
  "relative-sparsity": () => [1 / (1 + Math.exp(5)), 1],
  "lifetime-sparseness": (B) => [0, 1 - 1 / B],
  "population-sparseness": (_, N) => [0, 1 - 1 / N],
  kurtosis: (B) => [0, B],
  "soft-peak": (B) => [1, B ** (3 / 8)],
  "class-selectivity": () => [0, 1],
  "class-response": () => [-100, 100],
};

describe("for any activations", () => {
  const value = fc.oneof(
    fc.constantFrom(0, -0, 0.01, -0.01, 1e-3, 1e-12, 1e-30, 1),
    fc.double({ min: -100, max: 100, noNaN: true }),
  );
  const matrix = (rows: number, columns: number) =>
    fc
      .array(value, { minLength: rows * columns, maxLength: rows * columns })
      .map((v) => new Matrix(rows, columns, Float64Array.from(v), 2));
  const pair = fc
    .record({ samples: fc.integer({ min: 2, max: 5 }), columns: fc.integer({ min: 2, max: 4 }) })
    .chain(({ samples, columns }) => fc.tuple(matrix(2 * samples, columns), matrix(2 * samples, columns)));

  it.each(every)(
    "$metric over $over: in range, the loss 0 or more, finite gradients without −0",
    ({ metric, over }) => {
      fc.assert(
        fc.property(pair, ([s, t]) => {
          const labels = classesOf(s.rows / 2, 3);
          const strategy = new NeuronSelectivityDistillationStrategy({
            targetLayerName: "layer",
            metric,
            over,
          });
          const compared = { "samples-and-positions": s.rows, samples: s.rows / 2, positions: 2 }[over];
          const [low, high] = ranges[metric](compared, s.columns);
          for (const score of selectivityScores(s, metric, { over, labels })) {
            expect(score).toBeGreaterThanOrEqual(low - 1e-12);
            expect(score).toBeLessThanOrEqual(high * (1 + 1e-12) + 1e-12);
          }
          const { loss, gradient } = strategy.computeIntermediateLossAndGradient(layer(s), layer(t), labels);
          expect(loss).toBeGreaterThanOrEqual(0);
          const { data } = gradient.get("layer")!;
          expect(data.every((g) => Number.isFinite(g) && !Object.is(g, -0))).toBe(true);
        }),
      );
    },
  );

  it.each(every)(
    "$metric over $over: student and teacher alike give loss 0 and no gradient",
    ({ metric, over }) => {
      fc.assert(
        fc.property(pair, ([s]) => {
          const labels = classesOf(s.rows / 2, 3);
          const strategy = new NeuronSelectivityDistillationStrategy({
            targetLayerName: "layer",
            metric,
            over,
          });
          const { loss, gradient } = strategy.computeIntermediateLossAndGradient(layer(s), layer(s), labels);
          expect(loss).toBe(0);
          expect(gradient.get("layer")!.data.every((g) => g === 0)).toBe(true);
        }),
      );
    },
  );
});

describe("scores", () => {
  const scaleFree: SelectivityMetric[] = all.filter(
    (m) => !["variance", "sparsity", "log-variance", "relative-deviation", "class-response"].includes(m),
  );

  it.each(scaleFree)("%s does not change with the scale of a neuron", (metric) => {
    const m = drawn(31, 8, 1, 3);
    const labels = classesOf(8, 2);
    const factors = metric === "population-sparseness" ? [5, 5, 5] : [5, 1, 0.5];
    const scaled = new Matrix(
      8,
      3,
      m.data.map((v, i) => v * factors[i % 3]!),
    );
    const before = selectivityScores(m, metric, { labels });
    // ε moves a score by about (ε / rms)², or ε / rms where means of sizes are compared.
    const tolerance = metric === "class-selectivity" ? 5e-3 : 1e-4;
    expectClose(selectivityScores(scaled, metric, { labels }), before, tolerance);
  });

  it("relative-deviation does not change with the scale of the layer; log-variance moves by its logarithm", () => {
    const m = drawn(32, 8, 1, 3);
    const scaled = new Matrix(
      8,
      3,
      m.data.map((v) => 4 * v),
    );
    expectClose(
      selectivityScores(scaled, "relative-deviation"),
      selectivityScores(m, "relative-deviation"),
      1e-4,
    );
    const moved = selectivityScores(m, "log-variance").map((s) => s + Math.log(16));
    expectClose(selectivityScores(scaled, "log-variance"), moved, 1e-4);
  });

  it.each(all.filter((m) => m !== "class-response" && m !== "population-sparseness"))(
    "%s of a dead neuron, and its gradient, are finite",
    (metric) => {
      const s = drawn(33, 6, 1, 3);
      for (let r = 0; r < 6; r++) s.data[r * 3 + 1] = 0;
      const dead: Partial<Record<SelectivityMetric, number>> = {
        variance: 0,
        sparsity: 0,
        "peak-to-average": 0,
        "log-variance": Math.log(1e-6),
        "relative-sparsity": 1 / (1 + Math.exp(5)),
        "lifetime-sparseness": 0,
        kurtosis: 0,
        "soft-peak": 1,
        "class-selectivity": 0,
      };
      const labels = classesOf(6, 3);
      const score = selectivityScores(s, metric, { labels })[1]!;
      if (metric === "relative-deviation") expect(score).toBeLessThan(0.01);
      else expect(score).toBeCloseTo(dead[metric]!, 12);
      const strategy = new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer", metric });
      const gradient = strategy.computeIntermediateGradient(layer(s), layer(drawn(34, 6, 1, 3)), labels);
      const ofDead = gradient.get("layer")!.data.filter((_, i) => i % 3 === 1);
      expect(Array.from(ofDead)).toEqual([0, 0, 0, 0, 0, 0]);
    },
  );

  it("are known by hand", () => {
    const one = Matrix.fromRows([[0], [0], [0], [2]]);
    expect(selectivityScores(one, "lifetime-sparseness")[0]).toBeCloseTo(0.75, 5);
    expect(selectivityScores(one, "kurtosis")[0]).toBeCloseTo(7 / 3, 4);
    expect(selectivityScores(one, "soft-peak")[0]).toBeCloseTo(4 ** (3 / 8), 4);
    const row = Matrix.fromRows([
      [3, 0, 0, 0],
      [1, 1, 1, 1],
    ]);
    expectClose(selectivityScores(row, "population-sparseness"), [0.75, 0], 1e-5);
    // Class means 3, 1, 1: (3 − 1) / (3 + 1).
    const m = Matrix.fromRows([[2], [4], [1], [1]]);
    const labels = Matrix.fromRows([
      [1, 0, 0],
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    expect(selectivityScores(m, "class-selectivity", { labels })[0]).toBeCloseTo(0.5, 3);
    expect([...selectivityScores(m, "class-response", { labels })]).toEqual([3, 1, 1]);
  });

  it("leave out classes without samples, and score 0 where one class alone has any", () => {
    const m = Matrix.fromRows([[2], [4], [1]]);
    const some = Matrix.fromRows([
      [1, 0, 0, 0],
      [1, 0, 0, 0],
      [0, 0, 1, 0],
    ]);
    expect(selectivityScores(m, "class-selectivity", { labels: some })[0]).toBeCloseTo(0.5, 3);
    const same = Matrix.fromRows([
      [1, 0],
      [1, 0],
      [1, 0],
    ]);
    expect(selectivityScores(m, "class-selectivity", { labels: same })[0]).toBe(0);
  });

  it.each(all)("%s: the order of the samples does not matter", (metric) => {
    const m = drawn(35, 6, 2, 3);
    const labels = classesOf(6, 3);
    const order = [3, 0, 5, 1, 4, 2];
    const rows = (n: number) => m.data.subarray(n * 6, (n + 1) * 6);
    const shuffled = new Matrix(12, 3, Float64Array.from(order.flatMap((n) => [...rows(n)])), 2);
    const shuffledLabels = Matrix.fromRows(order.map((n) => labels.row(n)));
    for (const over of oversOf(metric)) {
      const before = selectivityScores(m, metric, { over, labels });
      const after = selectivityScores(shuffled, metric, { over, labels: shuffledLabels });
      if (metric === "population-sparseness") expectClose(after.sort(), before.sort(), 1e-12);
      else expectClose(after, before, 1e-12);
    }
  });
});

describe("what is refused", () => {
  const make = (options: NeuronSelectivityOptions) => () =>
    new NeuronSelectivityDistillationStrategy(options);
  const owner = "NeuronSelectivityDistillationStrategy";

  it("options out of range, unknown, or against each other", () => {
    const wrong: [NeuronSelectivityOptions, string, string][] = [
      [
        { over: "channels" as "samples" },
        "E_ARGUMENT",
        `${owner}: over is one of "samples-and-positions", "samples", "positions", got "channels".`,
      ],
      [
        { match: "ranks" as "rank" },
        "E_ARGUMENT",
        `${owner}: match is one of "index", "rank", "assignment", got "ranks". Did you mean "rank"?`,
      ],
      [
        { momentum: 1 },
        "E_ARGUMENT",
        `${owner}: momentum must lie in [0, 1), got 1; 0 takes each batch by itself`,
      ],
      [
        { assignmentEvery: 0 },
        "E_ARGUMENT",
        `${owner}: assignmentEvery must be a whole number of steps, 1 or more, got 0`,
      ],
      [
        { metric: "class-selectivity", over: "positions" },
        "E_OPTION",
        `${owner}: class-selectivity compares samples of different classes, and the positions of one sample are all of its class; take it over "samples" or "samples-and-positions"`,
      ],
      [
        { metric: "population-sparseness", momentum: 0.9 },
        "E_OPTION",
        `${owner}: momentum cannot be had with metric "population-sparseness", which scores each sample, not each neuron; no sample comes in every batch`,
      ],
      [
        { metric: "class-response", match: "rank" },
        "E_OPTION",
        `${owner}: match "rank" cannot be had with metric "class-response", whose scores, one for each class, have no order; match by index or assignment`,
      ],
    ];
    for (const [options, code, message] of wrong) expect(make(options)).toThrowError(error(code, message));
  });

  it("missing labels, assignments and teacher's scores, with what to do", () => {
    const [s, t] = [layer(drawn(1, 4, 1, 3)), layer(drawn(2, 4, 1, 3))];
    const loss = (options: NeuronSelectivityOptions) => () =>
      new NeuronSelectivityDistillationStrategy({
        targetLayerName: "layer",
        ...options,
      }).computeIntermediateLoss(s, t);
    expect(loss({ metric: "class-response" })).toThrowError(
      error(
        "E_ARGUMENT",
        'labels are missing: this metric tells classes apart; give the student activations "layer" labels of shape [samples, classes], one-hot or the teacher\'s softmax',
      ),
    );
    expect(loss({ match: "assignment" })).toThrowError(
      error(
        "E_OPTION",
        'match "assignment" needs an assignment; call computeAssignment with activations of both sides, or set it',
      ),
    );
    expect(loss({ target: "dataset" })).toThrowError(
      error(
        "E_OPTION",
        'target "dataset" needs the teacher\'s scores over its data set; set teacherScores, which SelectivityAccumulator computes',
      ),
    );
  });

  it("teacher's scores that fit neither neurons nor classes", () => {
    const labels = classesOf(4, 2);
    const [s, none] = [layer(drawn(1, 4, 1, 3)), new IntermediateActivations()];
    const given = (options: NeuronSelectivityOptions, scores: number[]) => () => {
      const strategy = new NeuronSelectivityDistillationStrategy({
        targetLayerName: "layer",
        target: "dataset",
        ...options,
      });
      strategy.teacherScores = scores;
      return strategy.computeIntermediateLoss(s, none, labels);
    };
    expect(given({}, [1, 2])).toThrowError(
      error(
        "E_SHAPE",
        'teacherScores holds 2 scores for 3 neurons of the student; match neurons by "rank" or "assignment"',
      ),
    );
    expect(given({ metric: "class-response" }, [1, 2, 3])).toThrowError(
      error(
        "E_SHAPE",
        "the teacher has 3 scores, which is no number for each of 2 classes; give [classes × neurons]",
      ),
    );
    expect(given({}, [1, 2, Number.NaN])).toThrowError(
      error("E_NOT_FINITE", "teacherScores: score 2 is NaN; every score must be finite"),
    );
    expect(given({ match: "rank" }, [1, 2])()).toBeGreaterThan(0);
  });

  it("too little to compare", () => {
    const one = new Matrix(4, 2, new Float64Array(8), 4);
    expect(() => selectivityScores(one, "variance", { over: "samples" })).toThrowError(
      error(
        "E_SHAPE",
        "activations holds 1 sample; selectivity compares samples and needs at least 2, so use a larger batch",
      ),
    );
    expect(() =>
      selectivityScores(new Matrix(4, 2, new Float64Array(8)), "variance", { over: "positions" }),
    ).toThrowError(
      error(
        "E_SHAPE",
        "activations is [4,2] with 1 position for each sample; selectivity over positions compares positions and needs at least 2: give a map [N, C, H, W] or a sequence [N, T, C]",
      ),
    );
    expect(() =>
      selectivityScores(new Matrix(4, 1, new Float64Array(4)), "population-sparseness"),
    ).toThrowError(
      error("E_SHAPE", "activations is [4,1]; population sparseness compares neurons and needs at least 2"),
    );
  });

  it("NaN, named by row and column or by sample", () => {
    const labels = classesOf(4, 2);
    for (const { metric, over } of every) {
      const data = new Float64Array(16).fill(1);
      data[9] = Number.NaN;
      const broken = new Matrix(8, 2, data, 2);
      const where =
        over === "positions"
          ? "activations, sample 2, is NaN at row 0, column 1"
          : "activations is NaN at row 4, column 1";
      expect(
        () => selectivityScores(broken, metric, { over, labels }),
        `${metric} over ${over}`,
      ).toThrowError(where);
    }
  });
});
