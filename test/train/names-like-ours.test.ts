// Students whose inputs, values, weights and nodes are called what a step calls its own: the same losses and weights, to the
// bit, as one with other names.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { studentName } from "../../src/compile/compile-step.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import {
  CenteredKernelAlignmentStrategy,
  DistillationStrategyBase,
  Matrix,
  type MatrixLike,
  NeuronSelectivityDistillationStrategy,
} from "../../src/strategies/index.ts";
import { randomTensor } from "../compile/compile-model.ts";
import { collect, only } from "./helpers.ts";

const plain = ["a", "b", "c", "w1", "b1", "w2", "h", "r", "d", "z"];

/** z = W2 · dropout(relu(W1·a + b1)) + b + c, each value and node under the name that stands in its place. */
function student(names: readonly string[]): Model {
  const [a, b, c, w1, b1, w2, h, r, d, z] = names as [string, ...string[]] & string[];
  const graph = new Graph("student", [["", 17]]);
  for (const name of [a, b, c] as string[]) graph.addInput(name, { dtype: "float32", dims: [8, 4] });
  const weight = (name: string, seed: number, dims: number[]) =>
    graph.addConstant(name, randomTensor(seed, dims));
  const all: Record<string, Value> = {
    w1: weight(w1 as string, 1, [4, 6]),
    b1: weight(b1 as string, 2, [6]),
    w2: weight(w2 as string, 3, [6, 4]),
  };
  const node = (op: string, inputs: readonly (Value | undefined)[], output: string, name = output): Value =>
    graph.addNode({ op, name, inputs, outputs: [output] }).outputs[0] as Value;
  const hidden = node("Gemm", [graph.find(a), all.w1, all.b1], h as string);
  const active = node("Relu", [hidden], r as string);
  // Which elements are dropped goes by the node's name.
  const ratio = graph.addConstant("ratio", tensor("float32", [0.5], []));
  const dropped = node("Dropout", [active, ratio], d as string, "d");
  const out = node("MatMul", [dropped, all.w2], `${z}/product`);
  const more = node("Add", [out, graph.find(b as string)], `${z}/sum`);
  graph.addOutput(node("Add", [more, graph.find(c as string)], z as string));
  return readModel(writeGraph(graph), { source: "student.onnx" });
}

const inputs = [11, 12, 13].map((seed) => randomTensor(seed, [32, 4]));
const labels = Int32Array.from({ length: 32 }, (_, i) => i % 4);

/** Losses of every step, and the trained weights in the order of `plain`. */
async function trained(names: readonly string[], more: object = {}) {
  const data = arrayDataset({
    inputs: inputs.map((t, i) => ({ ...t, name: names[i] as string })),
    labels,
  });
  const teacher = () => ({
    logits: randomTensor(5, [8, 4]),
    taps: { t: randomTensor(6, [8, 6]) },
  });
  const events = await collect({
    ...{ student: student(names), data, batch: 8, epochs: 2, learningRate: 0.05 },
    ...{ teacher, taps: [{ name: "t", teacher: "t", student: names[7] as string }], ...more },
  });
  const { student: bytes } = only(events, "done")[0]!;
  const { graph } = readModel(bytes, { source: "trained" });
  return {
    losses: only(events, "step").map((e) => e.losses),
    weights: names.slice(3, 6).map((n) => (graph.constants.get(graph.find(n) as Value) as Tensor).data),
  };
}

const reserved = [
  ["labels", "row-weights", "losses", "teacher/logits", "teacher/tap/t", "scalar/learning-rate"],
  ["state/weights/0", "next/weights/0", "forward/logits", "forward/tap/t"],
  ["seed/logits", "seed/tap/t", "mask/d", "gradient/weights/0", "front/a", "student/labels"],
  ["next/statistics/0", "state/momentum/weights/0", "next/momentum/weights/0", "student/student/labels"],
].flat();

describe("names like ours", () => {
  it("change nothing, whatever bears them", async () => {
    const expected = await trained(plain);
    // Every name stands once in every place.
    for (let from = 0; from < reserved.length; from += 3) {
      const names = plain.map((_, i) => reserved[(from + i) % reserved.length] as string);
      expect(await trained(names), names.join(" ")).toEqual(expected);
    }
  });

  it("change nothing for losses with a state of their own, or on arrays alone", async () => {
    class OnArrays extends DistillationStrategyBase {
      computeLoss(student: MatrixLike): number {
        return Array.from(this.computeGradient(student).data, (x) => (x * x) / 2).reduce((sum, x) => sum + x);
      }
      computeGradient(student: MatrixLike): Matrix {
        return Matrix.fromTensor(student);
      }
    }
    for (const strategy of [
      new CenteredKernelAlignmentStrategy(),
      new NeuronSelectivityDistillationStrategy({ metric: "variance" }),
      new OnArrays(),
    ]) {
      const expected = await trained(plain, { strategy });
      for (const from of [0, 7, 13]) {
        const names = plain.map((_, i) => reserved[(from + i) % reserved.length] as string);
        expect(await trained(names, { strategy }), names.join(" ")).toEqual(expected);
      }
    }
  });

  it("are told apart: two names never become one", () => {
    const all = [...reserved, ...reserved.map(studentName)];
    expect(new Set(all.map(studentName)).size).toBe(new Set(all).size);
    expect(studentName("conv1/weight")).toBe("conv1/weight");
    expect(studentName("labels")).toBe("student/labels");
    expect(studentName("student/labels")).toBe("student/student/labels");
  });
});
