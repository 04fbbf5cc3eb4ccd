import { describe, expect, it } from "vitest";
import {
  CombinedDistillationStrategy,
  DistillationStrategyBase,
  IntermediateActivations,
  Matrix,
  type MatrixLike,
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
  type WeightedStrategy,
} from "../../src/strategies/index.ts";
import { expectClose, finiteDifferences, float32, randomMatrix } from "./helpers.ts";

const [s, t] = [randomMatrix(1, 4, 5, -3, 3), randomMatrix(2, 4, 5, -3, 3)];
const y = Matrix.fromRows([
  [1, 0, 0, 0, 0],
  [0, 0, 0, 1, 0],
  [0, 0.5, 0.5, 0, 0],
  [0, 0, 0, 0, 1],
]);
const layers = (seed: number) =>
  new IntermediateActivations()
    .add("early", randomMatrix(seed, 6, 3))
    .add("late", randomMatrix(seed + 1, 4, 2));
const [a, b] = [layers(10), layers(20)];

const soft = new ResponseDistillationStrategy({ temperature: 2, alpha: 0.2 });
const other = new ResponseDistillationStrategy({ temperature: 5, alpha: 0.7 });
const early = new NeuronSelectivityDistillationStrategy({ targetLayerName: "early", temperature: 4 });
const late = new NeuronSelectivityDistillationStrategy({
  targetLayerName: "late",
  metric: "peak-to-average",
});

describe("a sum of strategies", () => {
  const sum = new CombinedDistillationStrategy([
    { strategy: soft, weight: 0.5 },
    { strategy: other, weight: 2 },
    { strategy: early, weight: 3 },
    { strategy: late, part: "intermediate", weight: 0.25 },
    { strategy: early, part: "intermediate" },
  ]);

  it("adds the weighted losses on outputs", () => {
    for (const labels of [undefined, y]) {
      const wanted =
        0.5 * soft.computeLoss(s, t, labels) +
        2 * other.computeLoss(s, t, labels) +
        3 * early.computeLoss(s, t, labels);
      expect(sum.computeLoss(s, t, labels)).toBeCloseTo(wanted, 12);
    }
  });

  it("adds the weighted losses on layers, several on one layer too", () => {
    const wanted = 4 * early.computeIntermediateLoss(a, b) + 0.25 * late.computeIntermediateLoss(a, b);
    expect(sum.computeIntermediateLoss(a, b)).toBeCloseTo(wanted, 12);
  });

  it("has the derivative of its loss for a gradient", () => {
    for (const labels of [undefined, y])
      expectClose(
        sum.computeGradient(s, t, labels).data,
        finiteDifferences((m) => sum.computeLoss(m, t, labels), s),
        1e-9,
      );
    const gradients = sum.computeIntermediateGradient(a, b);
    expect(gradients.names().sort()).toEqual(["early", "late"]);
    for (const name of ["early", "late"]) {
      const rest = a.names().filter((n) => n !== name);
      const at = (m: Matrix) => {
        const changed = new IntermediateActivations().add(name, m);
        for (const n of rest) changed.add(n, a.get(n)!);
        return sum.computeIntermediateLoss(changed, b);
      };
      expectClose(gradients.get(name)!.data, finiteDifferences(at, a.get(name)!, 1e-4), 1e-7);
    }
  });

  it("sums float32 gradients in float64 and gives the student's type", () => {
    const gradient = sum.computeGradient(float32(s), t);
    expect(gradient.data).toBeInstanceOf(Float32Array);
    expectClose(gradient.data, sum.computeGradient(s, t).data, 1e-5);
  });

  it("is 0 with zero gradient on the side where it has no strategy", () => {
    const onLayers = new CombinedDistillationStrategy([{ strategy: early, part: "intermediate" }]);
    expect(onLayers.computeLoss(s, t)).toBe(0);
    expect([...onLayers.computeGradient(s, t).data]).toEqual(new Array(20).fill(0));
    const onOutputs = new CombinedDistillationStrategy([{ strategy: early, part: "output" }]);
    expect(onOutputs.computeIntermediateLoss(a, b)).toBe(0);
    expect(onOutputs.computeIntermediateGradient(a, b).size).toBe(0);
  });
});

describe("sums of sums", () => {
  const inner = new CombinedDistillationStrategy([
    { strategy: soft, weight: 2, name: "kd" },
    { strategy: early, weight: 3, schedule: { warmup: 2, unit: "steps" } },
  ]);

  it("multiply weights and schedules, join names, and keep to the part", () => {
    const outer = new CombinedDistillationStrategy([
      { strategy: inner, weight: 5, name: "all", schedule: { warmup: 4, unit: "steps" } },
      { strategy: inner, part: "intermediate" },
    ]);
    expect(outer.parts.map((p) => [p.strategy, p.part, p.name, p.weight])).toEqual([
      [soft, "all", "all/kd", 10],
      [early, "all", "all", 15],
      [early, "intermediate", undefined, 3],
    ]);
    const at = (step: number) => outer.parts.map((p) => p.factor?.({ step, steps: 9, stepsPerEpoch: 3 }));
    expect(at(0)).toEqual([1 / 4, 1 / 8, 1 / 2]);
    expect(at(5)).toEqual([1, 1, 1]);
  });

  it("compute what their parts add up to", () => {
    const outer = new CombinedDistillationStrategy([{ strategy: inner, weight: 5 }]);
    for (const strategy of [inner, outer]) strategy.setProgress({ step: 8, steps: 9, stepsPerEpoch: 3 });
    expect(outer.computeLoss(s, t, y)).toBeCloseTo(5 * inner.computeLoss(s, t, y), 12);
  });
});

describe("weights over a run", () => {
  it("follow setProgress, and stand at the first step until it is called", () => {
    const sum = new CombinedDistillationStrategy([
      { strategy: soft, schedule: { warmup: 4, unit: "steps" } },
      { strategy: early, part: "intermediate", schedule: { start: 1, decay: "linear" } },
    ]);
    const whole = soft.computeLoss(s, t);
    expect(sum.computeLoss(s, t)).toBeCloseTo(whole / 4, 12);
    expect(sum.computeIntermediateLoss(a, b)).toBe(0);
    sum.setProgress({ step: 2, steps: 12, stepsPerEpoch: 4 });
    expect(sum.computeLoss(s, t)).toBeCloseTo((3 * whole) / 4, 12);
    sum.setProgress({ step: 8, steps: 12, stepsPerEpoch: 4 });
    expect(sum.computeLoss(s, t)).toBeCloseTo(whole, 12);
    expect(sum.computeIntermediateLoss(a, b)).toBeCloseTo(0.5 * early.computeIntermediateLoss(a, b), 12);
    expectClose(
      sum.computeIntermediateGradient(a, b).get("early")!.data,
      early
        .computeIntermediateGradient(a, b)
        .get("early")!
        .data.map((g) => g / 2),
      1e-12,
    );
  });

  it("are told to the strategies in the sum", () => {
    const told: number[] = [];
    class Counting extends DistillationStrategyBase {
      setProgress({ step }: { step: number }) {
        told.push(step);
      }
      computeLoss() {
        return 0;
      }
      computeGradient(m: MatrixLike) {
        return m as Matrix;
      }
    }
    const sum = new CombinedDistillationStrategy([{ strategy: new Counting() }]);
    sum.setProgress({ step: 7, steps: 10, stepsPerEpoch: 5 });
    expect(told).toEqual([7]);
  });
});

describe("temperature, alpha and labels", () => {
  it("are those of the strategies on outputs", () => {
    const [one, two] = [new ResponseDistillationStrategy(), new ResponseDistillationStrategy({ alpha: 0 })];
    const sum = new CombinedDistillationStrategy([{ strategy: one }, { strategy: two }]);
    expect([sum.temperature, sum.alpha, sum.usesLabels]).toEqual([3, 0.3, true]);
    sum.temperature = 7;
    sum.alpha = 0;
    expect([one.temperature, two.temperature, one.alpha, two.alpha]).toEqual([7, 7, 0, 0]);
    expect(sum.usesLabels).toBe(false);
    expect(() => {
      sum.alpha = 2;
    }).toThrow("alpha must lie in [0, 1], got 2");
  });

  it("labels are wanted by a metric that tells classes apart too, whatever alpha is", () => {
    const of = (metric: "variance" | "class-selectivity", part: "intermediate" | "output") =>
      new CombinedDistillationStrategy([
        { strategy: new NeuronSelectivityDistillationStrategy({ metric, alpha: 0 }), part },
      ]).usesLabels;
    expect(of("variance", "intermediate")).toBe(false);
    expect(of("class-selectivity", "intermediate")).toBe(true);
    expect(of("class-selectivity", "output")).toBe(false);
  });

  it("are 1, 0 and none where it has none", () => {
    const sum = new CombinedDistillationStrategy([{ strategy: early, part: "intermediate" }]);
    expect([sum.temperature, sum.alpha, sum.usesLabels]).toEqual([1, 0, false]);
  });
});

describe("what it refuses", () => {
  const graphOnly = { graphOnly: true, name: "focal", usesLabels: false } as const;
  it.each<[unknown, string]>([
    [[], "CombinedDistillationStrategy: at least one strategy is needed: [{ strategy, weight }, …]"],
    [
      [{ strategy: soft, wieght: 2 }],
      'CombinedDistillationStrategy: strategy 0: unknown option "wieght". Did you mean "weight"?',
    ],
    [
      [{ strategy: soft }, { strategy: early, weight: -1 }],
      "CombinedDistillationStrategy: strategy 1: weight must be finite and 0 or more, got -1; 0 switches the term off",
    ],
    [
      [{ strategy: soft, part: "outputs" }],
      'CombinedDistillationStrategy: strategy 0: part is one of "all", "output", "intermediate", got "outputs". Did you mean "output"?',
    ],
    [
      [{ strategy: soft, part: "intermediate" }],
      "CombinedDistillationStrategy: strategy 0: ResponseDistillationStrategy has no loss on layers of its own; leave `part` out",
    ],
    [
      [{ strategy: graphOnly, part: "output" }],
      'CombinedDistillationStrategy: strategy 0: "focal" has no loss on outputs of its own; leave `part` out',
    ],
    [
      [{ strategy: {} }],
      "CombinedDistillationStrategy: strategy 0: not a strategy; give an object with computeLoss and computeGradient, or their intermediate pair",
    ],
    [
      [{ strategy: soft, name: " " }],
      'CombinedDistillationStrategy: strategy 0: name must not be blank, got " "; leave it out for the strategy\'s own names',
    ],
    [
      [{ strategy: soft, schedule: { final: -1 } }],
      "CombinedDistillationStrategy: strategy 0: schedule: final must lie in [0, 1], got -1; it is the share of the weight that is left",
    ],
  ])("%j", (strategies, message) => {
    expect(() => new CombinedDistillationStrategy(strategies as WeightedStrategy[])).toThrow(message);
  });

  it("a value on arrays of a strategy that exists in the graph only", () => {
    const sum = new CombinedDistillationStrategy([{ strategy: soft }, { strategy: graphOnly }]);
    expect(() => sum.computeLoss(s, t)).toThrow(
      'CombinedDistillationStrategy: "focal" exists in the training step only, so the sum has no value on arrays; use evaluateStrategy()',
    );
  });
});
