// What an exporter leaves among the constants that is no weight: it is not trained, and what needs its numbers gets them.
import { describe, expect, test } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import type { CompiledStep } from "../../src/compile/compile-step.ts";
import { int, ints, string } from "../../src/graph/graph.ts";
import { compileModel, type NodeLine, randomTensor, smallStudent } from "./compile-model.ts";

const trainedOf = (compiled: CompiledStep): string[] =>
  compiled.weights.flatMap((p) => p.tensors.map((t) => t.name)).sort();

const float = (values: readonly number[], dims: readonly number[] = [values.length]): Tensor =>
  tensor("float32", values, dims);

const constantNode = (output: string, value: Tensor): NodeLine => ({
  op: "Constant",
  inputs: [],
  output,
  attributes: { value: { kind: "tensor", value } },
});

/** x [2,3] · weight [3,4] → "product" → lines; what is trained. */
async function trained(
  constants: Readonly<Record<string, Tensor>>,
  lines: readonly NodeLine[],
  weight: Tensor | undefined = randomTensor(1, [3, 4]),
): Promise<string[]> {
  const product: NodeLine = { op: "MatMul", inputs: ["x", "weight"], output: "product" };
  const student = smallStudent([2, 3], { ...(weight ? { weight } : {}), ...constants }, [
    ...(weight ? [product] : []),
    ...lines,
  ]);
  return trainedOf(await compileModel(student, 2));
}

describe("constants of an ordinary file", () => {
  test("a Constant node is a number of the architecture where the weights are initialisers", async () => {
    const lines: NodeLine[] = [
      constantNode("window", float([1, 2, 3, 4])),
      { op: "Mul", inputs: ["product", "window"], output: "windowed" },
      { op: "Add", inputs: ["windowed", "bias"], output: "logits" },
    ];
    expect(await trained({ bias: float([1, 2, 3, 4]) }, lines)).toEqual(["bias", "weight"]);
  });

  test("a Constant node is a weight where there are no others, as in files of Paddle2ONNX", async () => {
    const student = smallStudent([2, 3], { epsilon: float([1e-5]) }, [
      constantNode("weight", randomTensor(1, [3, 4])),
      { op: "MatMul", inputs: ["x", "weight"], output: "product" },
      { op: "Add", inputs: ["product", "epsilon"], output: "logits" },
    ]);
    expect(trainedOf(await compileModel(student, 2))).toEqual(["weight"]);
  });

  test("an additive mask stays as it is; a bias with zeros in it trains", async () => {
    const lines: NodeLine[] = [
      { op: "Add", inputs: ["product", "mask"], output: "masked" },
      { op: "Add", inputs: ["masked", "infinite"], output: "hidden" },
      { op: "Add", inputs: ["hidden", "bias"], output: "logits" },
    ];
    const constants = {
      mask: float([0, 0, -100, 0]),
      infinite: float([0, Number.NEGATIVE_INFINITY, 0, -3.4e38]),
      bias: float([0, 0, -2, 0]),
    };
    expect(await trained(constants, lines)).toEqual(["bias", "weight"]);
  });

  test("what the loss never moves stays out of weight decay: counters behind a comparison", async () => {
    const lines: NodeLine[] = [
      { op: "Equal", inputs: ["counters", "three"], output: "same" },
      { op: "Where", inputs: ["same", "product", "zero"], output: "logits" },
    ];
    const constants = { counters: float([3, 1, 3, 2]), three: float([3], []), zero: float([0], []) };
    expect(await trained(constants, lines)).toEqual(["weight"]);
  });
});

describe("fixed slots", () => {
  const map: NodeLine[] = [
    { op: "Reshape", inputs: ["product", "shape"], output: "map" },
    { op: "Reshape", inputs: ["large", "flat"], output: "logits" },
  ];
  const shapes = { shape: tensor("int64", [2, 1, 2, 2]), flat: tensor("int64", [2, 16]) };
  const resize: NodeLine = {
    op: "Resize",
    inputs: ["map", "", "scales"],
    output: "large",
    attributes: { mode: string("nearest") },
  };

  test("the scales of a Resize", async () => {
    const constants = { ...shapes, scales: float([1, 1, 2, 2]) };
    expect(await trained(constants, [map[0]!, resize, map[1]!])).toEqual(["weight"]);
  });

  test("scales that the exporter puts together from pieces", async () => {
    const constants = { ...shapes, first: float([1, 1]), last: float([2, 2]) };
    const concat: NodeLine = {
      op: "Concat",
      inputs: ["first", "last"],
      output: "scales",
      attributes: { axis: int(0) },
    };
    expect(await trained(constants, [map[0]!, concat, resize, map[1]!])).toEqual(["weight"]);
  });

  test("one tensor that is scales here and a factor there is not trained either", async () => {
    const constants = { ...shapes, scales: float([1, 1, 2, 2]) };
    const scaled: NodeLine = { op: "Mul", inputs: ["product", "scales"], output: "scaled" };
    const first = { ...map[0]!, inputs: ["scaled", "shape"] };
    expect(await trained(constants, [scaled, first, resize, map[1]!])).toEqual(["weight"]);
  });

  test("numbers that a scatter writes everywhere, not values of their own", async () => {
    const scatter = (updates: string): NodeLine => ({
      op: "ScatterND",
      inputs: ["product", "rows", updates],
      output: "logits",
    });
    const rows = tensor("int64", [1], [1, 1]);
    const trainedBy = (values: readonly number[]) =>
      trained({ rows, updates: float(values, [1, 4]) }, [scatter("updates")]);
    expect(await trainedBy([0, 0, 0, 0])).toEqual(["weight"]);
    expect(await trainedBy([1, 2, 3, 4])).toEqual(["updates", "weight"]);
  });

  test("the ones and zeros of a GroupNorm spelt as InstanceNormalization, not an InstanceNormalization's own", async () => {
    const line = (input: string): NodeLine => ({
      op: "InstanceNormalization",
      inputs: [input, "ones", "zeros"],
      output: "normal",
    });
    const grouped: NodeLine = { op: "Reshape", inputs: ["product", "groups"], output: "grouped" };
    const rest: NodeLine[] = [
      { op: "Reshape", inputs: ["normal", "flat"], output: "logits" },
      { op: "Mul", inputs: ["logits", "gamma"], output: "scaled" },
    ];
    const constants = {
      groups: tensor("int64", [2, 2, 2]),
      flat: tensor("int64", [2, 4]),
      gamma: float([1, 1, 1, 1]),
    };
    const norm = { ones: float([1, 1]), zeros: float([0, 0]) };
    expect(await trained({ ...constants, ...norm }, [grouped, line("grouped"), ...rest])).toEqual([
      "gamma",
      "weight",
    ]);
    const moved = { ones: float([1, 1.5]), zeros: float([0, 0]) };
    expect(await trained({ ...constants, ...moved }, [grouped, line("grouped"), ...rest])).toEqual([
      "gamma",
      "ones",
      "weight",
      "zeros",
    ]);
    const unsqueezed: NodeLine[] = [
      { op: "Transpose", inputs: ["product"], output: "turned", attributes: { perm: ints([0, 1]) } },
      { op: "Unsqueeze", inputs: ["turned", "last"], output: "sequence" },
    ];
    const four = { ones: float([1, 1, 1, 1]), zeros: float([0, 0, 0, 0]), last: tensor("int64", [2]) };
    expect(await trained({ ...constants, ...four }, [...unsqueezed, line("sequence"), ...rest])).toEqual([
      "gamma",
      "ones",
      "weight",
      "zeros",
    ]);
  });

  test("the two values of a OneHot", async () => {
    const lines: NodeLine[] = [
      { op: "OneHot", inputs: ["ids", "depth", "values"], output: "hot", attributes: { axis: int(-1) } },
      { op: "Add", inputs: ["product", "hot"], output: "logits" },
    ];
    const constants = {
      ids: tensor("int64", [1, 2]),
      depth: tensor("int64", [4], []),
      values: float([0, 1]),
    };
    expect(await trained(constants, lines)).toEqual(["weight"]);
  });
});
