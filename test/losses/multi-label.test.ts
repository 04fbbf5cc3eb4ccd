// The emitted multi-label loss against central differences and against the strategy on arrays.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { multiLabel } from "../../src/losses/multi-label.ts";
import { MultiLabelDistillationStrategy } from "../../src/strategies/index.ts";
import { checkSample, expectClose, type InputSpec, type Sample } from "../gradient-checker.ts";
import { draw, emitted, stateless } from "./emitted.ts";

const [rows, labelCount] = [5, 4];
const logits: InputSpec = { dims: [rows, labelCount], kinks: [0] };
const labels = draw(11, [rows, labelCount], 0, 1);
const given: InputSpec = {
  dims: labels.dims,
  values: Array.from(labels.data as Float64Array),
  constant: true,
};
const weights: InputSpec = { dims: [rows], values: [1, 0, 1, 1, 0], constant: true };

describe("against central differences", () => {
  const sample = (temperature: number, alpha: number, withLabels: boolean, weighted: boolean): Sample => ({
    name: `T ${temperature}, alpha ${alpha}, ${withLabels ? "labels" : "no labels"}${weighted ? ", weights" : ""}`,
    inputs: [logits, { ...logits, low: -6, high: 6, constant: true }, given, weights],
    build: (b, studentLogits, teacherLogits, y, w) =>
      multiLabel(
        {
          b,
          state: stateless,
          studentLogits: studentLogits!,
          teacherLogits,
          labels: withLabels ? y : undefined,
          rowWeights: weighted ? w : undefined,
          taps: [],
        },
        temperature,
        alpha,
      )
        .map((t) => t.value)
        .reduce((a, c) => b.add(a, c)),
  });
  const samples = [1, 4].flatMap((t) => [
    ...[0, 0.3, 1].map((alpha) => sample(t, alpha, true, false)),
    sample(t, 0.3, false, false),
    sample(t, 0.3, true, true),
  ]);
  it.each(samples.map((s) => [s.name, s] as const))("%s", async (_, s) => {
    await checkSample(s, 1);
    await checkSample(s, 2, "webgpu");
  });
});

describe("against the strategy on arrays", () => {
  const cases = [1, 4].flatMap((temperature) =>
    [0, 0.3, 1].flatMap((alpha) =>
      [true, false].flatMap((labelled) => [2, 80].map((size) => ({ temperature, alpha, labelled, size }))),
    ),
  );
  it.each(cases)("T $temperature, alpha $alpha, labels $labelled, logits of ±$size", async (c) => {
    const strategy = new MultiLabelDistillationStrategy({ temperature: c.temperature, alpha: c.alpha });
    const student = draw(1, [rows, labelCount], -c.size, c.size);
    const teacher = draw(2, [rows, labelCount], -c.size, c.size);
    const y = c.labelled ? labels : undefined;
    const wanted = strategy.computeLoss(student, teacher, y);
    const gradient = strategy.computeGradient(student, teacher, y);
    for (const [dtype, target, tolerance] of [
      ["float64", "cpu", 1e-12],
      ["float32", "cpu", 1e-5],
      ["float32", "webgpu", 1e-5],
    ] as const) {
      const found = await emitted(strategy, { student, teacher, labels: y }, dtype, target);
      const loss = found.values.reduce((a, v) => a + v, 0);
      expectClose([loss], [wanted], tolerance, `${dtype} ${target}: loss`);
      expectClose(found.gradient!, gradient.data, tolerance, `${dtype} ${target}: gradient`);
    }
  });

  it("logits of ±1e4 give finite numbers in float32", async () => {
    const strategy = new MultiLabelDistillationStrategy({ temperature: 1, alpha: 0.5 });
    const student = tensor("float64", [1e4, -1e4, 1e4], [1, 3]);
    const teacher = tensor("float64", [-1e4, 1e4, 1e4], [1, 3]);
    const y = tensor("float64", [0, 1, 1], [1, 3]);
    const { values, gradient, terms } = await emitted(strategy, { student, teacher, labels: y }, "float32");
    expect(terms).toEqual(["hard", "soft"]);
    for (const v of values) expect(v / ((0.5 * 2e4) / 3)).toBeCloseTo(1, 6);
    expectClose(gradient!, strategy.computeGradient(student, teacher, y).data, 1e-6, "gradient");
  });
});
