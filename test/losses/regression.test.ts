// The emitted regression loss against central differences and against the strategy on arrays.
import { describe, expect, it } from "vitest";
import { regression } from "../../src/losses/regression.ts";
import { RegressionDistillationStrategy } from "../../src/strategies/index.ts";
import { checkSample, expectClose, type InputSpec, type Sample } from "../gradient-checker.ts";
import { draw, emitted, stateless } from "./emitted.ts";

const [rows, outputs] = [4, 3];
const weights: InputSpec = { dims: [rows], values: [0, 1, 1, 0], constant: true };
// Differences of 1 to 2 and of 0.1 to 0.3: on either side of δ = 0.5, never near it.
const student: InputSpec = { dims: [rows, outputs], low: 0, high: 0.1 };
const teacher: InputSpec = { dims: [rows, outputs], low: 1.2, high: 2, constant: true };
const targets: InputSpec = { dims: [rows, outputs], low: -0.3, high: -0.1, constant: true };

describe("against central differences", () => {
  const sample = (
    delta: number | undefined,
    alpha: number,
    withTargets: boolean,
    weighted: boolean,
  ): Sample => ({
    name: `${delta === undefined ? "squares" : `delta ${delta}`}, alpha ${alpha}, ${withTargets ? "targets" : "no targets"}${weighted ? ", weights" : ""}`,
    inputs: [student, teacher, targets, weights],
    build: (b, s, t, y, w) =>
      regression(
        {
          b,
          state: stateless,
          studentLogits: s!,
          teacherLogits: t,
          labels: withTargets ? y : undefined,
          rowWeights: weighted ? w : undefined,
          taps: [],
        },
        alpha,
        delta,
      )
        .map((term) => term.value)
        .reduce((a, c) => b.add(a, c)),
  });
  const samples = [undefined, 0.5].flatMap((delta) => [
    ...[0, 0.3, 1].map((alpha) => sample(delta, alpha, true, false)),
    sample(delta, 0.3, false, false),
    sample(delta, 0.3, true, true),
  ]);
  it.each(samples.map((s) => [s.name, s] as const))("%s", async (_, s) => {
    await checkSample(s, 1);
    await checkSample(s, 2, "webgpu");
  });
});

describe("against the strategy on arrays", () => {
  const cases = [undefined, 0.5, 3].flatMap((huberDelta) =>
    [0, 0.3, 1].flatMap((alpha) => [true, false].map((labelled) => ({ huberDelta, alpha, labelled }))),
  );
  it.each(cases)(
    "delta $huberDelta, alpha $alpha, targets $labelled",
    async ({ huberDelta, alpha, labelled }) => {
      const strategy = new RegressionDistillationStrategy({
        alpha,
        ...(huberDelta !== undefined && { huberDelta }),
      });
      const inputs = {
        student: draw(1, [rows, outputs]),
        teacher: draw(2, [rows, outputs]),
        labels: labelled ? draw(3, [rows, outputs], -5, 5) : undefined,
      };
      const wanted = strategy.computeLoss(inputs.student, inputs.teacher, inputs.labels);
      const gradient = strategy.computeGradient(inputs.student, inputs.teacher, inputs.labels);
      for (const [dtype, tolerance] of [
        ["float64", 1e-12],
        ["float32", 1e-5],
      ] as const) {
        const found = await emitted(strategy, inputs, dtype);
        expect(found.terms).toEqual(
          labelled ? { 0: ["soft"], 0.3: ["hard", "soft"], 1: ["hard"] }[alpha] : ["soft"],
        );
        expectClose([found.values.reduce((a, v) => a + v, 0)], [wanted], tolerance, `${dtype}: loss`);
        expectClose(found.gradient!, gradient.data, tolerance, `${dtype}: gradient`);
      }
    },
  );
});
