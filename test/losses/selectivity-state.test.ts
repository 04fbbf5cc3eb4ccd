// The emitted selectivity losses that keep state between steps, against the strategy on arrays that keeps the same: running
// moments over several batches, values and gradients; the teacher's scores; the assignment.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import {
  IntermediateActivations,
  Matrix,
  NeuronSelectivityDistillationStrategy,
  type NeuronSelectivityOptions,
  SelectivityMetric,
  selectivityScores,
} from "../../src/strategies/index.ts";
import { expectClose } from "../gradient-checker.ts";
import { distributions, draw, emitted, Variables } from "./emitted.ts";

const strategyOf = (options: NeuronSelectivityOptions) =>
  new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer", selectivityWeight: 0.7, ...options });
const bag = (t: Tensor) => new IntermediateActivations().add("layer", Matrix.fromTensor(t as never));
const nothing = new IntermediateActivations();
const dims = [4, 3, 2, 2];
const scaled = (t: Tensor, by: number) =>
  tensor(
    "float64",
    Array.from(t.data as Float64Array, (v) => v * by),
    [...t.dims],
  );

const metrics = Object.values(SelectivityMetric).filter((m) => m !== "population-sparseness");
const overs = ["samples-and-positions", "samples", "positions"] as const;
const cases = metrics.flatMap((metric) =>
  overs
    .filter((over) => over !== "positions" || !metric.startsWith("class"))
    .map((over) => ({ metric, over })),
);

describe("running moments over five batches, the teacher's scores known", () => {
  it.each(cases)("$metric over $over", async ({ metric, over }) => {
    const strategy = strategyOf({ metric, over, momentum: 0.8, target: "dataset" });
    const size = metric === "sparsity" ? 0.01 : 1;
    // Teacher and labels are of five classes, of which a batch of four has at most four.
    const whole = scaled(draw(40, [40, 3, 2, 2]), size);
    const classes = (seed: number, n: number) =>
      tensor(
        "float64",
        Array.from({ length: n }, (_, i) =>
          [0, 1, 2, 3, 4].map((k) => ((i * seed) % 5 === k ? 1 : 0)),
        ).flat(),
        [n, 5],
      );
    const matrix = (t: Tensor) => new Matrix(t.dims[0]!, t.dims[1]!, t.data as Float64Array);
    strategy.teacherScores = selectivityScores(whole as never, metric, {
      over,
      labels: matrix(classes(1, 40)),
    });
    const variables = new Variables();
    variables.values.set(
      `selectivity/layer/${metric}/${over}/index/teacher`,
      Float32Array.from(strategy.teacherScores!),
    );
    // The variables of a step are float32, so the twins drift apart by that much.
    const tolerance = metric === "kurtosis" || metric === "log-variance" ? 2e-5 : 5e-6;
    for (let step = 1; step <= 5; step++) {
      const studentTap = scaled(draw(50 + step, dims), size);
      const labels = classes(step, 4);
      const inputs = {
        student: draw(1, [4, 5]),
        teacher: draw(2, [4, 5]),
        studentTap,
        teacherTap: studentTap, // of which the known scores take the place
        labels,
      };
      const found = await emitted(strategy, inputs, "float64", "cpu", variables);
      const { loss, gradient } = strategy.computeIntermediateLossAndGradient(
        bag(studentTap),
        nothing,
        matrix(labels),
      );
      strategy.updateRunning(bag(studentTap), matrix(labels));
      expectClose([found.values.at(-1)!], [loss], tolerance, `step ${step}: loss`);
      const wanted = gradient.get("layer")!.toTensor(dims).data;
      expectClose(found.tapGradient!, wanted, 5 * tolerance, `step ${step}: gradient`);
    }
    const weight = variables.values.get(`selectivity/layer/${metric}/${over}/index/running`)![0]!;
    expect(weight).toBeCloseTo(1 - 0.8 ** 5, 6);
  });
});

describe("the assignment", () => {
  it.each(["squared", "absolute", "relative"] as const)("%s, also of unequal numbers", async (distance) => {
    for (const [teachers, assignment] of [
      [3, [2, 0, 1]],
      [5, [4, 0, 2]],
      [2, [1, -1, 0]],
    ] as const) {
      for (const metric of ["soft-peak", "class-response"] as const) {
        const strategy = strategyOf({ metric, match: "assignment", distance });
        strategy.assignment = assignment;
        const [studentTap, teacherTap] = [draw(3, dims), draw(4, [4, teachers, 2, 2])];
        const labels = distributions(5, 4, 3);
        const variables = new Variables();
        variables.values.set(
          `selectivity/layer/${metric}/samples-and-positions/assignment/assignment`,
          Float32Array.from(assignment),
        );
        const inputs = { student: draw(1, [4, 3]), teacher: draw(2, [4, 3]), studentTap, teacherTap, labels };
        const y = new Matrix(4, 3, labels.data as Float64Array);
        const wanted = strategy.computeIntermediateLossAndGradient(bag(studentTap), bag(teacherTap), y);
        for (const [dtype, target, tolerance] of [
          ["float64", "cpu", 1e-11],
          ["float32", "cpu", 2e-5],
          ["float32", "webgpu", 2e-5],
        ] as const) {
          const found = await emitted(strategy, inputs, dtype, target, variables);
          expectClose([found.values.at(-1)!], [wanted.loss], tolerance, `${dtype} ${target}: loss`);
          expectClose(
            found.tapGradient!,
            wanted.gradient.get("layer")!.toTensor(dims).data,
            5 * tolerance,
            `${dtype} ${target}: gradient`,
          );
        }
      }
    }
  });

  it("is by index until it is set", async () => {
    const inputs = {
      student: draw(1, [4, 3]),
      teacher: draw(2, [4, 3]),
      studentTap: draw(3, dims),
      teacherTap: draw(4, dims),
    };
    const byIndex = await emitted(strategyOf({}), inputs, "float64");
    const unset = await emitted(
      strategyOf({ match: "assignment" }),
      inputs,
      "float64",
      "cpu",
      new Variables(),
    );
    expectClose(unset.tapGradient!, byIndex.tapGradient!, 1e-12, "gradient");
  });
});
