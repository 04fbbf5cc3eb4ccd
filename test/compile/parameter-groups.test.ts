// What weight decay spares by role, where exporters wrote biases and scales as nodes of their own.
import { expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { decayOf, layOut } from "../../src/compile/state.ts";
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
  const of = (decay: number | undefined) =>
    compiled.weights
      .flatMap((p) => p.tensors.filter((t) => decayOf(p, t) === decay).map((t) => t.name))
      .sort();
  expect(of(0)).toEqual(Object.keys(spared).sort());
  expect(of(undefined)).toEqual(Object.keys(decays).sort());
  expect(compiled.weights).toHaveLength(1);
  const none = await compileModel(student, 2, { optimizer: adamW() });
  expect(none.weights).toHaveLength(1);
});

it("small weights of several decays share a vector up to a million elements, those of several groups never", () => {
  const group = { match: "head.*" };
  const of = (size: number) =>
    layOut("weights", [
      { name: "a", dims: [size], settings: {} },
      { name: "b", dims: [size], settings: { weightDecay: 0 } },
      { name: "c", dims: [2, size], settings: {} },
      { name: "d", dims: [2], settings: { group, weightDecay: 0 } },
      { name: "e", dims: [3], settings: { group, weightDecay: 0 } },
    ]).map(({ key, tensors, group: g, weightDecay }) => [
      key,
      tensors.map((t) => t.name).join(""),
      g,
      weightDecay,
    ]);
  const head = ["de", group, 0];
  expect(of(5)).toEqual([
    ["weights/0", "abc", undefined, [undefined, 0, undefined]],
    ["weights/1", ...head],
  ]);
  const large = layOut(
    "weights",
    Array.from({ length: 10 }, (_, i) => ({
      name: String(i),
      dims: [1 << 17],
      settings: i % 2 ? { weightDecay: 0 } : {},
    })),
  );
  expect(large.map((p) => [p.tensors.length, p.weightDecay])).toEqual([
    [5, undefined],
    [5, 0],
  ]);
});

it("a pattern of the name that a file has for several merged weights reaches all of them", async () => {
  const ones = tensor("float32", [1, 1, 1], [3]);
  const zeros = tensor("float32", [0, 0, 0], [3]);
  const node = (output: string, inputs: readonly string[]) => ({ op: "LayerNormalization", inputs, output });
  const student = smallStudent([2, 3], { ones, zeros }, [
    node("a", ["x", "ones", "zeros"]),
    node("y", ["a", "ones", "zeros"]),
  ]);
  const compiled = await compileModel(student, 2, {
    groups: [{ match: "ones", rate: () => 0.1 }],
    optimizer: adamW(),
  });
  const rated = compiled.weights.filter((p) => p.group).flatMap((p) => p.tensors);
  expect(rated).toHaveLength(2);
});
