// The evaluator around the operators: feeds, constants, types, several nodes, errors.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { type Attributes, Graph, int, ints } from "../../src/graph/graph.ts";
import { f32, i64 } from "./hold-to-runtime.ts";
import { evaluate } from "./index.ts";

/** y = x · w + w, with w a constant. */
function product(declared = [2]) {
  const graph = new Graph("product", [["", 21]]);
  const x = graph.addInput("x", { dtype: "float32", dims: [2] });
  const w = graph.addConstant("w", f32([3, 5]));
  const xw = graph.addNode({ op: "Mul", inputs: [x, w], outputs: ["xw"] }).outputs[0]!;
  const types = [{ dtype: "float32" as const, dims: declared }];
  const y = graph.addNode({ op: "Add", name: "plus", inputs: [xw, w], outputs: ["y"], types }).outputs[0]!;
  graph.addOutput(y);
  return { graph, x, w, xw, y };
}

function single(op: string, attributes: Attributes = {}, domain = ""): Graph {
  const graph = new Graph("single", [["", 21]]);
  const x = graph.addInput("x");
  graph.addNode({ op, domain, name: "n", inputs: [x], outputs: ["y"], attributes });
  return graph;
}

describe("evaluate", () => {
  it("gives every value: inputs, constants and results, in float64", () => {
    const { graph, x, w, xw, y } = product();
    const values = evaluate(graph, { x: f32([1, 2]) });
    expect([...values.keys()]).toEqual([x, w, xw, y]);
    expect(values.get(y)).toEqual(tensor("float64", [6, 15]));
    expect(values.get(w)).toEqual(tensor("float64", [3, 5]));
  });

  it("takes feeds as a Map, and in float64", () => {
    const { graph, y } = product();
    const values = evaluate(graph, new Map([["x", tensor("float64", [0.1, 1e-12])]]));
    expect(values.get(y)!.data).toEqual(Float64Array.of(0.1 * 3 + 3, 1e-12 * 5 + 5));
  });

  it("a feed under a constant's name replaces the constant", () => {
    const { graph, y } = product();
    const values = evaluate(graph, { x: f32([1, 2]), w: f32([10, 20]) });
    expect(values.get(y)).toEqual(tensor("float64", [20, 60]));
  });

  it("copies feeds: perturbing one afterwards changes no result", () => {
    const graph = single("Identity");
    const x = tensor("float64", [1, 2]);
    const values = evaluate(graph, { x });
    (x.data as Float64Array)[0] = 9;
    for (const value of values.values()) expect(value.data).toEqual(Float64Array.of(1, 2));
  });

  it("keeps integers and bools as their types, cut and wrapped like them", () => {
    const graph = new Graph("integers", [["", 21]]);
    const a = graph.addInput("a");
    const b = graph.addInput("b");
    const quotient = graph.addNode({ op: "Div", inputs: [a, b], outputs: ["q"] }).outputs[0]!;
    const same = graph.addNode({ op: "Equal", inputs: [a, b], outputs: ["e"] }).outputs[0]!;
    const long = evaluate(graph, { a: i64([-7, 7, 2]), b: i64([2, -2, 2]) });
    expect(long.get(quotient)).toEqual(i64([-3, -3, 1]));
    expect(long.get(same)).toEqual(tensor("bool", [0, 0, 1]));
    const sum = new Graph("bytes", [["", 21]]);
    const [p, q] = [sum.addInput("p"), sum.addInput("q")];
    const y = sum.addNode({ op: "Add", inputs: [p, q], outputs: ["y"] }).outputs[0]!;
    const bytes = evaluate(sum, { p: tensor("uint8", [250]), q: tensor("uint8", [10]) });
    expect(bytes.get(y)).toEqual(tensor("uint8", [4]));
  });

  it('INT64_MAX survives, the way slices spell "to the end"', () => {
    const graph = single("Identity");
    const x = { dtype: "int64", dims: [2], data: BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n)) } as const;
    const values = evaluate(graph, { x });
    expect(values.get(graph.find("y")!)).toEqual(x);
  });
});

describe("errors", () => {
  const x = f32([1, 2]);

  it("names an op that it does not know", () => {
    expect(() => evaluate(single("Frobnicate"), { x })).toThrow(
      'reference: no operator Frobnicate, at node "n"',
    );
    expect(() => evaluate(single("Relu", {}, "com.example"), { x })).toThrow(
      'reference: no operator com.example.Relu, at node "n"',
    );
  });

  it("refuses an attribute that the op does not have, such as axes of an older opset", () => {
    expect(() => evaluate(single("ReduceSum", { axes: ints([0]) }), { x })).toThrow(
      'reference: ReduceSum at node "n" has attributes not of opset 21: axes',
    );
  });

  it("refuses an attribute of the wrong kind", () => {
    expect(() => evaluate(single("LeakyRelu", { alpha: int(1) }), { x })).toThrow(
      'reference: LeakyRelu at node "n" on [2]: attribute alpha is of kind int, not float',
    );
  });

  it("refuses feeds that are missing or too many", () => {
    expect(() => evaluate(single("Relu"), {})).toThrow('reference: input "x" is not fed');
    expect(() => evaluate(single("Relu"), { x, z: x })).toThrow(
      'reference: the feed "z" is neither an input nor a constant',
    );
  });

  it("holds values to their declared types, unless told not to", () => {
    const { graph } = product([3]);
    expect(() => evaluate(graph, { x })).toThrow(
      'reference: "y" is declared float32 [3], but is float64 [2]',
    );
    expect(() => evaluate(graph, { x: i64([1, 2]) })).toThrow(
      'reference: "x" is declared float32 [2], but is int64 [2]',
    );
    expect(evaluate(graph, { x }, { checkTypes: false }).size).toBe(4);
  });

  it("refuses an output that the op does not have in this form", () => {
    const graph = new Graph("g", [["", 21]]);
    graph.addNode({ op: "Relu", name: "n", inputs: [graph.addInput("x")], outputs: ["y", "z"] });
    expect(() => evaluate(graph, { x })).toThrow('reference: Relu at node "n" has no output 1 in this form');
  });
});
