// State of the loss's own in the step: parameters move as the optimizer says, variables are carried, neither is a weight of
// the student; whole step and halves agree.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { names } from "../../src/compile/compile-step.ts";
import type { LossEmission } from "../../src/losses/index.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { sgd } from "../../src/optim/sgd.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { StepRunner } from "../../src/train/step-runner.ts";
import { expectClose } from "../gradient-checker.ts";
import { compileModel, randomTensor, smallStudent } from "./compile-model.ts";

const student = smallStudent([4, 3], { "fc.weight": randomTensor(1, [3, 2]) }, [
  { op: "MatMul", inputs: ["x", "fc.weight"], output: "logits" },
]);
const begin = [1, 2];

/** Σ (s·p) over the logits s [4, 2], p [2] learned; "steps" counts, "mean" follows the mean logits by halves. */
const loss: LossEmission = {
  unequalNeurons: () => true,
  emit: ({ b, state, studentLogits }) => {
    const p = state.parameter("p", tensor("float32", begin));
    const steps = state.variable("steps", tensor("float32", [0], []));
    const mean = state.variable("mean", tensor("float32", [0, 0], [1, 2]));
    state.variable("still", tensor("float32", [7]));
    steps.assign(b.shift(steps.value, 1));
    const next = b.scale(b.add(mean.value, b.reduceMean(studentLogits, [0], true)), 0.5);
    mean.assign(next);
    return [{ name: "own", value: b.reduceSum(b.mul(studentLogits, p)) }];
  },
};
const x = randomTensor(2, [4, 3]);

const logitsAt = (weight: Float32Array): number[] =>
  Array.from({ length: 8 }, (_, i) =>
    [0, 1, 2].reduce((s, k) => s + (x.data as Float32Array)[3 * (i >> 1) + k]! * weight[2 * k + (i & 1)]!, 0),
  );
const columnSums = (logits: readonly number[]): number[] =>
  [0, 1].map((c) => logits.reduce((s, v, i) => (i % 2 === c ? s + v : s), 0));

describe("a loss with state", () => {
  const compile = (momentum = 0, clipNorm?: number) =>
    compileModel(student, 4, { loss, optimizer: sgd({ momentum }), labels: false, clipNorm });

  it("trains its parameters and carries its variables from step to step", async () => {
    const compiled = await compile();
    const runner = await StepRunner.load(compiled, nodeRuntime, 0);
    const weight = (compiled.initial.get("weights/0") as Float32Array).slice();
    const p = [...begin];
    const mean = [0, 0];
    for (let step = 0; step < 3; step++) {
      const sums = columnSums(logitsAt(weight));
      const { losses, accept } = await runner.run({ x }, { step, steps: 3, stepsPerEpoch: 3 }, 0.1);
      accept();
      expect(losses["loss/own"]).toBeCloseTo(sums[0]! * p[0]! + sums[1]! * p[1]!, 4);
      for (let k = 0; k < 3; k++)
        for (let c = 0; c < 2; c++)
          weight[2 * k + c]! -=
            0.1 * p[c]! * [0, 1, 2, 3].reduce((s, n) => s + (x.data as Float32Array)[3 * n + k]!, 0);
      for (let c = 0; c < 2; c++) {
        p[c]! -= 0.1 * sums[c]!;
        mean[c] = (mean[c]! + sums[c]! / 4) / 2;
      }
      expectClose(runner.state.get("auxiliary/p")!, p, 1e-5, "p");
      expectClose(runner.state.get("auxiliary/mean")!, mean, 1e-5, "mean");
      expectClose(runner.state.get("weights/0")!, weight, 1e-5, "weight");
      expect([...runner.state.get("auxiliary/steps")!]).toEqual([step + 1]);
      expect([...runner.state.get("auxiliary/still")!]).toEqual([7]);
    }
    expect([...runner.weights().keys()]).toEqual(["fc.weight"]);
    await runner.release();
  });

  it("takes part in momentum and in clipping, in the halves as in the whole", async () => {
    const compiled = await compile(0.9, 0.5);
    expect(compiled.initial.get("momentum/auxiliary/p")).toEqual(new Float32Array(2));
    const state = Object.fromEntries(
      [...compiled.initial].map(([key, data]): [string, Tensor] => [
        names.state(key),
        { dtype: "float32", dims: [data.length], data },
      ]),
    );
    const lr = { [names.scalar("lr")]: tensor("float32", [0.1], []) };
    const run = async (graph: typeof compiled.step, feeds: Record<string, Tensor>) => {
      const session = await nodeRuntime.load(writeGraph(graph));
      const out = await session.run(
        Object.fromEntries(session.inputs.map((i) => [i.name, feeds[i.name] as Tensor])),
      );
      await session.release();
      return out;
    };
    const whole = await run(compiled.step, { x, ...state, ...lr });
    const first = await run(compiled.gradients, { x, ...state });
    const second = await run(compiled.apply, { ...state, ...first, ...lr });
    for (const key of compiled.initial.keys())
      expect((second[names.next(key)] ?? first[names.next(key)])?.data, key).toEqual(
        whole[names.next(key)]?.data,
      );
    const moved = ["weights/0", "auxiliary/p"].flatMap((key) =>
      [...(whole[names.next(key)]!.data as Float32Array)].map((v, i) => v - compiled.initial.get(key)![i]!),
    );
    // With Nesterov the first step is lr · 1.9 · g, and g is clipped to length 0.5.
    expect(Math.hypot(...moved)).toBeCloseTo(0.1 * 1.9 * 0.5, 5);
  });

  it("is refused where two pieces have one name, or another element type", async () => {
    const emit = (second: string, dtype: "float32" | "float64"): LossEmission => ({
      unequalNeurons: () => true,
      emit: ({ b, state, studentLogits }) => {
        state.parameter("p", tensor("float32", begin));
        state.variable(second, tensor(dtype, begin));
        return [{ name: "own", value: b.reduceSum(studentLogits) }];
      },
    });
    const compiling = (second: string, dtype: "float32" | "float64" = "float32") =>
      compileModel(student, 4, { loss: emit(second, dtype), labels: false });
    await expect(compiling("p")).rejects.toThrow(
      'the loss asks for two pieces of state named "p"; name each once',
    );
    await expect(compiling("q", "float64")).rejects.toThrow(
      `the loss's state "q" is float64, expected float32`,
    );
  });
});
