// Students that hold weights of few bits: those are not trained, what stands beside them is, and they are delivered as they were.
import { describe, expect, it } from "vitest";
import { type NumericDType, type Tensor, tensor } from "../../src/base/tensor.ts";
import { roleEntries } from "../../src/compile/roles.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { opTable } from "../../src/ops/index.ts";
import { studentFromText } from "../models/graph-text.ts";
import { collect, only } from "./helpers.ts";
import { randomFloats } from "./random-floats.ts";

const floats = randomFloats(3);
const rows = floats(24, 5);
const labels = Uint8Array.from({ length: 24 }, (_, i) => i % 4);
const head = floats(3, 4);
const body = Array.from({ length: 15 }, (_, i) => (i % 16) - 8);
const data = arrayDataset({ inputs: [rows], labels, classes: 4 });

const student = (text: string, constants: Readonly<Record<string, Tensor>>, opset = 21): Uint8Array =>
  modelBytes(
    studentFromText(
      `${text}\ny = MatMul(g, head.weight)`,
      [-1, 5],
      { "head.weight": head, ...constants },
      opset,
    ),
  );

async function trained(bytes: Uint8Array, freeze: string[] = []) {
  const events = await collect({
    student: bytes,
    data,
    batch: 24,
    epochs: 3,
    learningRate: 0.1,
    keep: "last",
    seed: 4,
    freeze,
  });
  const { graph } = readModel(only(events, "done")[0]!.student);
  const held = (name: string): Tensor => {
    const t = graph.constants.get(graph.find(name)!)!;
    return { dtype: t.dtype, dims: t.dims, data: t.data };
  };
  return held;
}

/** What the same student learns whose weight is the float that is meant. */
async function meant(values: number[]): Promise<Tensor> {
  const bytes = student("g = MatMul(x, body.weight)", {
    "body.weight": tensor("float32", values.map(Math.fround), [5, 3]),
  });
  return (await trained(bytes, ["body.weight"]))("head.weight");
}

const f = Math.fround;
const scales = [0.1, 0.25, 0.05].map(f);
const column = (i: number): number => i % 3;

describe("the head learns what it learns on the numbers that are meant, and the rest is delivered as it was", () => {
  it.each<[string, NumericDType, string, number[], Record<string, Tensor>, number?]>([
    [
      "int4, one scale",
      "int4",
      "w = DequantizeLinear(q, s)",
      body.map((v) => v * f(0.1)),
      { s: tensor("float32", [0.1], []) },
    ],
    [
      "uint4, a scale and a zero point for each column",
      "uint4",
      "w = DequantizeLinear(q, s, z) axis=1",
      body.map((v, i) => (((v + 16) % 16) - [3, 0, 15][column(i)]!) * scales[column(i)]!),
      { s: tensor("float32", scales), z: tensor("uint4", [3, 0, 15]) },
    ],
    [
      "int4, by blocks",
      "int4",
      "w = DequantizeLinear(q, s) axis=0 block_size=2",
      body.map((v, i) => v * f(0.1 * (1 + Math.floor(i / 6) * 3 + column(i)))),
      {
        s: tensor(
          "float32",
          Array.from({ length: 9 }, (_, i) => 0.1 * (i + 1)),
          [3, 3],
        ),
      },
    ],
    [
      "int2",
      "int2",
      "w = DequantizeLinear(q, s)",
      body.map((v) => ((v + 10) % 4) - 2).map((v) => v * f(0.1)),
      { s: tensor("float32", [0.1], []) },
      25,
    ],
    [
      // 0x38 is 1, 0x3c is 1.5, 0xb0 is -0.5.
      "floats of 8 bits",
      "float8e4m3fn",
      "w = DequantizeLinear(q, s)",
      body.map((_, i) => [1, 1.5, -0.5][column(i)]! * f(0.1)),
      { s: tensor("float32", [0.1], []) },
    ],
  ])("%s", async (_, dtype, line, values, constants, opset) => {
    const stored: Record<string, number[]> = {
      uint4: body.map((v) => (v + 16) % 16),
      int2: body.map((v) => ((v + 10) % 4) - 2),
      float8e4m3fn: body.map((_, i) => [0x38, 0x3c, 0xb0][column(i)]!),
    };
    const numbers = stored[dtype] ?? body;
    const q = tensor(dtype, numbers, [5, 3]);
    const held = await trained(student(`${line}\ng = MatMul(x, w)`, { q, ...constants }, opset));
    expect(held("head.weight")).toEqual(await meant(values));
    expect(held("head.weight").data).not.toEqual(head.data);
    for (const [name, t] of Object.entries({ q, ...constants })) expect(held(name), name).toEqual(t);
  });

  it("what stands between the constant and its DequantizeLinear is followed", async () => {
    const turned = [0, 5, 10, 1, 6, 11, 2, 7, 12, 3, 8, 13, 4, 9, 14].map((i) => body[i] as number);
    const q = tensor("int4", body, [3, 5]);
    const s = tensor("float32", [0.1], []);
    const held = await trained(
      student("t = Transpose(q) perm=[1,0]\nw = DequantizeLinear(t, s)\ng = MatMul(x, w)", { q, s }),
    );
    expect(held("head.weight")).toEqual(await meant(turned.map((v) => v * f(0.1))));
    expect(held("q")).toEqual(q);
  });

  it("a cast from floats of 8 bits", async () => {
    const q = tensor(
      "float8e5m2",
      body.map((_, i) => [0x3c, 0x38, 0xbe][column(i)]!),
      [5, 3],
    );
    const held = await trained(student("w = Cast(q) to=1\ng = MatMul(x, w)", { q }));
    expect(held("head.weight")).toEqual(await meant(body.map((_, i) => [1, 0.5, -1.5][column(i)]!)));
    expect(held("q")).toEqual(q);
  });
});

it("the table of constants names them, and --train cannot", async () => {
  const bytes = student("w = DequantizeLinear(q, s)\ng = MatMul(x, w)", {
    q: tensor("int4", body, [5, 3]),
    s: tensor("float32", [0.1], []),
  });
  const model = readModel(bytes);
  expect(roleEntries(model, opTable, model.graph.nodes)).toContainEqual(
    expect.objectContaining({ name: "q", role: "fixed", reason: "whole numbers, taken by DequantizeLinear" }),
  );
  const options = { student: bytes, data, batch: 24, epochs: 1, train: ["q"] };
  await expect(collect(options)).rejects.toMatchObject({
    message: expect.stringMatching(/^student: weight "q".* is int4; training needs float32: /),
  });
});

it("a student of weights of few bits alone is refused", async () => {
  const bytes = (q: Tensor) =>
    modelBytes(
      studentFromText(
        "w = DequantizeLinear(q, s)\ny = MatMul(x, w)",
        [-1, 5],
        { q, s: tensor("float32", [0.1], []) },
        21,
      ),
    );
  await expect(trained(bytes(tensor("int4", body, [5, 3])))).rejects.toMatchObject({
    message:
      'student: no weight is left to train; "q" of DequantizeLinear at node "/w" holds whole numbers: train the float32 model that was quantised, and quantise the result',
  });
  await expect(
    trained(bytes(tensor("float8e4m3fn", new Array(15).fill(0x38), [5, 3]))),
  ).rejects.toMatchObject({
    message:
      'student: no weight is left to train; "q" of DequantizeLinear at node "/w" holds floats of 8 bits: train the float32 model that was quantised, and quantise the result',
  });
});
