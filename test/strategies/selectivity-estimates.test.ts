// Scores of many samples from batches: the accumulator gives those of all samples, a running mean comes near them where a
// single batch is biased, and its gradient is, on average, that of all samples.
import { describe, expect, it } from "vitest";
import {
  IntermediateActivations,
  Matrix,
  NeuronSelectivityDistillationStrategy,
  SelectivityAccumulator,
  type SelectivityMetric,
  type SelectivityOver,
  selectivityScores,
} from "../../src/strategies/index.ts";
import { testRandom } from "../gradient-checker.ts";
import { expectClose, finiteDifferences, layer, randomMatrix } from "./helpers.ts";

const error = (code: string, message: string) => expect.objectContaining({ code, message });

/** Responses as after a ReLU: neuron c is max(0, normal + mean of c). */
function responses(seed: number, rows: number, means: readonly number[]): Matrix {
  const random = testRandom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const data = Float64Array.from({ length: rows * means.length }, (_, i) =>
    Math.max(0, normal() + means[i % means.length]!),
  );
  return new Matrix(rows, means.length, data);
}

const part = (m: Matrix, from: number, to: number) =>
  new Matrix(to - from, m.columns, m.data.subarray(from * m.columns, to * m.columns), m.positions);
const meanOf = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length;
const oneHot = (samples: number) =>
  Matrix.fromRows(Array.from({ length: samples }, (_, n) => [0, 1, 2].map((k) => (n % 3 === k ? 1 : 0))));

describe("the accumulator", () => {
  const exact: SelectivityMetric[] = [
    "variance",
    "sparsity",
    "relative-deviation",
    "log-variance",
    "lifetime-sparseness",
    "kurtosis",
    "soft-peak",
    "class-selectivity",
    "class-response",
  ];
  const m = new Matrix(60, 4, randomMatrix(1, 60, 4).data, 2);
  const labels = oneHot(30);

  it.each(
    exact.flatMap((metric) =>
      (["samples-and-positions", "samples"] as const).map((over) => [metric, over] as const),
    ),
  )("gives the scores of all samples together: %s over %s", (metric, over) => {
    const accumulator = new SelectivityAccumulator({ metric, over });
    let from = 0;
    for (const to of [2, 14, 40, 58, 60]) {
      accumulator.add(
        part(m, from, to),
        Matrix.fromRows(Array.from({ length: (to - from) / 2 }, (_, i) => labels.row(from / 2 + i))),
      );
      from = to;
    }
    expect(accumulator.samples).toBe(30);
    expectClose(accumulator.scores(), selectivityScores(m, metric, { over, labels }), 1e-12);
  });

  it("averages what follows from no means, each batch by its samples", () => {
    for (const [metric, over] of [
      ["peak-to-average", "samples-and-positions"],
      ["relative-sparsity", "samples"],
      ["kurtosis", "positions"],
    ] as [SelectivityMetric, SelectivityOver][]) {
      const [a, b] = [part(m, 0, 40), part(m, 40, 60)];
      const [x, y] = [selectivityScores(a, metric, { over }), selectivityScores(b, metric, { over })];
      const found = new SelectivityAccumulator({ metric, over }).add(a).add(b).scores();
      expectClose(
        found,
        x.map((v, c) => (2 * v + y[c]!) / 3),
        1e-12,
      );
    }
    const whole = selectivityScores(m, "variance", { over: "positions" });
    const each = new SelectivityAccumulator({ metric: "variance", over: "positions" });
    for (let n = 0; n < 60; n += 2) each.add(part(m, n, n + 2));
    expectClose(each.scores(), whole, 1e-12);
  });

  it("keeps the digits of 1e6 ± 1", () => {
    const far = new Matrix(
      60,
      4,
      m.data.map((v) => v + 1e6),
    );
    for (const metric of ["variance", "kurtosis"] as const) {
      const accumulator = new SelectivityAccumulator({ metric });
      for (let n = 0; n < 60; n += 15) accumulator.add(part(far, n, n + 15));
      expectClose(accumulator.scores(), selectivityScores(m, metric), 1e-8);
    }
  });

  it("says what is wrong", () => {
    expect(() => new SelectivityAccumulator({ metric: "population-sparseness" })).toThrowError(
      error(
        "E_OPTION",
        "SelectivityAccumulator: population-sparseness scores each sample by itself; use selectivityScores for each batch",
      ),
    );
    const one = new SelectivityAccumulator({ metric: "variance" }).add(part(m, 0, 1 * 2));
    expect(one.scores()).toHaveLength(4);
    expect(() => new SelectivityAccumulator({ metric: "variance" }).scores()).toThrowError(
      error(
        "E_SHAPE",
        "SelectivityAccumulator holds 0 samples; selectivity compares samples and needs at least 2: add a batch",
      ),
    );
    expect(() => one.add(randomMatrix(1, 3, 5))).toThrowError(
      error(
        "E_SHAPE",
        "SelectivityAccumulator: a batch of 5 neurons after others; every batch must be of the same layer and classes",
      ),
    );
  });
});

const strategyOf = (metric: SelectivityMetric, momentum: number, target: "batch" | "dataset" = "dataset") =>
  new NeuronSelectivityDistillationStrategy({
    targetLayerName: "layer",
    metric,
    momentum,
    target,
    selectivityWeight: 1,
  });

describe("a running mean over batches", () => {
  const means = [-0.5, 0, 0.5, 1];
  const all = responses(7, 4096, means);
  const B = 8;
  const batches = Array.from({ length: 4096 / B }, (_, i) => part(all, i * B, (i + 1) * B));

  /** Scores that the loss sees, batch after batch: where |s − 0| is the loss of one neuron against a teacher's score of 0. */
  function seen(metric: SelectivityMetric, momentum: number, neuron: number): number[] {
    const strategy = new NeuronSelectivityDistillationStrategy({
      targetLayerName: "layer",
      metric,
      momentum,
      target: "dataset",
      distance: "absolute",
      selectivityWeight: 1,
    });
    strategy.teacherScores = [0];
    return batches.map((b) => {
      const column = layer(Matrix.fromRows(Array.from({ length: B }, (_, r) => [b.get(r, neuron)])));
      const loss = strategy.computeIntermediateLoss(column, new IntermediateActivations());
      if (momentum > 0) strategy.updateRunning(column);
      return loss;
    });
  }

  it.each(["variance", "lifetime-sparseness", "kurtosis", "soft-peak"] as const)(
    "%s: nearer to the score of all samples than a batch's, on average and each time",
    (metric) => {
      for (let neuron = 0; neuron < means.length; neuron++) {
        const truth = selectivityScores(all, metric)[neuron]!;
        const [ofBatch, running] = [seen(metric, 0, neuron), seen(metric, 0.95, neuron).slice(100)];
        const bias = (x: number[]) => Math.abs(meanOf(x) - truth);
        const error = (x: number[]) => Math.sqrt(meanOf(x.map((v) => (v - truth) ** 2)));
        expect(bias(running), `bias, neuron ${neuron}`).toBeLessThan(0.25 * bias(ofBatch));
        expect(error(running), `error, neuron ${neuron}`).toBeLessThan(0.6 * error(ofBatch));
        // What a batch alone shows: the variance of B samples is too small by 1/B.
        if (metric === "variance") expect(meanOf(ofBatch) / truth).toBeCloseTo(1 - 1 / B, 1);
      }
    },
  );

  it("m 0.9 after many batches weighs a batch by 0.1, the first by 1", () => {
    const strategy = strategyOf("variance", 0.9);
    strategy.teacherScores = [0, 0, 0, 0];
    const first = strategy.computeIntermediateLoss(layer(batches[0]!), new IntermediateActivations());
    const alone = strategyOf("variance", 0);
    alone.teacherScores = [0, 0, 0, 0];
    expect(first).toBe(alone.computeIntermediateLoss(layer(batches[0]!), new IntermediateActivations()));
    for (const b of batches.slice(0, 200)) strategy.updateRunning(layer(b));
    const [s] = [batches[200]!];
    const value = (m: Matrix) => strategy.computeIntermediateLoss(layer(m), new IntermediateActivations());
    const differences = finiteDifferences(value, s, 1e-3);
    const got = strategy.computeIntermediateGradient(layer(s), new IntermediateActivations()).get("layer")!;
    // The gradient as if all samples moved: that of the value by the batch, over the batch's share, which is 0.1 now.
    expectClose(
      got.data,
      differences.map((d) => d / 0.1),
      1e-6,
      1e-9,
    );
    strategy.resetRunning();
    expect(value(batches[0]!)).toBe(first);
  });

  it.each([
    "variance",
    "lifetime-sparseness",
    "kurtosis",
    "soft-peak",
    "log-variance",
    "relative-deviation",
    "sparsity",
    "peak-to-average",
    "relative-sparsity",
    "class-selectivity",
    "class-response",
  ] as const)("%s: the gradient is that of the value by the batch, over the batch's share", (metric) => {
    const strategy = strategyOf(metric, 0.6);
    const target = selectivityScores(responses(9, 64, means), metric, { labels: oneHot(64) });
    strategy.teacherScores = target;
    const near = (m: Matrix) =>
      metric === "sparsity"
        ? new Matrix(
            m.rows,
            m.columns,
            m.data.map((v) => 0.02 * v),
          )
        : new Matrix(
            m.rows,
            m.columns,
            m.data.map((v) => v + 0.1),
          );
    const labels = oneHot(B);
    for (const b of batches.slice(0, 3)) strategy.updateRunning(layer(near(b)), labels);
    const share = (1 - 0.6) / (1 - 0.6 ** 4);
    const s = near(batches[3]!);
    const got = strategy
      .computeIntermediateGradient(layer(s), new IntermediateActivations(), labels)
      .get("layer")!;
    if (metric === "sparsity") return expect(got.data.some((g) => g !== 0)).toBe(true);
    const value = (m: Matrix) =>
      strategy.computeIntermediateLoss(layer(m), new IntermediateActivations(), labels);
    const differences = finiteDifferences(value, s, 1e-4);
    expectClose(
      got.data,
      differences.map((d) => d / share),
      1e-6,
      1e-8,
    );
  });

  it.each(["lifetime-sparseness", "kurtosis"] as const)(
    "%s: its gradient is on average that of all samples, where a batch's is not",
    (metric) => {
      // One parameter w moves every response: a = max(0, x + w). The teacher's are of another mean.
      const x = responses(11, 4096, [0.3]).data.map((v, i) => (v > 0 ? v : -0.2 - (i % 7) / 10));
      const at = (w: number, from: number, to: number) =>
        new Matrix(
          to - from,
          1,
          x.slice(from, to).map((v) => Math.max(0, v + w)),
        );
      const target = selectivityScores(responses(12, 4096, [1]), metric);
      const loss = (w: number) => (selectivityScores(at(w, 0, 4096), metric)[0]! - target[0]!) ** 2;
      const truth = (loss(1e-5) - loss(-1e-5)) / 2e-5;
      const estimate = (momentum: number, skip: number) => {
        const strategy = strategyOf(metric, momentum);
        strategy.teacherScores = target;
        const found: number[] = [];
        for (let i = 0; i < 4096; i += B) {
          const batch = layer(at(0, i, i + B));
          const g = strategy.computeIntermediateGradient(batch, new IntermediateActivations()).get("layer")!;
          if (momentum > 0) strategy.updateRunning(batch);
          found.push(Array.from(g.data).reduce((sum, v, r) => sum + (x[i + r]! > 0 ? v : 0), 0));
        }
        return meanOf(found.slice(skip));
      };
      const [ofBatch, running] = [estimate(0, 0), estimate(0.98, 150)];
      const off = (g: number) => Math.abs(g - truth) / Math.abs(truth);
      expect(off(running)).toBeLessThan(0.25);
      expect(off(running)).toBeLessThan(0.5 * off(ofBatch));
    },
  );

  it("target: a student that is the teacher has loss 0 against the batch, and against all samples only the batch's own noise", () => {
    const truth = selectivityScores(all, "variance");
    const ofBatch = strategyOf("variance", 0, "batch");
    const noise = strategyOf("variance", 0);
    const quiet = strategyOf("variance", 0.95);
    noise.teacherScores = truth;
    quiet.teacherScores = truth;
    const losses = batches.map((b) => {
      const s = layer(b);
      const found = [ofBatch, noise, quiet].map((x) => x.computeIntermediateLoss(s, s));
      quiet.updateRunning(s);
      return found;
    });
    const mean = (i: number) => meanOf(losses.slice(100).map((l) => l[i]!));
    expect(mean(0)).toBe(0);
    expect(mean(1)).toBeGreaterThan(0.01);
    expect(mean(2)).toBeLessThan(0.1 * mean(1));
  });
});
