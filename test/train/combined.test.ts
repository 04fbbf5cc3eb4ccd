// Training with sums of strategies: what is logged, weights that move, parts on arrays, resuming.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Tensor } from "../../src/base/tensor.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import {
  type AnyStrategy,
  CombinedDistillationStrategy,
  DistillationStrategyBase,
  IntermediateActivations,
  Matrix,
  type MatrixLike,
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import type { DistillEvent } from "../../src/train/events.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "distill-combined-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const taps = ["early", "late"].map((name, i) => ({
  name,
  teacher: i === 0 ? "/Relu_output_0" : "/Clip_output_0",
}));
const base = {
  student: cnn,
  teacher: cnn,
  data: bars(128, 1),
  batch: 32,
  epochs: 3,
  learningRate: 0.05,
  taps,
} satisfies DistillOptions;

const kd = () => new ResponseDistillationStrategy({ temperature: 2, alpha: 0.3 });
const selectivity = (targetLayerName: string) =>
  new NeuronSelectivityDistillationStrategy({ targetLayerName, selectivityWeight: 2 });

const lossesOf = (events: readonly DistillEvent[]) => only(events, "step").map((e) => e.losses);
const train = (strategy: AnyStrategy, more: Partial<DistillOptions> = {}) =>
  collect({ ...base, strategy, ...more });
const weightsOf = (events: readonly DistillEvent[]): Map<string, Tensor> =>
  new Map([...readModel(only(events, "done")[0]!.student).graph.constants].map(([v, t]) => [v.name, t]));

function expectSameWeights(a: readonly DistillEvent[], b: readonly DistillEvent[], tolerance: number): void {
  const other = weightsOf(b);
  for (const [name, t] of weightsOf(a)) {
    if (t.dtype !== "float32") continue;
    const values = other.get(name)!.data as Float32Array;
    (t.data as Float32Array).forEach((v, i) => {
      expect(Math.abs(v - values[i]!), `${name}[${i}]`).toBeLessThanOrEqual(tolerance * (1 + Math.abs(v)));
    });
  }
}

describe("a sum in the training step", () => {
  it("logs every term under a name of its own, and they add up to the loss", async () => {
    const strategy = new CombinedDistillationStrategy([
      { strategy: kd() },
      { strategy: selectivity("early"), part: "intermediate" },
      { strategy: selectivity("late"), part: "intermediate", weight: 0.5, name: "second" },
      { strategy: new ResponseDistillationStrategy({ temperature: 5, alpha: 0 }) },
    ]);
    for (const losses of lossesOf(await train(strategy, { epochs: 1 }))) {
      expect(Object.keys(losses)).toEqual([
        "loss",
        "loss/hard",
        "loss/soft",
        "loss/selectivity/early",
        "loss/second/selectivity/late",
        "loss/soft-2",
      ]);
      const { loss, ...terms } = losses;
      expect(Object.values(terms).reduce((a, c) => a + c)).toBeCloseTo(loss!, 4);
    }
  });

  it("of one strategy trains as the strategy itself, to the bit", async () => {
    const [alone, sum] = [
      await train(selectivity("late")),
      await train(new CombinedDistillationStrategy([{ strategy: selectivity("late") }])),
    ];
    expect(only(sum, "done")[0]!.student).toEqual(only(alone, "done")[0]!.student);
  });

  it("weighs as its weights say", async () => {
    const strategy = new CombinedDistillationStrategy([
      { strategy: kd(), weight: 3 },
      { strategy: selectivity("late"), part: "intermediate", weight: 0.25 },
    ]);
    const [weighted] = lossesOf(await train(strategy, { epochs: 1 }));
    const [plain] = lossesOf(await train(selectivity("late"), { epochs: 1 }));
    const [two] = lossesOf(await train(kd(), { epochs: 1 }));
    expect(weighted!["loss/soft"]! / two!["loss/soft"]!).toBeCloseTo(3, 5);
    expect(weighted!["loss/selectivity/late"]! / plain!["loss/selectivity/late"]!).toBeCloseTo(0.25, 5);
  });

  it("follows a schedule without compiling again", async () => {
    const scheduled = (schedule: object) => new CombinedDistillationStrategy([{ strategy: kd(), schedule }]);
    // The learning rate is 0, so each step's loss differs by the weight alone.
    const still = { learningRate: 0, batchNorm: "frozen", data: bars(32, 1) } as const;
    const [always, moving] = [
      lossesOf(await train(kd(), still)),
      lossesOf(await train(scheduled({ warmup: 2, end: 2 }), still)),
    ];
    const share = moving.map((l, i) => l["loss/hard"]! / always[i]!["loss/hard"]!);
    [0.5, 1, 0].forEach((wanted, i) => {
      expect(share[i]).toBeCloseTo(wanted, 5);
    });
    expect(moving[2]!.loss).toBe(0);
  });
});

describe("a strategy on arrays in a sum", () => {
  /** Nothing overridden but the class, so that they have no emission. */
  class OnArrays extends NeuronSelectivityDistillationStrategy {}
  class KdOnArrays extends ResponseDistillationStrategy {}
  const sum = (onArrays: boolean) =>
    new CombinedDistillationStrategy([
      { strategy: kd(), weight: 2 },
      {
        strategy: new (onArrays ? OnArrays : NeuronSelectivityDistillationStrategy)({
          targetLayerName: "early",
          selectivityWeight: 2,
        }),
        part: "intermediate",
        weight: 3,
        schedule: { warmup: 2 },
      },
      { strategy: new (onArrays ? KdOnArrays : ResponseDistillationStrategy)({ alpha: 0.1 }), name: "mine" },
    ]);

  it("trains as its emitted twin; its part alone goes the slower way", async () => {
    const options = { epochs: 2, learningRate: 0.01 };
    const [emitted, mixed] = [await train(sum(false), options), await train(sum(true), options)];
    const [a, b] = [lossesOf(emitted), lossesOf(mixed)];
    expect(Object.keys(b[0]!)).toEqual([
      "loss",
      "loss/hard",
      "loss/soft",
      "loss/intermediate",
      "loss/mine/output",
    ]);
    a.forEach((losses, i) => {
      expect(b[i]!.loss! / losses.loss!, `step ${i}`).toBeCloseTo(1, 4);
      expect(b[i]!["loss/intermediate"]! / losses["loss/selectivity/early"]!).toBeCloseTo(1, 3);
    });
    expectSameWeights(emitted, mixed, 1e-4);
  });

  it("may have a loss on layers alone, without one on outputs", async () => {
    const onLayers = {
      computeIntermediateLoss(s: IntermediateActivations, t: IntermediateActivations): number {
        const [a, b] = [s.get("late")!, t.get("late")!];
        let sum = 0;
        a.data.forEach((v, i) => {
          sum += (v - b.data[i]!) ** 2;
        });
        return sum / a.data.length;
      },
      computeIntermediateGradient(s: IntermediateActivations, t: IntermediateActivations) {
        const [a, b] = [s.get("late")!, t.get("late")!];
        const data = Float64Array.from(a.data, (v, i) => (2 * (v - b.data[i]!)) / a.data.length);
        return new IntermediateActivations().add("late", new Matrix(a.rows, a.columns, data));
      },
    };
    const steps = lossesOf(
      await train(new CombinedDistillationStrategy([{ strategy: kd() }, { strategy: onLayers }])),
    );
    expect(Object.keys(steps[0]!)).toEqual(["loss", "loss/hard", "loss/soft", "loss/intermediate"]);
    const alone = lossesOf(await train(onLayers, { epochs: 6 }));
    expect(Object.keys(alone[0]!)).toEqual(["loss", "loss/intermediate"]);
    expect(alone.at(-1)!.loss).toBeLessThan(0.7 * alone[0]!.loss!);
  });
});

describe("what is refused", () => {
  it("a layer that is no tap, before training", async () => {
    const strategy = new CombinedDistillationStrategy([
      { strategy: selectivity("eraly"), part: "intermediate" },
    ]);
    await expect(train(strategy)).rejects.toThrow(
      'NeuronSelectivityDistillationStrategy: its layer "eraly" is no tap. Did you mean "early"? Taps: early, late.',
    );
  });

  class Wrong extends DistillationStrategyBase {
    override computeLoss(): number {
      return 1;
    }
    override computeGradient(studentLogits: MatrixLike): Matrix {
      const { student } = this.checkLogits(studentLogits, studentLogits);
      return new Matrix(
        student.rows,
        student.columns,
        student.data.map(() => Number.NaN),
      );
    }
  }
  it("a gradient that is not finite, or for a layer that is no tap, or of another shape", async () => {
    await expect(train(new Wrong())).rejects.toThrow(
      "Wrong.computeGradient is NaN at row 0, column 0; a step with it would spoil the weights",
    );
    const onLayer = (name: string, m: Matrix) => ({
      computeIntermediateLoss: () => 1,
      computeIntermediateGradient: () => new IntermediateActivations().add(name, m),
    });
    const one = new Matrix(1, 1, new Float32Array(1));
    await expect(train(onLayer("lade", one))).rejects.toThrow(
      'Object: a gradient for the layer "lade", which is no tap. Did you mean "late"? Taps: early, late.',
    );
    await expect(train(onLayer("late", one))).rejects.toThrow(
      /^Object\.computeIntermediateGradient\("late"\) is \[1,1\] for a value of shape \[32,[\d,]+\]; return a matrix like the student's$/,
    );
  });
});

describe("the run folder", () => {
  const strategy = (weight = 2) =>
    new CombinedDistillationStrategy([
      { strategy: kd(), schedule: { warmup: 1, decay: "cosine" } },
      { strategy: selectivity("late"), part: "intermediate", weight, schedule: { start: 1 } },
    ]);

  it("resumes to the bits of an uninterrupted run, and refuses other weights", async () => {
    const whole = await train(strategy(), { out: join(folder, "whole") });
    const stop = new AbortController();
    const out = join(folder, "parts");
    const { distill } = await import("../../src/train/distill.ts");
    for await (const e of distill({ ...base, strategy: strategy(), out, signal: stop.signal }))
      if (e.type === "step" && e.step === 6) stop.abort();
    await expect(train(strategy(3), { out, resume: true })).rejects.toThrow(
      `${out} was begun with strategy {`,
    );
    const rest = await train(strategy(), { out, resume: true });
    expect(only(rest, "start")[0]!.resumedAt).toBe(6);
    expect(only(rest, "done")[0]!.student).toEqual(only(whole, "done")[0]!.student);
    const log = (name: string) => readFileSync(join(folder, name, "metrics.jsonl"), "utf8");
    expect(log("parts")).toEqual(log("whole"));
  });

  it("records the strategies of a sum, with weights and schedules", () => {
    const { config } = JSON.parse(readFileSync(join(folder, "whole", "run.json"), "utf8"));
    expect(config.strategy).toMatchObject({
      name: "CombinedDistillationStrategy",
      strategies: [
        {
          part: "all",
          weight: 1,
          schedule: [{ warmup: 1, decay: "cosine" }],
          strategy: { name: "ResponseDistillationStrategy", temperature: 2, alpha: 0.3 },
        },
        {
          part: "intermediate",
          weight: 2,
          schedule: [{ start: 1 }],
          strategy: {
            name: "NeuronSelectivityDistillationStrategy",
            temperature: 3,
            alpha: 0.3,
            targetLayerName: "late",
            selectivityWeight: 2,
            metric: "variance",
          },
        },
      ],
    });
  });
});
