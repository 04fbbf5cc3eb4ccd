// The emitted selectivity losses against central differences and against the strategy on arrays, for every metric and
// every layout of activations.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import type { Value } from "../../src/graph/graph.ts";
import { neuronAxis, selectivityLoss } from "../../src/losses/selectivity.ts";
import type { Builder } from "../../src/ops/builder.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import {
  IntermediateActivations,
  Matrix,
  NeuronSelectivityDistillationStrategy,
  type SelectivityMetric,
} from "../../src/strategies/index.ts";
import { checkSample, expectClose, type InputSpec, type Sample } from "../gradient-checker.ts";
import { draw, emitted, stateless } from "./emitted.ts";

const metrics: SelectivityMetric[] = ["variance", "sparsity", "peak-to-average"];
const layouts: [string, number[]][] = [
  ["[N, C]", [6, 4]],
  ["[N, T, C]", [2, 3, 4]],
  ["[N, C, H, W]", [2, 4, 2, 3]],
  ["[N, C, D, H, W]", [2, 3, 2, 1, 2]],
];

/** Where each metric is smooth: sparsity near its threshold but off it, the peak with a distance to the next. */
const domain: Record<SelectivityMetric, Partial<InputSpec>> = {
  variance: {},
  sparsity: { low: -0.06, high: 0.06, kinks: [-0.01, 0.01, 0] },
  "peak-to-average": { distinct: true, low: 0.1, high: 2 },
};

describe("against central differences", () => {
  /** Σ 2w/N (score_s − score_t) · smooth_s: what the gradient of the sparsity loss is the gradient of. */
  const smoothed = (b: Builder, student: Value, teacher: Value, weight: number): Value => {
    const dims = b.dims(student);
    const axis = neuronAxis(dims.length);
    const neurons = dims[axis]!;
    const axes = dims.map((_, i) => i).filter((i) => i !== axis);
    const active = (x: Value) => b.reduceMean(b.cast(b.greater(b.abs(x), b.like(x, 0.01)), "float64"), axes);
    const smooth = b.reduceMean(b.sigmoid(b.scale(b.shift(b.abs(student), -0.01), 100)), axes);
    const difference = b.stopGradient(b.sub(active(student), active(teacher)));
    return b.scale(b.reduceSum(b.mul(difference, smooth)), (2 * weight) / neurons);
  };
  const samples = metrics.flatMap((metric) =>
    layouts.map(
      ([layout, dims]): Sample => ({
        name: `${metric} of ${layout}`,
        inputs: [
          { dims, ...domain[metric] },
          { dims, ...domain[metric], constant: true, low: metric === "sparsity" ? -0.02 : 0.5 },
        ],
        build: (b, s, t) => selectivityLoss(b, s!, t!, metric, 0.7),
        ...(metric === "sparsity"
          ? { surrogate: (b: Builder, s?: Value, t?: Value) => smoothed(b, s!, t!, 0.7) }
          : {}),
      }),
    ),
  );
  it.each(samples.map((s) => [s.name, s] as const))("%s", async (_, s) => {
    await checkSample(s, 1);
    await checkSample(s, 2, "webgpu");
  });
});

/** [samples, neurons], whatever the layout. */
function asRows(t: Tensor): Matrix {
  if (t.dims.length === 4) return Matrix.fromNCHW(t as never);
  const neurons = t.dims.at(-1)!;
  return new Matrix(t.data.length / neurons, neurons, t.data as Float64Array);
}

describe("against the strategy on arrays", () => {
  const cases = metrics.flatMap((metric) =>
    layouts.slice(0, 3).map(([layout, dims]) => ({ metric, layout, dims })),
  );
  it.each(cases)("$metric of $layout, with a dead neuron and a tie", async ({ metric, dims }) => {
    const strategy = new NeuronSelectivityDistillationStrategy({
      targetLayerName: "layer",
      selectivityWeight: 0.7,
      metric,
      temperature: 2,
      alpha: 0.3,
    });
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

    const layer = (t: Tensor) => new IntermediateActivations().add("layer", asRows(t));
    const wanted = strategy.computeIntermediateLoss(layer(studentTap), layer(teacherTap));
    const rows = strategy.computeIntermediateGradient(layer(studentTap), layer(teacherTap)).get("layer")!;
    const logits = draw(1, [5, 4]);
    for (const [dtype, target, tolerance] of [
      ["float64", "cpu", 1e-12],
      ["float32", "cpu", 1e-5],
      ["float32", "webgpu", 1e-5],
    ] as const) {
      const inputs = { student: logits, teacher: draw(2, [5, 4]), studentTap, teacherTap };
      const found = await emitted(strategy, inputs, dtype, target);
      expect(found.terms).toEqual(["soft", "selectivity/layer"]);
      expectClose([found.values[1]!], [wanted], tolerance, `${dtype} ${target}: loss`);
      const got = asRows(tensor("float64", Array.from(found.tapGradient!), dims));
      expectClose(got.data, rows.data, tolerance, `${dtype} ${target}: gradient`);
    }
    expect(Math.max(...Array.from(rows.data, Math.abs))).toBeGreaterThan(1e-4);
  });

  it("a step against the gradient lowers the loss, for every metric", async () => {
    for (const metric of metrics) {
      const strategy = new NeuronSelectivityDistillationStrategy({
        targetLayerName: "layer",
        metric,
        alpha: 0,
      });
      const size = metric === "sparsity" ? 0.02 : 2;
      const inputs = {
        student: draw(1, [5, 4]),
        teacher: draw(2, [5, 4]),
        studentTap: draw(3, [64, 4], -size, size),
        teacherTap: draw(4, [64, 4], 0, 0.8 * size),
      };
      const before = await emitted(strategy, inputs, "float64");
      const g = before.tapGradient!;
      const norm = Math.hypot(...Array.from(g));
      const moved = Array.from(
        inputs.studentTap.data as Float64Array,
        (v, i) => v - (0.2 * size * g[i]!) / norm,
      );
      const after = await emitted(
        strategy,
        { ...inputs, studentTap: tensor("float64", moved, [64, 4]) },
        "float64",
      );
      expect(after.values[1], metric).toBeLessThan(before.values[1]!);
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

  it("a single sample has no selectivity: refused, not ignored", () => {
    const b = newBuilder("loss", targets.cpu);
    const one = (name: string) => b.graph.addInput(name, { dtype: "float32", dims: [1, 3] });
    expect(() => selectivityLoss(b, one("s"), one("t"), "variance", 0.5)).toThrow(
      "selectivity of [1,3]: one sample does not show how a neuron varies; train with a batch of two or more",
    );
  });
});
