// Weights that a file holds twice are one in training and in the file that comes out, unless a user unties them; and what
// nodes share comes apart where a user says so.
import { describe, expect, test } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import type { Model } from "../../src/onnx/model.ts";
import { findTies, withTiedValues, withTies, withUntied } from "../../src/prepare/tied-weights.ts";
import { randomTensor, smallStudent } from "../compile/compile-model.ts";

const w = randomTensor(1, [4, 3]);
const turned: Tensor = tensor(
  "float32",
  Array.from({ length: 12 }, (_, i) => w.data[(i % 4) * 3 + Math.floor(i / 4)] as number),
  [3, 4],
);

const products = (second: string, other: Tensor, first = "first.weight"): Model =>
  smallStudent([2, 4], { [first]: w, [second]: other }, [
    { op: "MatMul", inputs: ["x", first], output: "h" },
    { op: "MatMul", inputs: ["h", second], output: "y" },
  ]);

test("a matrix under a name of the exporter's own follows the one under the model's", () => {
  const model = products("onnx::MatMul_12", turned);
  const ties = findTies(model);
  expect(ties).toEqual([{ name: "onnx::MatMul_12", of: "first.weight", transposed: true }]);
  const state = withTiedValues(new Map([["first.weight", w]]), ties);
  expect(state.get("onnx::MatMul_12")).toEqual(turned);
});

test("equal matrices under two names of the model are copies that begin alike", () => {
  expect(findTies(products("second.weight", turned))).toEqual([]);
});

test("ones and zeros are no sign", () => {
  const ones = (dims: number[]): Tensor => tensor("float32", new Array(12).fill(1), dims);
  const model = smallStudent([2, 4], { "a.weight": ones([4, 3]), "onnx::MatMul_9": ones([3, 4]) }, [
    { op: "MatMul", inputs: ["x", "a.weight"], output: "h" },
    { op: "MatMul", inputs: ["h", "onnx::MatMul_9"], output: "y" },
  ]);
  expect(findTies(model)).toEqual([]);
});

describe("--untie", () => {
  test("leaves apart what would be tied", () => {
    expect(findTies(products("onnx::MatMul_12", turned), { untie: ["first.*"] })).toEqual([]);
  });

  test("and what is frozen by one name alone", () => {
    const frozen = (name: string): boolean => name === "first.weight";
    expect(findTies(products("onnx::MatMul_12", turned), { frozen })).toEqual([]);
  });

  test("gives each node that takes a constant its own", () => {
    const square = randomTensor(2, [4, 4]);
    const model = smallStudent([2, 4], { "a.weight": square }, [
      { op: "MatMul", inputs: ["x", "a.weight"], output: "h" },
      { op: "MatMul", inputs: ["h", "a.weight"], output: "y" },
    ]);
    const untied = withUntied(model, ["a.weight"]);
    expect(untied.graph.nodes.map((n) => n.inputs[1]?.name)).toEqual(["a.weight", "a.weight_2"]);
    expect(withUntied(model, [])).toBe(model);
  });

  test("is refused for what is neither tied nor shared", () => {
    expect(() => withUntied(products("second.weight", turned), ["second.*"])).toThrow(
      "student.onnx: --untie 'second.*' names nothing that is tied or that several nodes share; leave it out",
    );
  });
});

describe("a vector that the exporter also folded", () => {
  const gain = randomTensor(5, [4]);
  const gains = (second: string, other: Tensor): Model =>
    smallStudent([2, 4], { "block.gain": gain, "a.weight": randomTensor(6, [4, 4]), [second]: other }, [
      { op: "MatMul", inputs: ["x", "a.weight"], output: "h" },
      { op: "Mul", inputs: ["h", "block.gain"], output: "up" },
      { op: "Tanh", inputs: ["up"], output: "bent" },
      { op: "Div", inputs: ["bent", second], output: "y" },
    ]);

  test("follows the parameter, in its own shape", () => {
    const folded: Tensor = { ...gain, dims: [1, 4] };
    const model = gains("onnx::Div_12", folded);
    const ties = findTies(model);
    expect(ties).toEqual([{ name: "onnx::Div_12", of: "block.gain", transposed: false, dims: [1, 4] }]);
    expect(withTiedValues(new Map([["block.gain", gain]]), ties).get("onnx::Div_12")).toEqual(folded);
    expect(withTies(model, ties).graph.nodes.map((n) => n.inputs.map((x) => x?.name))).toEqual([
      ["x", "a.weight"],
      ["h", "block.gain"],
      ["up"],
      ["block.gain", "onnx::Div_12/shape"],
      ["bent", "onnx::Div_12/tied"],
    ]);
    expect(findTies(model, { untie: ["block.gain"] })).toEqual([]);
  });

  test("of the same shape follows as it is", () => {
    expect(findTies(gains("onnx::Div_12", gain))).toEqual([
      { name: "onnx::Div_12", of: "block.gain", transposed: false },
    ]);
  });

  test("under a name of the model's, or all of one number, it is its own", () => {
    expect(findTies(gains("block.other", gain))).toEqual([]);
    expect(findTies(gains("onnx::Div_12", tensor("float32", [1, 1, 1, 1])))).toEqual([]);
  });
});
