// The emitted selectivity losses against central differences and against the strategy on arrays, for every metric, over
// whatever samples, in every layout of activations.
import { describe, expect, it } from "vitest";
import { neuronAxis } from "../../src/base/layout.ts";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import type { Value } from "../../src/graph/graph.ts";
import { positionAxes } from "../../src/losses/selectivity/samples.ts";
import { selectivityLoss } from "../../src/losses/selectivity.ts";
import type { LossContext } from "../../src/losses/terms.ts";
import type { Builder } from "../../src/ops/builder.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import {
  IntermediateActivations,
  Matrix,
  NeuronSelectivityDistillationStrategy,
  type NeuronSelectivityOptions,
  SelectivityMetric,
  type SelectivityOver,
} from "../../src/strategies/index.ts";
import { checkSample, expectClose, type InputSpec, type Sample } from "../gradient-checker.ts";
import { familyCases } from "../strategies/helpers.ts";
import { distributions, draw, emitted, stateless, Variables } from "./emitted.ts";

const metrics = Object.values(SelectivityMetric);
const overs: SelectivityOver[] = ["samples-and-positions", "samples", "positions"];
const ofClasses: SelectivityMetric[] = ["class-selectivity", "class-response"];
const layouts: [string, number[]][] = [
  ["[N, C]", [6, 4]],
  ["[N, T, C]", [4, 4, 3]], // three samples or positions have the same kurtosis, whatever they are
  ["[N, C, H, W]", [4, 3, 2, 2]],
  ["[N, C, D, H, W]", [2, 3, 2, 1, 2]],
];
const combinations = metrics.flatMap((metric) =>
  overs.flatMap((over) =>
    layouts
      .filter(([layout]) => over === "samples-and-positions" || layout !== "[N, C]")
      .filter(([, dims]) => dims.length < 5 || metric === "variance")
      .filter(() => over !== "positions" || !ofClasses.includes(metric))
      .map(([layout, dims]) => ({ metric, over, layout, dims })),
  ),
);

/** Where each metric is smooth: sizes away from 0, sparsity near its threshold but off it, a peak far from the next. */
const domains: Partial<Record<SelectivityMetric, Partial<InputSpec>>> = {
  variance: {},
  "relative-deviation": {},
  "log-variance": {},
  kurtosis: {},
  sparsity: { low: -0.06, high: 0.06, kinks: [-0.01, 0.01, 0] },
  "peak-to-average": { distinct: true, low: 0.1, high: 2 },
};
const domain = (metric: SelectivityMetric) => domains[metric] ?? { kinks: [0] };

const strategyOf = (options: NeuronSelectivityOptions) =>
  new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer", selectivityWeight: 0.7, ...options });
const context = (b: Builder, labels?: Value): LossContext => ({
  b,
  state: stateless,
  studentLogits: undefined as never,
  teacherLogits: undefined,
  labels,
  taps: [],
});
const loss = (
  b: Builder,
  student: Value,
  teacher: Value,
  options: NeuronSelectivityOptions,
  labels?: Value,
) => selectivityLoss(context(b, labels), { name: "layer", student, teacher }, strategyOf(options));

describe("against central differences", () => {
  /** Σ 2w/N (score_s − score_t) · smooth_s: what the gradient of the sparsity loss is the gradient of. */
  const smoothed = (b: Builder, student: Value, teacher: Value, over: SelectivityOver): Value => {
    const positions = positionAxes(b.dims(student).length);
    const samples = (x: Value) => (over === "samples" ? b.reduceMean(x, positions) : x);
    const [s, t] = [samples(student), samples(teacher)];
    const dims = b.dims(s);
    const axes = dims.map((_, i) => i).filter((i) => i !== neuronAxis(dims.length));
    const active = (x: Value) => b.reduceMean(b.cast(b.greater(b.abs(x), b.like(x, 0.01)), "float64"), axes);
    const smooth = b.reduceMean(b.sigmoid(b.scale(b.shift(b.abs(s), -0.01), 100)), axes);
    const difference = b.stopGradient(b.sub(active(s), active(t)));
    return b.scale(b.reduceSum(b.mul(difference, smooth)), (2 * 0.7) / dims[neuronAxis(dims.length)]!);
  };
  const samples = combinations.map(({ metric, over, layout, dims }): Sample => {
    const labels = distributions(5, dims[0]!, 3);
    return {
      name: `${metric} over ${over} of ${layout}`,
      inputs: [
        { dims, ...domain(metric) },
        { dims, ...domain(metric), constant: true, low: metric === "sparsity" ? -0.02 : 0.5 },
        { dims: labels.dims, values: Array.from(labels.data as Float64Array), constant: true },
      ],
      build: (b, s, t, y) => loss(b, s!, t!, { metric, over }, y),
      ...(metric === "sparsity"
        ? { surrogate: (b: Builder, s?: Value, t?: Value) => smoothed(b, s!, t!, over) }
        : {}),
    };
  });
  it.each(samples.map((s) => [s.name, s] as const))("%s", async (_, s) => {
    await checkSample(s, 1);
    await checkSample(s, 2, "webgpu");
  });

  const matched = (["rank", "assignment"] as const).flatMap((match) =>
    (["squared", "absolute", "relative"] as const).flatMap((distance) =>
      [2, 4, 7].map((teachers): Sample => {
        const metric = "lifetime-sparseness";
        return {
          name: `by ${match}, ${distance}, 4 neurons and ${teachers}`,
          inputs: [
            { dims: [5, 4], kinks: [0] },
            { dims: [5, teachers], constant: true },
            { dims: [4], values: [1, 0, teachers > 4 ? 6 : -1, teachers > 2 ? 3 : -1], constant: true },
          ],
          build: (b, s, t, assignment) =>
            selectivityLoss(
              {
                ...context(b),
                state: { ...stateless, variable: () => ({ value: assignment!, assign: () => {} }) },
              },
              { name: "layer", student: s!, teacher: t! },
              strategyOf({ metric, match, distance }),
            ),
        };
      }),
    ),
  );
  it.each(matched.map((s) => [s.name, s] as const))("%s", async (_, s) => {
    await checkSample(s, 3);
    await checkSample(s, 4, "webgpu");
  });
});

/** [samples, neurons], whatever the layout. */
const asRows = (t: Tensor): Matrix => Matrix.fromTensor(t);
const layerOf = (t: Tensor) => new IntermediateActivations().add("layer", asRows(t));
const forms = [
  ["float64", "cpu", 1e-11],
  ["float32", "cpu", 2e-5],
  ["float32", "webgpu", 2e-5],
] as const;

describe("against the strategy on arrays", () => {
  const cases = combinations.filter(({ layout }) => layout !== "[N, C, D, H, W]");
  it.each(cases)(
    "$metric over $over of $layout, with a dead neuron and a tie",
    async ({ metric, over, dims }) => {
      const strategy = strategyOf({ metric, over, temperature: 2, alpha: 0.3 });
      const size = metric === "sparsity" ? 0.03 : 2;
      const studentTap = draw(3, dims, -size, size);
      const teacherTap = draw(4, dims, -size, size);
      const axis = neuronAxis(dims.length);
      const inner = dims.slice(axis + 1).reduce((a, c) => a * c, 1);
      const channel = (i: number) => Math.floor(i / inner) % dims[axis]!;
      const data = studentTap.data as Float64Array;
      // Neuron 0 is dead; the largest magnitude of neuron 1 occurs twice, once negative.
      const ofOne = [...data.keys()].filter((i) => channel(i) === 1);
      data.forEach((_, i) => {
        if (channel(i) === 0) data[i] = 0;
      });
      data[ofOne[0]!] = 1.25 * size;
      data[ofOne[2]!] = -1.25 * size;

      const labels = distributions(6, dims[0]!, 3);
      const y = new Matrix(dims[0]!, 3, labels.data as Float64Array);
      const wanted = strategy.computeIntermediateLoss(layerOf(studentTap), layerOf(teacherTap), y);
      const rows = strategy
        .computeIntermediateGradient(layerOf(studentTap), layerOf(teacherTap), y)
        .get("layer")!;
      const student = draw(1, [dims[0]!, 3]);
      for (const [dtype, target, tolerance] of forms) {
        const inputs = { student, teacher: draw(2, [dims[0]!, 3]), studentTap, teacherTap, labels };
        const found = await emitted(strategy, inputs, dtype, target);
        expect(found.terms).toEqual(["hard", "soft", "selectivity/layer"]);
        expectClose([found.values[2]!], [wanted], tolerance, `${dtype} ${target}: loss`);
        expectClose(
          found.tapGradient!,
          rows.toTensor(dims).data,
          5 * tolerance,
          `${dtype} ${target}: gradient`,
        );
      }
      expect(Math.max(...Array.from(rows.data, Math.abs))).toBeGreaterThan(1e-4);
    },
  );

  it.each(familyCases.map((c) => [JSON.stringify(c.options), c] as const))("as PyTorch: %s", async (_, c) => {
    const strategy = strategyOf(c.options);
    const studentTap = tensor("float64", c.student, c.dims[0]);
    const teacherTap = tensor("float64", c.teacher, c.dims[1]);
    const labels = tensor("float64", c.labels.flat(), [c.labels.length, 3]);
    const logits = draw(1, [c.labels.length, 3]);
    const variables = new Variables();
    if (c.assignment)
      variables.values.set(
        `selectivity/layer/${c.options.metric}/${c.options.over}/assignment/assignment`,
        Float32Array.from(c.assignment),
      );
    for (const [dtype, target, tolerance] of [
      ["float64", "cpu", 1e-10],
      ["float32", "cpu", 1e-4],
    ] as const) {
      const inputs = { student: logits, teacher: logits, studentTap, teacherTap, labels };
      const found = await emitted(strategy, inputs, dtype, target, variables);
      expectClose([found.values.at(-1)!], [c.loss], tolerance, `${dtype}: loss`);
      expectClose(found.tapGradient!, c.gradient, 5 * tolerance, `${dtype}: gradient`);
    }
  });

  it("classes are the teacher's predictions where there are no labels", async () => {
    const strategy = strategyOf({ metric: "class-selectivity" });
    const [studentTap, teacherTap] = [draw(3, [6, 4]), draw(4, [6, 4])];
    const teacher = tensor("float64", [3, 1, 0, 0, 5, 5, 1, 2, 3, 4, 1, 1, 0, 2, 1, 0, 0, 7], [6, 3]);
    const predicted = Matrix.fromRows([
      [1, 0, 0],
      [0, 0.5, 0.5],
      [0, 0, 1],
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    const found = await emitted(strategy, { student: teacher, teacher, studentTap, teacherTap }, "float64");
    const wanted = strategy.computeIntermediateLoss(layerOf(studentTap), layerOf(teacherTap), predicted);
    expectClose([found.values.at(-1)!], [wanted], 1e-12, "loss");
  });

  it("a step against the gradient lowers the loss, for every metric", async () => {
    for (const metric of metrics) {
      const strategy = strategyOf({ metric, alpha: 0 });
      const size = metric === "sparsity" ? 0.02 : 2;
      const inputs = {
        student: draw(1, [64, 4]),
        teacher: draw(2, [64, 4]),
        studentTap: draw(3, [64, 4], -size, size),
        teacherTap: draw(4, [64, 4], 0, 0.8 * size),
        labels: distributions(5, 64, 4),
      };
      const before = await emitted(strategy, inputs, "float64");
      const g = before.tapGradient!;
      const norm = Math.hypot(...Array.from(g));
      const length = metric === "sparsity" ? 0.2 * size : 0.05;
      const moved = Array.from(inputs.studentTap.data as Float64Array, (v, i) => v - (length * g[i]!) / norm);
      const after = await emitted(
        strategy,
        { ...inputs, studentTap: tensor("float64", moved, [64, 4]) },
        "float64",
      );
      expect(after.values.at(-1), metric).toBeLessThan(before.values.at(-1)!);
    }
  });
});

describe("which taps count", () => {
  const tap = (name: string, b: Builder) => ({
    name,
    student: b.graph.addInput(`s/${name}`, { dtype: "float32", dims: [4, 3] }),
    teacher: b.graph.addInput(`t/${name}`, { dtype: "float32", dims: [4, 3] }),
  });
  const termsOf = async (targetLayerName: string, selectivityWeight = 0.5): Promise<string[]> => {
    const { emissionOf } = await import("../../src/losses/index.ts");
    const b = newBuilder("loss", targets.cpu);
    const logits = (name: string) => b.graph.addInput(name, { dtype: "float32", dims: [4, 5] });
    const strategy = new NeuronSelectivityDistillationStrategy({ targetLayerName, selectivityWeight });
    const taps = [tap("early", b), tap("late", b)];
    return emissionOf(strategy)!
      .emit({
        b,
        state: stateless,
        studentLogits: logits("s"),
        teacherLogits: logits("t"),
        labels: undefined,
        taps,
      })
      .map((t) => t.name);
  };

  it("the named one; every one for the default name; none at weight 0", async () => {
    expect(await termsOf("late")).toEqual(["soft", "selectivity/late"]);
    expect(await termsOf("default")).toEqual(["soft", "selectivity/early", "selectivity/late"]);
    expect(await termsOf("elsewhere")).toEqual(["soft"]);
    expect(await termsOf("late", 0)).toEqual(["soft"]);
  });

  it("what shows no selectivity is refused, not ignored", () => {
    const b = newBuilder("loss", targets.cpu);
    const value = (name: string, dims: number[]) => b.graph.addInput(name, { dtype: "float32", dims });
    const [one, other] = [value("a", [1, 3]), value("b", [1, 3])];
    expect(() => loss(b, one, other, {})).toThrow(
      "selectivity of [1,3]: one sample does not show how a neuron varies; train with a batch of two or more",
    );
    const [s, t] = [value("c", [4, 3]), value("d", [4, 3])];
    expect(() => loss(b, s, t, { over: "positions" })).toThrow(
      "selectivity of [4,3] over positions: one position does not show how a neuron varies; tap a map [N, C, H, W] or a sequence [N, T, C]",
    );
    expect(() => loss(b, s, t, { metric: "class-response" })).toThrow(
      'tap "layer": this selectivity metric tells classes apart; give labels, or a teacher with logits',
    );
    expect(() => loss(b, s, t, { metric: "class-response" }, value("y", [8, 5]))).toThrow(
      'tap "layer": 4 samples, but labels or logits of shape [8,5]; a selectivity metric that tells classes apart needs one row for each sample and two classes or more',
    );
    const [thin, thinner] = [value("e", [4, 1]), value("f", [4, 1])];
    expect(() => loss(b, thin, thinner, { metric: "population-sparseness" })).toThrow(
      "selectivity of [4,1]: population sparseness compares neurons and needs at least 2",
    );
  });
});
