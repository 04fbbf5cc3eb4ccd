// Every ending of a classifier: the value that is found must give the output back when the activation is applied to it.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { int, ints } from "../../src/graph/graph.ts";
import { withOutputs } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { describeLogits, logitsOf, withLogits } from "../../src/prepare/logits.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import type { OutputKind } from "../../src/strategies/index.ts";
import { type NodeLine, randomTensor, smallStudent } from "../compile/compile-model.ts";

const constants = {
  w: randomTensor(1, [4, 3]),
  axis: tensor("int64", [1]),
  last: tensor("int64", [-1]),
  flat: tensor("int64", [0, 3]),
  map: tensor("int64", [0, 3, 1, 1]),
  one: tensor("float32", [1], []),
  nought: tensor("float32", [0, 0, 0]),
};
const head: NodeLine = { op: "MatMul", inputs: ["x", "w"], output: "z" };
const model = (lines: readonly NodeLine[], opset = 17, outputs?: readonly string[]): Model =>
  smallStudent([2, 4], constants, [head, ...lines], { opset, ...(outputs && { outputs }) });

const softmax = (z: Float32Array): number[] => {
  const rows = [z.slice(0, 3), z.slice(3)];
  return rows.flatMap((row) => {
    const top = Math.max(...row);
    const e = [...row].map((v) => Math.exp(v - top));
    return e.map((v) => v / e.reduce((a, b) => a + b));
  });
};
const apply = {
  Softmax: softmax,
  LogSoftmax: (z: Float32Array) => softmax(z).map(Math.log),
  Sigmoid: (z: Float32Array) => [...z].map((v) => 1 / (1 + Math.exp(-v))),
};

/** Runs the model for its logits and its output, and holds one to the other. */
async function check(m: Model, activation: OutputKind, op: keyof typeof apply): Promise<string> {
  const found = logitsOf(m, undefined, activation);
  expect(found.activation?.op).toBe(op);
  const tapped = withLogits(m, found);
  const session = await nodeRuntime.load(withOutputs(tapped, [found.value]));
  const x = tensor("float32", [3, -2, 1, 0.5, 9, 8, -8, 1], [2, 4]);
  const out = await session.run({ x });
  await session.release();
  const [logits, y] = [out[found.value] as Tensor, out[found.output] as Tensor];
  expect(logits.dims).toEqual(y.dims);
  const again = apply[op](logits.data as Float32Array);
  again.forEach((v, i) => {
    const is = (y.data as Float32Array)[i] as number;
    expect(Math.abs(v - is), `element ${i}: ${v} and ${is}`).toBeLessThan(1e-5 * (1 + Math.abs(is)));
  });
  return found.value;
}

const exp: NodeLine[] = [
  { op: "ReduceMax", inputs: ["z"], output: "m", attributes: { axes: ints([1]) } },
  { op: "Sub", inputs: ["z", "m"], output: "d" },
  { op: "Exp", inputs: ["d"], output: "e" },
  { op: "ReduceSum", inputs: ["e", "axis"], output: "s" },
];

describe("the logits of a classifier that ends in", () => {
  const cases: Record<string, [NodeLine[], keyof typeof apply, string, number?]> = {
    "a Softmax": [[{ op: "Softmax", inputs: ["z"], output: "p" }], "Softmax", "z"],
    "a Softmax of opset 11": [[{ op: "Softmax", inputs: ["z"], output: "p" }], "Softmax", "z", 11],
    "a LogSoftmax": [
      [{ op: "LogSoftmax", inputs: ["z"], output: "p", attributes: { axis: int(1) } }],
      "LogSoftmax",
      "z",
    ],
    "a Softmax and a Reshape behind it": [
      [
        { op: "Reshape", inputs: ["z", "map"], output: "z4" },
        { op: "Softmax", inputs: ["z4"], output: "p4", attributes: { axis: int(1) } },
        { op: "Flatten", inputs: ["p4"], output: "p2" },
        { op: "Identity", inputs: ["p2"], output: "p" },
      ],
      "Softmax",
      "p/logits",
    ],
    "a Softmax, times 1 and plus 0": [
      [
        { op: "Softmax", inputs: ["z"], output: "q" },
        { op: "Mul", inputs: ["one", "q"], output: "r" },
        { op: "Add", inputs: ["r", "nought"], output: "p" },
      ],
      "Softmax",
      "p/logits",
    ],
    "Exp, ReduceSum, Div": [[...exp, { op: "Div", inputs: ["e", "s"], output: "p" }], "Softmax", "z"],
    "Exp, ReduceSum, Reciprocal, Mul": [
      [
        ...exp,
        { op: "Reciprocal", inputs: ["s"], output: "i" },
        { op: "Mul", inputs: ["e", "i"], output: "p" },
      ],
      "Softmax",
      "z",
    ],
    "Sub, Log, ReduceSum, Exp": [
      [...exp, { op: "Log", inputs: ["s"], output: "l" }, { op: "Sub", inputs: ["d", "l"], output: "p" }],
      "LogSoftmax",
      "z",
    ],
    "Sub and ReduceLogSumExp": [
      [
        { op: "ReduceLogSumExp", inputs: ["z"], output: "l", attributes: { axes: ints([-1]) } },
        { op: "Sub", inputs: ["z", "l"], output: "p" },
      ],
      "LogSoftmax",
      "z",
    ],
    "the Log of a Softmax": [
      [
        { op: "Softmax", inputs: ["z"], output: "q" },
        { op: "Log", inputs: ["q"], output: "p" },
      ],
      "LogSoftmax",
      "z",
    ],
  };
  for (const [what, [lines, op, value, opset]] of Object.entries(cases))
    it(what, async () => {
      expect(await check(model(lines, opset), "softmax", op)).toBe(value);
    });

  it("a Sigmoid, where the classes are independent", async () => {
    const m = model([{ op: "Sigmoid", inputs: ["z"], output: "p" }]);
    expect(await check(m, "sigmoid", "Sigmoid")).toBe("z");
  });
});

describe("the output itself holds the logits", () => {
  it.each<[string, NodeLine[], OutputKind]>([
    ["without an activation", [], "softmax"],
    ["for a task without one", [{ op: "Softmax", inputs: ["z"], output: "p" }], "identity"],
    [
      "for a Softmax over the batch",
      [{ op: "Softmax", inputs: ["z"], output: "p", attributes: { axis: int(0) } }],
      "softmax",
    ],
    [
      "for a product with a scale",
      [
        { op: "Softmax", inputs: ["z"], output: "q" },
        { op: "Mul", inputs: ["q", "two"], output: "p" },
      ],
      "softmax",
    ],
  ])("%s", (_, lines, activation) => {
    const m = smallStudent([2, 4], { ...constants, two: tensor("float32", [2], []) }, [head, ...lines]);
    const output = lines.at(-1)?.output ?? "z";
    expect(logitsOf(m, undefined, activation)).toEqual({ value: output, output, added: [] });
    expect(withLogits(m, logitsOf(m, undefined, activation))).toBe(m);
  });

  it("for another activation than the task's, which whoever reads the values is told", () => {
    const m = model([{ op: "Sigmoid", inputs: ["z"], output: "p" }]);
    const found = logitsOf(m);
    expect(found.value).toBe("p");
    expect(found.unexpected).toEqual({ op: "Sigmoid", node: "/p" });
    expect(describeLogits(found, "the teacher")).toBeUndefined();
  });
});

describe("which output", () => {
  it("is the first of floats", () => {
    const m = model(
      [
        { op: "Softmax", inputs: ["z"], output: "p" },
        { op: "ArgMax", inputs: ["p"], output: "label" },
      ],
      17,
      ["label", "p"],
    );
    // Declared types come with the file; a graph without them is taken at its word.
    expect(logitsOf({ ...m, outputs: [{ name: "label", dtype: "int64", dims: [2, 1] }] }).value).toBe("z");
  });

  it("is the one that is named, or an error with the nearest names", () => {
    const m = model([{ op: "Softmax", inputs: ["z"], output: "probs" }]);
    expect(logitsOf(m, "z").value).toBe("z");
    expect(() => logitsOf(m, "prob")).toThrow(
      'logits: student.onnx has no value "prob". Did you mean "probs"? `onnx-distill inspect` lists them.',
    );
  });

  it("is described", () => {
    const m = model([{ op: "Softmax", inputs: ["z"], output: "p" }]);
    expect(describeLogits(logitsOf(m), "the student")).toBe(
      `the student's output "p" comes from a Softmax (node "/p"): "z", its input, is taken for the logits`,
    );
  });
});
