// The emitted losses between layers: against PyTorch, against the strategies on arrays, against central differences; what
// memory neuron selectivity transfer takes; and which layers they refuse.
import { describe, expect, it } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { sizeOf, tensor } from "../../src/base/tensor.ts";
import { typeOf, type Value } from "../../src/graph/graph.ts";
import { emissionOf } from "../../src/losses/index.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import type { Builder } from "../../src/ops/builder.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { type TargetName, targets } from "../../src/ops/target.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import {
  IntermediateActivations,
  type LayerStrategyBase,
  NeuronSelectivityTransferStrategy,
} from "../../src/strategies/index.ts";
import { checkSample, expectClose, type Sample, testRandom } from "../gradient-checker.ts";
import {
  float32Tolerance,
  type LayerCase,
  type LayerLoss,
  layerCases,
  layerStrategy,
} from "../strategies/layer-cases.ts";
import { draw, emitted, stateless } from "./emitted.ts";

const named = (cases: readonly LayerCase[]) => cases.map((c) => [`${c.loss}: ${c.name}`, c] as const);
const logits = draw(1, [2, 3]);

/** The loss of one tap, before anything else is added. */
function emit(b: Builder, s: LayerStrategyBase, student: Value, teacher: Value): Value {
  const terms = emissionOf(s)!.emit({
    b,
    state: stateless,
    studentLogits: student,
    teacherLogits: undefined,
    labels: undefined,
    taps: [{ name: "layer", student, teacher }],
  });
  expect(terms).toHaveLength(1);
  return terms[0]!.value;
}

describe("against PyTorch", () => {
  it.each(named(layerCases))("%s", async (_, c) => {
    const strategy = layerStrategy(c.loss, { ...c.options, weight: 0.7 });
    const wanted = c.gradient.map((g) => 0.7 * g);
    const [studentTap, teacherTap] = [c.student, c.teacher].map((t) => tensor("float64", t.data, t.dims));
    for (const [dtype, target, tolerance] of [
      ["float64", "cpu", 1e-9],
      ["float64", "standard", 1e-9],
      ["float32", "cpu", 10 * float32Tolerance(c)],
      ["float32", "webgpu", 10 * float32Tolerance(c)],
    ] as const) {
      const found = await emitted(strategy, { student: logits, studentTap, teacherTap }, dtype, target);
      expect(found.terms).toEqual([`${c.loss}/layer`]);
      const of = `${dtype} ${target}`;
      expect(found.values[0]! / (0.7 * c.value), `${of}: loss`).toBeCloseTo(1, tolerance === 1e-9 ? 9 : 2);
      // Gradients of a small scale are held to their own scale.
      const scale = Math.max(...wanted.map(Math.abs));
      expectClose(
        Array.from(found.tapGradient!, (g) => g / scale),
        wanted.map((g) => g / scale),
        tolerance,
        `${of}: gradient`,
      );
    }
  });
});

describe("against central differences", () => {
  const dims = (neurons: number): Record<string, number[]> => ({
    "[N, C]": [6, neurons],
    "[N, T, C]": [2, 3, neurons],
    "[N, C, H, W]": [3, neurons, 1, 2],
    "[N, C, D, H, W]": [2, neurons, 1, 2, 2],
  });
  const cases: [LayerLoss, Record<string, unknown>, number, string[]][] = [
    ["nst", { kernel: "linear" }, 4, ["[N, T, C]", "[N, C, H, W]"]],
    ["nst", { over: "samples" }, 4, ["[N, C]", "[N, C, H, W]"]],
    ["nst", { over: "samples-and-positions" }, 2, ["[N, C, H, W]", "[N, C, D, H, W]"]],
    ["nst", {}, 2, ["[N, T, C]", "[N, C, D, H, W]"]],
    ["nst", {}, 5, ["[N, T, C]", "[N, C, H, W]"]],
    ["nst", { kernel: "gaussian", bandwidth: 0.8 }, 4, ["[N, T, C]", "[N, C, H, W]"]],
    ["cka", {}, 2, ["[N, C]", "[N, T, C]", "[N, C, H, W]"]],
    ["cka", { over: "samples" }, 7, ["[N, C]", "[N, C, H, W]"]],
    ["cka", { over: "samples", debiased: true }, 7, ["[N, C]"]],
    ["cka", { debiased: true }, 2, ["[N, C]", "[N, T, C]", "[N, C, H, W]"]],
    ["sp", {}, 4, ["[N, C]", "[N, T, C]", "[N, C, H, W]"]],
    ["at", {}, 4, ["[N, T, C]", "[N, C, D, H, W]"]],
    ["hint", {}, 3, ["[N, C]", "[N, C, H, W]"]],
    ["correlation", {}, 3, ["[N, C]", "[N, T, C]", "[N, C, H, W]"]],
    ["correlation", { over: "samples" }, 3, ["[N, C, D, H, W]"]],
    ["correlation", { match: "best" }, 4, ["[N, C]", "[N, T, C]", "[N, C, H, W]"]],
    ["statistics", {}, 3, ["[N, T, C]", "[N, C, D, H, W]"]],
    ["statistics", { over: "samples-and-positions", deviationWeight: 0.4 }, 3, ["[N, C, H, W]"]],
  ];
  const samples = cases.flatMap(([loss, options, teacherNeurons, layouts]) =>
    layouts.map((layout): Sample => {
      const strategy = layerStrategy(loss, { weight: 1, ...options });
      return {
        name: `${loss} ${JSON.stringify(options)} of ${layout}, 3 and ${teacherNeurons} neurons`,
        inputs: [{ dims: dims(3)[layout]! }, { dims: dims(teacherNeurons)[layout]!, constant: true }],
        build: (b, s, t) => emit(b, strategy, s!, t!),
        tolerance32: 1e-3, // sums of products that cancel, in float32
      };
    }),
  );
  it.each(samples.map((s) => [s.name, s] as const))("%s", async (_, s) => {
    await checkSample(s, 1);
    await checkSample(s, 2, "webgpu");
  });
});

describe("the memory of neuron selectivity transfer", () => {
  /** The step's part for one tap at [64, 256, 16, 16], gradient included. */
  const built = (student: number[], teacher: number[], options = {}, target: TargetName = "cpu") => {
    const b = newBuilder("loss", targets[target]);
    const input = (name: string, dims: number[]) => b.graph.addInput(name, { dtype: "float32", dims });
    const s = input("s", student);
    const loss = emit(b, new NeuronSelectivityTransferStrategy(options), s, input("t", teacher));
    const gradient = differentiate(b, loss, [s]).get(s)!;
    b.graph.addOutput(loss);
    b.graph.addOutput(gradient);
    b.graph.prune();
    return {
      b,
      loss,
      gradient,
      largest: Math.max(...[...b.graph.values()].map((v) => sizeOf(typeOf(v).dims))),
    };
  };
  const [batch, channels, side] = [64, 256, 16];
  const dims = [batch, channels, side, side];

  it.each([
    ["linear", "cpu"],
    ["polynomial", "cpu"],
    ["polynomial", "webgpu"],
    ["gaussian", "cpu"],
    ["gaussian", "webgpu"],
  ] as const)("%s, %s: no value is larger than the batch times C² (or than the map)", (kernel, target) => {
    expect(built(dims, dims, { kernel }, target).largest).toBe(batch * channels ** 2);
    // With few channels the map itself is the largest, not the positions squared.
    const narrow = [batch, 32, side, side];
    expect(built(narrow, narrow, { kernel }, target).largest).toBe(sizeOf(narrow));
  });

  it("with many channels and few positions it is the positions that are paired", () => {
    const wide = [8, 512, 4, 4];
    expect(built(wide, [8, 1024, 4, 4]).largest).toBe(8 * 1024 * 16); // the teacher's map itself
    const names = [...built(wide, wide).b.graph.values()].map((v) => typeOf(v).dims.join());
    expect(names).toContain("8,16,16");
    expect(names).not.toContain("8,512,512");
  });

  it("runs at [64, 256, 16, 16], and falls along its gradient", async () => {
    const { b, loss, gradient } = built(dims, dims, { weight: 1 });
    const session = await nodeRuntime.load(writeGraph(b.graph));
    const random = testRandom(7);
    const map = () => Float32Array.from({ length: sizeOf(dims) }, () => Math.max(0, 2 * random() - 1));
    const feed = (data: Float32Array) => ({ dtype: "float32", dims, data }) as const;
    const [s, t] = [map(), map()];
    // The teacher's channels come in pairs that are nearly the same: patterns that the student's do not have.
    for (let n = 0; n < batch; n++)
      for (let c = 1; c < channels; c += 2) {
        const at = (n * channels + c) * side * side;
        t.set(t.subarray(at - side * side, at), at);
      }
    const first = await session.run({ s: feed(s), t: feed(t) });
    const g = first[gradient.name]!.data as Float32Array;
    const value = first[loss.name]!.data[0] as number;
    const square = g.reduce((sum, v) => sum + v * v, 0);
    expect(square).toBeGreaterThan(0);
    const rate = (0.05 * value) / square;
    const second = await session.run({ s: feed(s.map((v, i) => v - rate * g[i]!)), t: feed(t) });
    const next = second[loss.name]!.data[0] as number;
    expect(next / value).toBeGreaterThan(0.9);
    expect(next / value).toBeLessThan(0.98);
    await session.release();
  });
});

describe("inactive neurons", () => {
  it.each(["nst", "cka", "sp", "at", "correlation", "statistics"] as const)(
    "%s: zeros on either side give the arrays' numbers",
    async (loss) => {
      const dims = [4, 3, 2, 2];
      const zeros = tensor("float64", new Float64Array(48), dims);
      const s = layerStrategy(loss, { weight: 1 });
      for (const [studentTap, teacherTap] of [
        [zeros, zeros],
        [zeros, draw(1, dims)],
        [draw(1, dims), zeros],
      ] as const) {
        const layer = (t: typeof zeros) => new IntermediateActivations().add("layer", t);
        const { loss: wanted, gradient } = s.computeIntermediateLossAndGradient(
          layer(studentTap),
          layer(teacherTap),
        );
        for (const dtype of ["float64", "float32"] as const) {
          const found = await emitted(s, { student: logits, studentTap, teacherTap }, dtype);
          expect(found.values[0]).toBeCloseTo(wanted, 6);
          expectClose(
            found.tapGradient!,
            gradient.get("layer")!.toTensor(dims).data,
            1e-5,
            `${dtype}: gradient`,
          );
        }
      }
    },
  );
});

describe("which taps", () => {
  it("every one for the default name, the named one else; none at weight 0", () => {
    const b = newBuilder("loss", targets.cpu);
    const input = (name: string) => b.graph.addInput(name, { dtype: "float32", dims: [4, 3] });
    const taps = ["early", "late"].map((name) => ({
      name,
      student: input(`s/${name}`),
      teacher: input(`t/${name}`),
    }));
    const studentLogits = input("logits");
    const termsOf = (options: object) =>
      emissionOf(layerStrategy("hint", { ...options }))!
        .emit({
          b,
          state: stateless,
          studentLogits,
          teacherLogits: undefined,
          labels: undefined,
          taps,
        })
        .map((t) => t.name);
    expect(termsOf({})).toEqual(["hint/early", "hint/late"]);
    expect(termsOf({ targetLayerName: "late" })).toEqual(["hint/late"]);
    expect(termsOf({ weight: 0 })).toEqual([]);
  });

  it("may have other neurons where the loss needs no match", () => {
    const accepts = (loss: LayerLoss) =>
      emissionOf(layerStrategy(loss, { targetLayerName: "late" }))!.unequalNeurons;
    for (const loss of ["nst", "cka", "sp", "at"] as const) expect(accepts(loss)("late")).toBe(true);
    for (const loss of ["hint", "correlation", "statistics"] as const) {
      expect(accepts(loss)("late")).toBe(false);
      expect(accepts(loss)("early")).toBe(true);
    }
    expect(emissionOf(layerStrategy("correlation", { match: "best" }))!.unequalNeurons("late")).toBe(true);
  });
});

describe("what is refused", () => {
  const built =
    (loss: LayerLoss, options: object, student: number[], teacher = student) =>
    () => {
      const b = newBuilder("loss", targets.cpu);
      const input = (name: string, dims: number[]) => b.graph.addInput(name, { dtype: "float32", dims });
      return emit(b, layerStrategy(loss, options as never), input("s", student), input("t", teacher));
    };
  it.each([
    [
      built("nst", {}, [4, 3]),
      `tap "layer": the student's value is [4,3]: 1 to compare over positions, and at least 2 are needed; tap a map or a sequence, or compare over samples`,
    ],
    [
      built("cka", { debiased: true, over: "samples" }, [3, 2, 4, 4]),
      `tap "layer": the student's value is [3,2,4,4]: 3 to compare over samples, and at least 4 are needed; use a larger batch`,
    ],
    [
      built("nst", {}, [2, 3, 4, 4], [2, 3, 2, 2]),
      `tap "layer": the student's value is [2,3,4,4] and the teacher's [2,3,2,2]; samples and positions must be the same`,
    ],
    [
      built("sp", {}, [1, 3]),
      'tap "layer" is [1,3], one sample: similarities of samples need at least 2; use a larger batch',
    ],
    [
      built("at", {}, [4, 3]),
      'tap "layer" is [4,3], one position a sample: attention needs at least 2; tap a map or a sequence',
    ],
  ])("%#", (act, message) => {
    expect(act).toThrow(expect.objectContaining({ code: "E_SHAPE", message }));
  });
});
