// What a user or a file says of the mode of a BatchNormalization has its effect: in the step, in evaluation and in the file
// that comes out.
import { describe, expect, test } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import type { RoleRow } from "../../src/compile/role-table.ts";
import { int } from "../../src/graph/graph.ts";
import { arrayDataset, type DistillOptions, distill } from "../../src/index.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { type NodeLine, randomTensor, smallStudent } from "../compile/compile-model.ts";

const f32 = (values: number[], dims = [values.length]): Tensor => tensor("float32", values, dims);
const names = ["weight", "bias", "running_mean", "running_var"];

function student(modes: readonly number[] = [0, 0], extra: readonly NodeLine[] = []): Model {
  const norms = modes.map((_, i) => `n${i}`);
  return smallStudent(
    ["n", 3] as unknown as number[],
    {
      a: randomTensor(1, [3, 4]),
      b: randomTensor(2, [4, 4]),
      yes: tensor("bool", [1], []),
      half: f32([0.5], []),
      ...Object.fromEntries(
        norms.flatMap((n) => [
          [`${n}.weight`, f32([1, 1.1, 0.9, 1.2])],
          [`${n}.bias`, f32([0.1, 0, 0.2, 0.3])],
          [`${n}.running_mean`, f32([0.1, 0.2, 0.3, 0.4])],
          [`${n}.running_var`, f32([1, 2, 3, 4])],
        ]),
      ),
    },
    [
      { op: "MatMul", inputs: ["x", "a"], output: "h" },
      ...modes.flatMap((mode, i): NodeLine[] => [
        {
          op: "BatchNormalization",
          inputs: [i === 0 ? "h" : "h1", ...names.map((n) => `n${i}.${n}`)],
          output: `y${i}`,
          attributes: { training_mode: int(mode) },
        },
        ...(i === 0 ? [{ op: "MatMul", inputs: ["y0", "b"], output: "h1" }] : []),
      ]),
      ...extra,
    ],
  );
}

async function run(model: Model, options: Partial<DistillOptions> = {}) {
  const labels = Array.from({ length: 16 }, (_, i) => i % 4);
  let notes: readonly string[] = [];
  let roles: readonly RoleRow[] = [];
  for await (const e of distill({
    student: modelBytes(model),
    data: arrayDataset({ inputs: [randomTensor(3, [16, 3])], labels }),
    batch: 8,
    epochs: 1,
    keep: "last",
    worker: false,
    ...options,
  })) {
    if (e.type === "start") [notes, roles] = [e.notes, e.roles];
    if (e.type === "done") return { bytes: e.student as Uint8Array, notes, roles };
  }
  throw new Error("no end");
}

const moved = (before: Model, bytes: Uint8Array): string[] => {
  const after = readModel(bytes);
  return [...before.graph.constants].flatMap(([v, t]) => {
    const now = after.graph.constants.get(after.graph.find(v.name)!) as Tensor;
    return t.dtype === "float32" && now.data.some((d, i) => d !== t.data[i]) ? [v.name] : [];
  });
};

describe("--freeze", () => {
  const all = ["a", "b", ...[0, 1].flatMap((i) => names.map((n) => `n${i}.${n}`))];
  const without = (...left: string[]): string[] => all.filter((n) => !left.includes(n)).sort();
  const layer = names.map((n) => `n0.${n}`);
  test.each([
    ["a pattern of the layer", ["n0.*"], layer],
    ["a running mean by name", ["n0.running_mean"], ["n0.running_mean", "n0.running_var"]],
    ["scale and offset by name", ["n0.weight", "n0.bias"], layer],
    ["the scale alone", ["n0.weight"], ["n0.weight"]],
  ])("%s: what it names stays, and only that", async (_, freeze, stays) => {
    const { bytes } = await run(student(), { freeze });
    expect(moved(student(), bytes).sort()).toEqual(without(...stays));
  });

  test("the layer uses the statistics that stay, as with all of them frozen", async () => {
    const frozen = await run(student([0]), { freeze: ["n0.running_*"] });
    const option = await run(student([0]), { batchNorm: "frozen" });
    expect(frozen.bytes).toEqual(option.bytes);
    expect(frozen.roles.filter((r) => r.role !== "trained").map((r) => [r.role, r.reason])).toEqual([
      ["fixed", "--freeze 'n0.running_*'"],
    ]);
    expect(option.roles.find((r) => r.role === "fixed")?.reason).toBe(
      "running statistics, --batch-norm frozen",
    );
  });

  test("--train lets statistics follow the data again", async () => {
    const { bytes } = await run(student([0]), { freeze: ["n0.*"], train: ["n0.running_*"] });
    expect(moved(student([0]), bytes)).toEqual(["a", "b", "n0.running_mean", "n0.running_var"]);
  });
});

describe("layers in training mode in the file", () => {
  const dropout: NodeLine = { op: "Dropout", inputs: ["y1", "half", "yes"], output: "z" };
  test("are evaluated and delivered in inference mode; what the file keeps in it stays so", async () => {
    const given = student([0, 1], [dropout]);
    const { bytes, notes } = await run(given);
    expect(notes).toContain(
      "the student's file has 1 BatchNormalization and 1 Dropout in training mode; it is evaluated and written to student.onnx in inference mode; 1 BatchNormalization in inference mode stay so in training, with their statistics (--train to let them move)",
    );
    expect(moved(given, bytes)).not.toContain("n0.running_mean");
    expect(moved(given, bytes)).toContain("n1.running_mean");
    const session = await nodeRuntime.load(bytes);
    const x = randomTensor(5, [6, 3]);
    const six = (await session.run({ x })).z?.data as Float32Array;
    const first = f32([...(x.data as Float32Array)].slice(0, 3), [1, 3]);
    const one = (await session.run({ x: first })).z as Tensor;
    for (const [i, v] of one.data.entries()) expect(Number(v)).toBeCloseTo(six[i] as number, 5);
    await session.release();
  });

  test("a teacher is asked in inference mode", async () => {
    const { notes } = await run(student(), { teacher: modelBytes(student([1, 1])) });
    expect(notes).toContain(
      "the teacher's file has 2 BatchNormalization in training mode; it is asked in inference mode",
    );
  });
});
