// Students with weights in branches and functions: they are trained where they lie, and the file keeps its form.
import { fromBinary } from "@bufbuild/protobuf";
import { type GraphProto, ModelProtoSchema } from "onnx-buf";
import { expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { describeModel } from "../../src/cli/describe-model.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { testRandom } from "../gradient-checker.ts";
import { fn, graph, line, modelOf } from "../onnx/protos.ts";
import { collect, only } from "./helpers.ts";

const matrix = (rows: number, columns: number, seed: number) => {
  const random = testRandom(seed);
  return tensor(
    "float32",
    Float32Array.from({ length: rows * columns }, () => random() - 0.5),
    [rows, columns],
  );
};

/** relu(x·w) in the branch of batches above one, −x·w in the other; then a function's product, twice. */
function student(): Uint8Array {
  const branch = (last: string, seed: number) =>
    graph([line("MatMul x w -> m"), line(`${last} m -> out`)], ["out"], { w: matrix(3, 4, seed) });
  const mix = fn(
    "Mix",
    ["a"],
    ["b"],
    [line("Constant -> k", { value: matrix(4, 4, 3) }), line("MatMul a k -> p"), line("Add a p -> b")],
  );
  return modelOf(
    graph(
      [
        line("Shape x -> shape"),
        line("Gather shape zero -> rows"),
        line("Greater rows one -> many"),
        line("If many -> h", { then_branch: branch("Relu", 1), else_branch: branch("Neg", 2) }),
        line("local::Mix h -> g"),
        line("local::Mix g -> f"),
        line("MatMul f head -> y"),
      ],
      ["y"],
      { zero: tensor("int64", [0], []), one: tensor("int64", [1], []), head: matrix(4, 2, 4) },
    ),
    [mix],
  );
}

it("is described with the branch and the functions written out", async () => {
  const model = readModel(student(), { source: "student.onnx" });
  const found = await describeModel(model, { runtime: nodeRuntime, batch: 2 });
  expect(found.notes).toEqual([]);
  expect(found.layers.map((l) => l.op).filter((op) => !["Shape", "Gather", "Greater"].includes(op))).toEqual([
    ...["MatMul", "Relu", "MatMul", "Add", "MatMul", "Add", "MatMul"],
  ]);
  expect(found.layers.filter((l) => l.op === "MatMul").map((l) => l.name)).toEqual([
    "If_3/MatMul_0",
    "Mix_4/MatMul_1",
    "Mix_5/MatMul_1",
    "MatMul_6",
  ]);
  // The branch's w, the function's k (once), and the head.
  expect(found.parameters).toBe(3 * 4 + 4 * 4 + 4 * 2);
  expect(found.ops.every((o) => o.gradient === "yes" || o.gradient === "folded")).toBe(true);
  const other = await describeModel(model, { runtime: nodeRuntime, batch: 1 });
  expect(other.layers.map((l) => l.op)).toContain("Neg");
});

it("trains the branch that is taken and the function's constant, and leaves the other branch alone", async () => {
  const random = testRandom(5);
  const data = Float32Array.from({ length: 3 * 128 }, () => 2 * random() - 1);
  const labels = Int32Array.from({ length: 128 }, (_, i) => Number(data[3 * i]! * data[3 * i + 1]! > 0));
  const dataset = arrayDataset({ inputs: [tensor("float32", data, [128, 3])], labels, classes: 2 });
  const bytes = student();
  const events = await collect({
    student: bytes,
    data: dataset,
    evaluation: dataset,
    batch: 32,
    epochs: 30,
    learningRate: 0.2,
    seed: 1,
  });
  const losses = only(events, "step").map((e) => e.losses.loss as number);
  expect(losses.at(-1)).toBeLessThan(0.7 * (losses[0] as number));
  const [before, after] = [bytes, only(events, "done")[0]!.student].map((b) =>
    fromBinary(ModelProtoSchema, b),
  );
  expect(after!.graph!.node.map((n) => n.opType)).toEqual(before!.graph!.node.map((n) => n.opType));
  const branches = (m: typeof after): Record<string, GraphProto> =>
    Object.fromEntries(m!.graph!.node[3]!.attribute.map((a) => [a.name, a.g!]));
  const weight = (m: typeof after, name: string) => branches(m)[name]!.initializer[0]!.rawData;
  expect(weight(after, "then_branch")).not.toEqual(weight(before, "then_branch"));
  expect(weight(after, "else_branch")).toEqual(weight(before, "else_branch"));
  const constant = (m: typeof after) => m!.functions[0]!.node[0]!.attribute[0]!.t!.rawData;
  expect(constant(after)).not.toEqual(constant(before));
});
