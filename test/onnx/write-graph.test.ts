import { expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { float, Graph, int } from "../../src/graph/graph.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { fixtureBytes } from "../fixtures/models.ts";

it("writes graphs that ONNX Runtime runs, with ops of com.microsoft", async () => {
  const graph = new Graph("fused", [["", 17]]);
  const a = graph.addInput("a", { dtype: "float32", dims: [2, 3] });
  const b = graph.addConstant("b", tensor("float32", [1, 0, 0, 0, 1, 0], [2, 3]));
  const node = graph.addNode({
    op: "FusedMatMul",
    domain: "com.microsoft",
    inputs: [a, b],
    outputs: ["y"],
    types: [{ dtype: "float32", dims: [2, 2] }],
    attributes: { transB: int(1), alpha: float(2) },
  });
  graph.addOutput(node.outputs[0]!);
  const session = await nodeRuntime.load(writeGraph(graph));
  expect(session.outputs).toEqual([{ name: "y", dtype: "float32", dims: [2, 2] }]);
  const { y } = await session.run({ a: tensor("float32", [1, 2, 3, 4, 5, 6], [2, 3]) });
  expect(y).toEqual(tensor("float32", [2, 4, 8, 10], [2, 2]));
  await session.release();
});

it("carries the subgraphs of a graph that was read", () => {
  const { graph } = readModel(fixtureBytes("shapes.onnx"));
  graph.inputs[0]!.type = { dtype: "float32", dims: [2, 4] };
  const again = readModel(writeGraph(graph)).graph;
  expect(again.nodes.map((n) => [n.op, n.name])).toEqual(graph.nodes.map((n) => [n.op, n.name]));
  expect(again.find("z")?.producer?.attributes.then_branch).toEqual(
    graph.find("z")?.producer?.attributes.then_branch,
  );
});

it("refuses what would not be a model", () => {
  const graph = new Graph("g", [["", 17]]);
  const x = graph.addInput("x");
  expect(() => writeGraph(graph)).toThrow('the type of value "x" is not known');
  x.type = { dtype: "float32", dims: [1] };
  graph.addNode({ op: "Top", name: "n", inputs: [x], outputs: ["y"], attributes: { k: int(1.5) } });
  expect(() => writeGraph(graph)).toThrow('node Top "n", attribute "k" is 1.5, and must be a whole number');
  const other = new Graph("g", [["", 17]]);
  other.addNode({ op: "Foo", name: "n", domain: "bar", inputs: [], outputs: ["y"] });
  expect(() => writeGraph(other)).toThrow(
    'graph "g": node Foo "n" is of the domain "bar", which graph.opsets does not list',
  );
});
