// The emitted loss on logits against central differences and against the strategy on arrays.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { knowledgeDistillation } from "../../src/losses/knowledge-distillation.ts";
import { ResponseDistillationStrategy } from "../../src/strategies/index.ts";
import { checkSample, expectClose, type InputSpec, type Sample } from "../gradient-checker.ts";
import { distributions, draw, emitted, stateless } from "./emitted.ts";

const [batch, classes] = [5, 4];
const alphas = [0, 0.3, 1];
const temperatures = [1, 4];
const logits: InputSpec = { dims: [batch, classes] };
const given = (t: Tensor): InputSpec => ({
  dims: t.dims,
  values: Array.from(t.data as Float64Array),
  constant: true,
});
const labels = distributions(11, batch, classes);

/** The sum of the terms, with or without teacher and labels. */
function sample(temperature: number, alpha: number, teacher: boolean, labelled: boolean): Sample {
  return {
    name: `T ${temperature}, alpha ${alpha}, ${teacher ? "teacher" : "no teacher"}, ${labelled ? "labels" : "no labels"}`,
    inputs: [logits, { ...logits, low: -6, high: 6, constant: true }, given(labels)],
    build: (b, studentLogits, teacherLogits, y) =>
      knowledgeDistillation(
        {
          b,
          state: stateless,
          studentLogits: studentLogits!,
          teacherLogits: teacher ? teacherLogits : undefined,
          labels: labelled ? y : undefined,
          taps: [],
        },
        alpha,
        { temperature },
      )
        .map((t) => t.value)
        .reduce((a, c) => b.add(a, c)),
  };
}

describe("against central differences", () => {
  const samples = temperatures.flatMap((t) => [
    ...alphas.map((alpha) => sample(t, alpha, true, true)),
    sample(t, 0.3, true, false),
    sample(t, 0.3, false, true),
  ]);
  it.each(samples.map((s) => [s.name, s] as const))("%s", async (_, s) => {
    await checkSample(s, 1);
    await checkSample(s, 2, "webgpu");
  });
});

describe("against the strategy on arrays", () => {
  const cases = temperatures.flatMap((temperature) =>
    alphas.flatMap((alpha) =>
      [true, false].flatMap((labelled) => [2, 80].map((size) => ({ temperature, alpha, labelled, size }))),
    ),
  );
  it.each(cases)("T $temperature, alpha $alpha, labels $labelled, logits of ±$size", async (c) => {
    const strategy = new ResponseDistillationStrategy({ temperature: c.temperature, alpha: c.alpha });
    const student = draw(1, [batch, classes], -c.size, c.size);
    const teacher = draw(2, [batch, classes], -c.size, c.size);
    const y = c.labelled ? labels : undefined;
    const wanted = strategy.computeLoss(student, teacher, y);
    const gradient = strategy.computeGradient(student, teacher, y);
    for (const [dtype, target, tolerance] of [
      ["float64", "cpu", 1e-12],
      ["float64", "webgpu", 1e-12],
      ["float32", "cpu", 1e-5],
      ["float32", "webgpu", 1e-5],
    ] as const) {
      const found = await emitted(strategy, { student, teacher, labels: y }, dtype, target);
      const loss = found.values.reduce((a, v) => a + v, 0);
      expectClose([loss], [wanted], tolerance, `${dtype} ${target}: loss`);
      expectClose(found.gradient!, gradient.data, tolerance, `${dtype} ${target}: gradient`);
    }
  });

  it("hard labels with a class of probability zero, and a teacher that is certain, give finite numbers", async () => {
    const strategy = new ResponseDistillationStrategy({ temperature: 1, alpha: 0.5 });
    const student = tensor("float64", [1e4, -1e4, 0, 1e4, 0, -1e4], [2, 3]);
    const teacher = tensor("float64", [-1e4, 1e4, 0, 1e4, 0, -1e4], [2, 3]);
    const y = tensor("float64", [0, 1, 0, 1, 0, 0], [2, 3]);
    const { values, gradient } = await emitted(strategy, { student, teacher, labels: y }, "float32");
    expect(values[0]).toBeCloseTo(0.5 * 1e4, 0); // CE: 20000 for one of two samples
    expect(values[1]).toBeCloseTo(0.5 * 1e4, 0); // KL: the same
    expectClose(gradient!, strategy.computeGradient(student, teacher, y).data, 1e-6, "gradient");
  });
});

describe("which terms there are", () => {
  const student = draw(1, [batch, classes]);
  const teacher = draw(2, [batch, classes]);
  const termsOf = async (alpha: number, inputs: object): Promise<readonly string[]> => {
    const strategy = new ResponseDistillationStrategy({ temperature: 2, alpha });
    return (await emitted(strategy, { student, ...inputs }, "float64")).terms;
  };

  it("both with teacher and labels; none that weighs nothing", async () => {
    expect(await termsOf(0.3, { teacher, labels })).toEqual(["hard", "soft"]);
    expect(await termsOf(0, { teacher, labels })).toEqual(["soft"]);
    expect(await termsOf(1, { teacher, labels })).toEqual(["hard"]);
    expect(await termsOf(0.3, { teacher })).toEqual(["soft"]);
    expect(await termsOf(0.3, { labels })).toEqual(["hard"]);
  });

  it("a term that stands alone has full weight, T² included", async () => {
    const at = async (alpha: number, inputs: object) =>
      (
        await emitted(
          new ResponseDistillationStrategy({ temperature: 2, alpha }),
          { student, ...inputs },
          "float64",
        )
      ).values[0]!;
    expect(await at(0.3, { teacher })).toBeCloseTo(await at(0, { teacher, labels }), 12);
    expect(await at(0.3, { labels })).toBeCloseTo(await at(1, { teacher, labels }), 12);
  });
});
