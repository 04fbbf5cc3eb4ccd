import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import * as api from "../../src/index.ts";
import {
  CombinedDistillationStrategy,
  defineGraphStrategy,
  evaluateStrategy,
  type GraphLossInputs,
  type GraphValue,
  ResponseDistillationStrategy,
} from "../../src/index.ts";
import { runExample, tsBlocks } from "../examples.ts";
import { expectClose } from "../gradient-checker.ts";
import { distributions, draw, emitted } from "./emitted.ts";

const [batch, classes] = [5, 4];
const [student, teacher] = [draw(1, [batch, classes]), draw(2, [batch, classes])];
const labels = distributions(3, batch, classes);

/** T²·KL as a user would write it. */
const kl = (T: number) =>
  defineGraphStrategy({
    name: "kl",
    loss: ({ b, studentLogits, teacherLogits, rowMean }) => {
      const logP = b.logSoftmax(b.scale(teacherLogits, 1 / T));
      const logQ = b.logSoftmax(b.scale(studentLogits, 1 / T));
      return { kl: b.scale(rowMean(b.reduceSum(b.mul(b.exp(logP), b.sub(logP, logQ)), [1])), T * T) };
    },
  });

describe("a loss written with graph values", () => {
  it("has the value and the gradient of the same loss on arrays", async () => {
    const wanted = new ResponseDistillationStrategy({ temperature: 2 });
    for (const target of ["cpu", "webgpu"] as const) {
      const { terms, values, gradient } = await emitted(kl(2), { student, teacher }, "float64", target);
      expect(terms).toEqual(["kl"]);
      expectClose(values, [wanted.computeLoss(student, teacher)], 1e-12, "loss");
      expectClose(gradient!, wanted.computeGradient(student, teacher).data, 1e-12, "gradient");
    }
  });

  it("has a sigmoid that is right where the runtime's own is 0, and its slope on both sides", async () => {
    const z = [-80, -40, -18, -17, -1, 0, 1, 9, 40, -Infinity, Infinity];
    const x = tensor("float64", z, [z.length, 1]);
    const strategy = defineGraphStrategy({
      name: "sigmoid",
      loss: ({ b, studentLogits }) => ({ sum: b.reduceSum(b.sigmoid(studentLogits)) }),
    });
    const σ = (v: number) => 1 / (1 + Math.exp(-v));
    const slopes = z.map((v) => σ(v) * σ(-v));
    for (const target of ["cpu", "webgpu"] as const) {
      const { gradient } = await emitted(strategy, { student: x, teacher: x }, "float32", target);
      for (const [i, g] of Array.from(gradient!).entries())
        expect(Math.abs(g - slopes[i]!), `slope at ${z[i]}`).toBeLessThanOrEqual(2e-6 * slopes[i]! + 1e-42);
    }
    for (const v of [-80, -40, -18, -17, -5]) {
      const one = tensor("float64", [v], [1, 1]);
      const { values } = await emitted(strategy, { student: one, teacher: one }, "float32");
      expect(values[0]! / σ(v)).toBeCloseTo(1, 5);
    }
  });

  it("sees labels only if it asks for them, and taps by name", async () => {
    const seen: unknown[] = [];
    const look = (usesLabels: boolean) =>
      defineGraphStrategy({
        name: "look",
        usesLabels,
        loss: ({ b, studentLogits, labels: y, taps, tap }) => {
          seen.push([y !== undefined, taps.map((t) => t.name), b.dims(tap("layer").student)]);
          return { one: b.reduceMean(studentLogits) };
        },
      });
    const maps = { studentTap: draw(5, [2, 3, 2, 2]), teacherTap: draw(6, [2, 3, 2, 2]) };
    await emitted(look(false), { student, teacher, labels, ...maps }, "float64");
    await emitted(look(true), { student, teacher, labels, ...maps }, "float64");
    expect(seen).toEqual([
      [false, ["layer"], [2, 3, 2, 2]],
      [true, ["layer"], [2, 3, 2, 2]],
    ]);
  });

  it("is weighed and renamed in a sum like any other", async () => {
    const sum = new CombinedDistillationStrategy([
      { strategy: kl(2), weight: 3 },
      { strategy: kl(1), name: "second" },
      { strategy: kl(1) },
    ]);
    const { terms, values } = await emitted(sum, { student, teacher }, "float64");
    expect(terms).toEqual(["kl", "second/kl", "kl-2"]);
    const at = (T: number) =>
      new ResponseDistillationStrategy({ temperature: T }).computeLoss(student, teacher);
    expectClose(values, [3 * at(2), at(1), at(1)], 1e-12, "terms");
  });

  it.each<[string, (i: GraphLossInputs) => unknown, string]>([
    [
      "a term that is no scalar",
      ({ b, studentLogits }) => ({ kl: b.reduceSum(studentLogits, [1]) }),
      'the loss "mine": term "kl" is [5], expected a scalar; reduce it with b.reduceMean, or rowMean for a value per row',
    ],
    ["no term", () => ({}), 'the loss "mine" returned no terms; return named scalars: { name: value }'],
    [
      "a number for a graph value",
      () => ({ kl: 3 as unknown as GraphValue }),
      'the loss "mine": term "kl" is no graph value; make it with b',
    ],
    [
      "a tap that there is not",
      ({ tap }) => ({ kl: tap("laier").student }),
      'the loss "mine": there is no tap "laier". Did you mean "layer"? Taps: layer.',
    ],
  ])("refuses %s", async (_, loss, message) => {
    const strategy = defineGraphStrategy({ name: "mine", loss: loss as never });
    const maps = { studentTap: draw(5, [2, 3]), teacherTap: draw(6, [2, 3]) };
    await expect(emitted(strategy, { student, teacher, ...maps }, "float64")).rejects.toThrow(message);
  });

  it.each<[object, string]>([
    [{ loss: () => ({}) }, "defineGraphStrategy: name must not be blank; say what the loss is"],
    [
      { name: "a" },
      'defineGraphStrategy "a": loss must be a function from graph values to named scalars, got undefined',
    ],
    [
      { name: "a", loss: () => ({}), labels: true },
      'defineGraphStrategy: unknown option "labels". Did you mean "usesLabels"?',
    ],
  ])("refuses the options %j", (options, message) => {
    expect(() => defineGraphStrategy(options as never)).toThrow(message);
  });
});

describe("evaluateStrategy", () => {
  const f32 = (t: Tensor) => tensor("float32", Array.from(t.data as ArrayLike<number>), [...t.dims]);
  const inputs = { studentLogits: f32(student), teacherLogits: f32(teacher), labels: f32(labels) };
  const taps = { layer: { student: f32(draw(5, [3, 4])), teacher: f32(draw(6, [3, 4])) } };

  it("gives terms that add up to the loss, and gradients, of emitted and of array strategies alike", async () => {
    class Mine extends api.NeuronSelectivityDistillationStrategy {}
    const options = { targetLayerName: "layer", selectivityWeight: 2, temperature: 2 };
    const whole = await evaluateStrategy(new api.NeuronSelectivityDistillationStrategy(options), {
      ...inputs,
      taps,
    });
    expect(Object.keys(whole.terms)).toEqual(["hard", "soft", "selectivity/layer"]);
    expect(Object.values(whole.terms).reduce((a, v) => a + v)).toBeCloseTo(whole.loss, 5);
    const arrays = await evaluateStrategy(new Mine(options), { ...inputs, taps });
    expect(Object.keys(arrays.terms)).toEqual(["output", "intermediate"]);
    expect(arrays.loss).toBeCloseTo(whole.loss, 5);
    expectClose(
      arrays.gradient.data as Float32Array,
      whole.gradient.data as Float32Array,
      1e-5,
      "by the logits",
    );
    expectClose(
      arrays.tapGradients.layer!.data as Float32Array,
      whole.tapGradients.layer!.data as Float32Array,
      1e-5,
      "by the tap",
    );
    expect(arrays.gradient.dims).toEqual([batch, classes]);
    expect(arrays.tapGradients.layer!.dims).toEqual([3, 4]);
  });

  it("weighs terms as they are at that point of the run; a loss that does not look at a tap has no gradient there", async () => {
    const strategy = new CombinedDistillationStrategy([
      { strategy: kl(1), schedule: { warmup: 4, unit: "steps" } },
    ]);
    const at = async (step: number) =>
      evaluateStrategy(strategy, { ...inputs, taps }, { progress: { step, steps: 10, stepsPerEpoch: 5 } });
    const [first, last] = [await at(0), await at(9)];
    expect(first.loss).toBeCloseTo(last.loss / 4, 6);
    expect([...(first.tapGradients.layer!.data as Float32Array)]).toEqual(new Array(12).fill(0));
  });

  it("refuses another element type", async () => {
    await expect(evaluateStrategy(kl(1), { ...inputs, teacherLogits: teacher })).rejects.toThrow(
      "evaluateStrategy: teacherLogits is float64, expected float32; convert it first",
    );
  });

  it("refuses a loss without a term", async () => {
    const nothing = new CombinedDistillationStrategy([{ strategy: kl(1), weight: 0 }]);
    await expect(evaluateStrategy(nothing, inputs)).rejects.toThrow(
      "evaluateStrategy: the loss has no term; is a weight 0, or a tap missing?",
    );
  });
});

describe("examples in docstrings", () => {
  it.each(["src/losses/graph-strategy.ts", "src/train/evaluate-strategy.ts"])("%s", async (file) => {
    const blocks = tsBlocks(readFileSync(file, "utf8"), " * ");
    expect(blocks).toHaveLength(1);
    for (const code of blocks) expect(await runExample(code, api)).toBeGreaterThan(0);
  });
});
