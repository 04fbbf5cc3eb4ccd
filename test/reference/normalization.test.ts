// The reference normalisations against ONNX Runtime.
import { expect, it } from "vitest";
import { type Attributes, float, int } from "../../src/graph/graph.ts";
import { type Case, evaluateCase, f32, randomInputs, testTable } from "./hold-to-runtime.ts";
import { normalization } from "./normalization.ts";

const { floats } = randomInputs(15);

const batch = (x: number[], attributes: Attributes = {}, outputs = 1): Case => {
  const c = [x[1]!];
  return {
    op: "BatchNormalization",
    inputs: [floats(x), floats(c), floats(c), floats(c), floats(c, 0.2, 2)],
    attributes,
    outputs,
  };
};
const training = { training_mode: int(1) };

const cases: Case[] = [
  batch([4, 3, 5, 6]),
  batch([4, 3], { epsilon: float(0.01) }),
  batch([2, 3, 5], {}),
  batch([4, 3, 5, 6], training, 3),
  batch([4, 3, 5, 6], { ...training, momentum: float(0.6), epsilon: float(0.1) }, 3),
  batch([4, 3, 7], training, 3),
  { op: "LayerNormalization", inputs: [floats([2, 3, 4]), floats([4])] },
  { op: "LayerNormalization", inputs: [floats([2, 3, 4]), floats([4]), floats([4])], outputs: 3 },
  {
    op: "LayerNormalization",
    inputs: [floats([2, 3, 4]), floats([3, 4]), floats([3, 4])],
    attributes: { axis: int(1), epsilon: float(0.1), stash_type: int(1) },
    outputs: 3,
  },
  { op: "InstanceNormalization", inputs: [floats([2, 3, 4, 5]), floats([3]), floats([3])] },
  {
    op: "InstanceNormalization",
    inputs: [floats([2, 3, 7]), floats([3]), floats([3])],
    attributes: { epsilon: float(0.1) },
  },
  {
    op: "GroupNormalization",
    inputs: [floats([2, 6, 4, 5]), floats([6]), floats([6])],
    attributes: { num_groups: int(3) },
  },
  {
    op: "GroupNormalization",
    inputs: [floats([2, 4, 5]), floats([4]), floats([4])],
    attributes: { num_groups: int(1), epsilon: float(0.1) },
  },
  { op: "LRN", inputs: [floats([2, 5, 3, 4])], attributes: { size: int(3) } },
  {
    op: "LRN",
    inputs: [floats([2, 6, 3, 4])],
    attributes: { size: int(5), alpha: float(0.5), beta: float(0.6), bias: float(2) },
  },
];

testTable(normalization, cases);

it("LRN with an even size takes the odd neighbour from the higher channel", () => {
  // ONNX Runtime refuses even sizes. By the specification: channels from c − ⌊(size−1)/2⌋ to c + ⌈(size−1)/2⌉.
  const attributes = { size: int(2), alpha: float(2), beta: float(1), bias: float(0) };
  const [y] = evaluateCase({ op: "LRN", inputs: [f32([1, 2, 3], [1, 3, 1])], attributes });
  expect([...y!.data]).toEqual([1 / (1 + 4), 2 / (4 + 9), 3 / 9]);
});
