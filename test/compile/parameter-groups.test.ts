// What weight decay spares by role, where exporters wrote biases and scales as nodes of their own.
import { expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { adamW } from "../../src/optim/adamw.ts";
import { compileModel, type NodeLine, smallStudent } from "./compile-model.ts";

const filled = (dims: readonly number[]) =>
  tensor(
    "float32",
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i + 1)),
    dims,
  );

it("biases, scales and other vectors are spared by what they are to their nodes, tables are not", async () => {
  const decays: Record<string, readonly number[]> = {
    w: [4, 3],
    table: [5, 3],
    gate: [1, 5, 3],
    head: [15, 2],
  };
  const spared: Record<string, readonly number[]> = {
    bias: [1, 1, 3],
    scale: [3],
    shift: [1, 3],
    slope: [1],
  };
  const constants = Object.fromEntries(
    Object.entries({ ...decays, ...spared }).map(([name, dims]) => [name, filled(dims)]),
  );
  const lines: NodeLine[] = [
    { op: "MatMul", inputs: ["x", "w"], output: "a" },
    { op: "Add", inputs: ["a", "bias"], output: "b" },
    { op: "Add", inputs: ["table", "b"], output: "c" },
    { op: "Mul", inputs: ["c", "gate"], output: "d" },
    { op: "Mul", inputs: ["scale", "d"], output: "e" },
    { op: "Sub", inputs: ["e", "shift"], output: "f" },
    { op: "PRelu", inputs: ["f", "slope"], output: "g" },
    { op: "Flatten", inputs: ["g"], output: "k" },
    { op: "MatMul", inputs: ["k", "head"], output: "y" },
  ];
  const student = smallStudent([2, 5, 4], constants, lines);
  const compiled = await compileModel(student, 2, { optimizer: adamW(), noDecay: ["auto"] });
  const of = (weightDecay: number | undefined) =>
    compiled.weights
      .filter((p) => p.settings?.weightDecay === weightDecay)
      .flatMap((p) => p.tensors.map((t) => t.name))
      .sort();
  expect(of(0)).toEqual(Object.keys(spared).sort());
  expect(of(undefined)).toEqual(Object.keys(decays).sort());
  const none = await compileModel(student, 2, { optimizer: adamW() });
  expect(none.weights).toHaveLength(1);
});
