// The places where the .NET class of the same name goes wrong, one test each.
import { describe, expect, it } from "vitest";
import {
  DEAD_NEURON_MEAN,
  Matrix,
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
  type SelectivityMetric,
  selectivityScores,
} from "../../src/strategies/index.ts";
import { expectClose, finiteDifferences, layer, randomMatrix } from "./helpers.ts";

const make = (metric: SelectivityMetric, selectivityWeight = 1) =>
  new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer", metric, selectivityWeight });
const gradientOf = (metric: SelectivityMetric, s: Matrix, t: Matrix) =>
  make(metric).computeIntermediateGradient(layer(s), layer(t)).get("layer")!;

function descend(metric: SelectivityMetric, s: Matrix, t: Matrix, rate: number, steps: number): number[] {
  const strategy = make(metric);
  const data = s.data.slice();
  const current = new Matrix(s.rows, s.columns, data);
  const losses: number[] = [];
  for (let i = 0; i <= steps; i++) {
    const { loss, gradient } = strategy.computeIntermediateLossAndGradient(layer(current), layer(t));
    losses.push(loss);
    const g = gradient.get("layer")!.data;
    for (let j = 0; j < data.length; j++) data[j]! -= rate * g[j]!;
  }
  return losses;
}

describe("descending the gradient lowers the loss", () => {
  it("sparsity, the student too active", () => {
    const losses = descend(
      "sparsity",
      randomMatrix(1, 32, 4, 0.005, 0.03),
      randomMatrix(2, 32, 4, 0, 0.012),
      1e-4,
      2000,
    );
    expect(losses.at(-1)).toBeLessThan(0.05 * losses[0]!);
  });

  it("sparsity, the student not active enough", () => {
    const losses = descend(
      "sparsity",
      randomMatrix(3, 32, 4, -0.012, 0),
      randomMatrix(4, 32, 4, -1, 1),
      1e-4,
      2000,
    );
    expect(losses.at(-1)).toBeLessThan(0.05 * losses[0]!);
  });

  it.each([
    ["variance", 0.5],
    ["peak-to-average", 0.05],
  ] as const)("%s", (metric, rate) => {
    const losses = descend(metric, randomMatrix(5, 16, 4), randomMatrix(6, 16, 4, -2, 3), rate, 400);
    expect(losses.at(-1)).toBeLessThan(0.05 * losses[0]!);
  });
});

it("the sparsity gradient points from inactive to active where the student is not active enough", () => {
  const s = Matrix.fromRows([[0.005], [-0.005]]);
  const g = gradientOf("sparsity", s, Matrix.fromRows([[1], [1]]));
  expect(g.get(0, 0)).toBeLessThan(0); // −gradient makes |a| larger
  expect(g.get(1, 0)).toBeGreaterThan(0);
});

describe("the peak-to-average gradient has the term of the peak and the term of the mean", () => {
  const s = Matrix.fromRows([[4], [1], [-1], [2]]); // P = 4, M = 2, score 2
  const t = Matrix.fromRows([[1], [1], [1], [1]]); // score 1, so the slope is 2·(2 − 1) = 2

  it("at the peak 1/M − P/(B·M²), elsewhere −P/(B·M²), by the sign of a", () => {
    expect([...gradientOf("peak-to-average", s, t).data]).toEqual([
      2 * (1 / 2 - 4 / 16),
      2 * (-4 / 16),
      2 * (4 / 16),
      2 * (-4 / 16),
    ]);
  });

  it("as finite differences have it", () => {
    const strategy = make("peak-to-average");
    const differences = finiteDifferences(
      (m) => strategy.computeIntermediateLoss(layer(m), layer(t)),
      s,
      1e-4,
    );
    expectClose(gradientOf("peak-to-average", s, t).data, differences, 1e-9);
  });

  it("samples that share the maximum share the peak's term", () => {
    const tied = Matrix.fromRows([[3], [-3], [0], [2]]); // P = 3, M = 2, score 3/2, slope 1
    const expected = [0.5 * 0.5 - 3 / 16, -(0.5 * 0.5 - 3 / 16), 0, -3 / 16];
    expectClose(gradientOf("peak-to-average", tied, t).data, expected, 1e-15);
  });
});

describe("a dead neuron", () => {
  const t = randomMatrix(7, 4, 2);

  it.each(["variance", "sparsity", "peak-to-average"] as const)(
    "has score 0 and gradient 0: %s",
    (metric) => {
      const s = Matrix.fromRows([
        [0, 1],
        [0, 2],
        [0, 3],
        [0, 4],
      ]);
      expect(selectivityScores(s, metric)[0]).toBe(0);
      const g = gradientOf(metric, s, t);
      expect([0, 1, 2, 3].map((r) => g.get(r, 0))).toEqual([0, 0, 0, 0]);
      expect(make(metric).computeIntermediateLoss(layer(s), layer(t))).toBeGreaterThan(0);
    },
  );

  it("is also one whose activations are next to nothing: the gradient stays bounded", () => {
    for (const tiny of [1e-300, 1e-40, 1e-20, DEAD_NEURON_MEAN]) {
      const s = new Matrix(
        4,
        2,
        Float64Array.from({ length: 8 }, (_, i) => (i % 2 ? i : tiny)),
      );
      expect(selectivityScores(s, "peak-to-average")[0]).toBe(0);
      const g = gradientOf("peak-to-average", s, t);
      expect([0, 1, 2, 3].map((r) => g.get(r, 0))).toEqual([0, 0, 0, 0]);
    }
  });
});

describe("the hard loss is CE(labels, student), not CE(student, labels)", () => {
  const strategy = new ResponseDistillationStrategy({ alpha: 1 });
  const s = Matrix.fromRows([[Math.log(0.6), Math.log(0.3), Math.log(0.1)]]); // softmax: 0.6, 0.3, 0.1

  it("with soft labels that are not symmetric to it", () => {
    const y = [0.2, 0.3, 0.5];
    const right = -(0.2 * Math.log(0.6) + 0.3 * Math.log(0.3) + 0.5 * Math.log(0.1));
    const reversed = -(0.6 * Math.log(0.2) + 0.3 * Math.log(0.3) + 0.1 * Math.log(0.5));
    expect(Math.abs(right - reversed)).toBeGreaterThan(0.2);
    expect(strategy.computeLoss(s, s, Matrix.fromRows([y]))).toBeCloseTo(right, 14);
    expectClose(strategy.computeGradient(s, s, Matrix.fromRows([y])).data, [0.4, 0, -0.4], 1e-14);
  });

  it("with a one-hot label it is −log of the label's probability, where the reverse would be infinite", () => {
    expect(strategy.computeLoss(s, s, Matrix.fromRows([[0, 0, 1]]))).toBeCloseTo(-Math.log(0.1), 14);
  });

  it("and the soft loss is KL(teacher ‖ student)", () => {
    const t = Matrix.fromRows([[0, 0, 0]]);
    const kl = Math.log(1 / 3) - (Math.log(0.6) + Math.log(0.3) + Math.log(0.1)) / 3;
    expect(new ResponseDistillationStrategy({ temperature: 1 }).computeLoss(s, t)).toBeCloseTo(kl, 14);
  });
});

it("a batch of one is an error for selectivity, never silently 0, and is fine for the outputs", () => {
  const one = Matrix.fromRows([[1, 2, 3]]);
  for (const metric of ["variance", "sparsity", "peak-to-average"] as const) {
    const strategy = make(metric);
    const message =
      'student activations "layer" holds 1 sample; selectivity compares samples and needs at least 2, so use a larger batch';
    const expected = expect.objectContaining({ code: "E_SHAPE", message });
    expect(() => strategy.computeIntermediateLoss(layer(one), layer(one))).toThrowError(expected);
    expect(() => strategy.computeIntermediateGradient(layer(one), layer(one))).toThrowError(expected);
    expect(() => strategy.computeSelectivityLoss([one.row(0)], [one.row(0)])).toThrow(
      "studentRows holds 1 sample",
    );
    expect(strategy.computeLoss(one, Matrix.fromRows([[3, 2, 1]]))).toBeGreaterThan(0);
  }
});

it("the selectivity gradient trains: a loop that adds it ends nearer to the teacher's selectivity", () => {
  // A student x → x·W1 → ·W2 by hand; its hidden layer is the target layer.
  const [B, D, N, C] = [24, 5, 4, 3];
  const x = randomMatrix(31, B, D);
  const teacherHidden = randomMatrix(32, B, N, -3, 3);
  const teacherLogits = randomMatrix(33, B, C);
  const train = (weight: number) => {
    const strategy = make("variance", weight);
    const w1 = randomMatrix(34, D, N);
    const w2 = randomMatrix(35, N, C);
    for (let step = 0; step < 300; step++) {
      const hidden = multiply(x, w1);
      const logits = multiply(hidden, w2);
      const dLogits = strategy.computeGradient(logits, teacherLogits);
      const extra = strategy.computeIntermediateGradient(layer(hidden), layer(teacherHidden)).get("layer")!;
      const dHidden = multiply(dLogits, transpose(w2));
      for (let i = 0; i < dHidden.data.length; i++) dHidden.data[i]! += extra.data[i]!;
      update(w2, multiply(transpose(hidden), dLogits));
      update(w1, multiply(transpose(x), dHidden));
    }
    const hidden = multiply(x, w1);
    return {
      response: strategy.computeLoss(multiply(hidden, w2), teacherLogits),
      selectivity: make("variance").computeIntermediateLoss(layer(hidden), layer(teacherHidden)),
    };
  };
  const [without, having] = [train(0), train(0.5)];
  expect(having.selectivity).toBeLessThan(0.01 * without.selectivity);
  expect(having.response).toBeLessThan(1.5 * without.response);
});

function multiply(a: Matrix, b: Matrix): Matrix {
  const out = new Float64Array(a.rows * b.columns);
  for (let i = 0; i < a.rows; i++)
    for (let j = 0; j < b.columns; j++)
      for (let k = 0; k < a.columns; k++) out[i * b.columns + j]! += a.get(i, k) * b.get(k, j);
  return new Matrix(a.rows, b.columns, out);
}

function transpose(a: Matrix): Matrix {
  const out = a.data.map((_, i) => a.get(i % a.rows, Math.floor(i / a.rows)));
  return new Matrix(a.columns, a.rows, out);
}

function update(w: Matrix, gradient: Matrix): void {
  for (let i = 0; i < w.data.length; i++) w.data[i]! -= 0.05 * gradient.data[i]!;
}
