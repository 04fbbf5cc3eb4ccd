import { describe, expect, it } from "vitest";
import { measureSelectivity } from "../../src/analysis/measure-selectivity.ts";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { Graph, ints } from "../../src/graph/graph.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { Matrix, SelectivityMetric, selectivityScores } from "../../src/strategies/index.ts";
import { testRandom } from "../gradient-checker.ts";

/** A map [n, 3, 2, 2], a sequence [n, 4, 3] of the same numbers, a vector [n, 12], and an integer. */
function model(): Model {
  const graph = new Graph("values", [["", 17]]);
  const x = graph.addInput("x");
  const one = (op: string, inputs: (typeof x)[], name: string, attributes = {}) =>
    graph.addNode({ op, name, inputs, outputs: [name], attributes }).outputs[0]!;
  const shape = graph.addConstant("shape", tensor("int64", [0, 3, 4]));
  const map = one("Relu", [x], "map");
  const flat = one("Reshape", [map, shape], "flat");
  one("Transpose", [flat], "sequence", { perm: ints([0, 2, 1]) });
  one("Flatten", [map], "vector");
  one("Shape", [map], "shapeOf");
  graph.addOutput(one("Identity", [graph.find("vector")!], "logits"));
  const declared = [{ name: "x", dtype: "float32" as const, dims: ["n", 3, 2, 2] }];
  return readModel(writeGraph(graph, { declared }), { source: "values.onnx" });
}

const random = testRandom(3);
const count = 50;
const input = Float32Array.from({ length: count * 12 }, () => random() * 2 - 1);
const dataset = arrayDataset({ inputs: [tensor("float32", input, [count, 3, 2, 2])] });
const base = { model: model(), runtime: nodeRuntime, dataset };
const relu = input.map((v) => Math.max(0, v));

describe("measureSelectivity", () => {
  it("scores maps by channel, sequences by their last axis, vectors as they are, by each metric", async () => {
    const metrics = Object.values(SelectivityMetric).filter(
      (m) => !["population-sparseness", "class-selectivity", "class-response"].includes(m),
    );
    const found = await measureSelectivity({
      ...base,
      metrics,
      // Batches that do not divide the samples.
      batch: 16,
      values: { m: "map", s: "sequence", v: "vector" },
    });
    const rows = {
      m: Matrix.fromNCHW({ data: relu, dims: [count, 3, 2, 2] }),
      s: Matrix.fromNCHW({ data: relu, dims: [count, 3, 2, 2] }),
      v: new Matrix(count, 12, relu),
    };
    for (const tap of ["m", "s", "v"] as const) {
      expect(found[tap]?.rows).toBe(rows[tap].rows);
      expect(Object.keys(found[tap]!.scores)).toEqual(metrics);
      for (const metric of metrics) {
        const expected = selectivityScores(rows[tap], metric);
        expect(found[tap]?.scores[metric]).toHaveLength(rows[tap].columns);
        found[tap]?.scores[metric]?.forEach((score, i) => {
          expect(score).toBeCloseTo(expected[i]!, 9);
        });
      }
    }
  });

  it("takes the first samples only, when asked", async () => {
    const found = await measureSelectivity({ ...base, samples: 7, values: { v: "vector" } });
    expect(found.v?.rows).toBe(7);
    expect(Object.keys(found.v!.scores)).toEqual(["variance", "sparsity", "peak-to-average"]);
    const expected = selectivityScores(new Matrix(7, 12, relu.slice(0, 84)), "variance");
    expect(found.v?.scores.variance?.[5]).toBeCloseTo(expected[5]!, 9);
  });

  it("refuses what holds no neurons", async () => {
    await expect(measureSelectivity({ ...base, values: { a: "shapeOf" } })).rejects.toThrow(
      'selectivity: "shapeOf" is int64[4]; tap a float32 value of rank 2 or more',
    );
    await expect(measureSelectivity({ ...base, values: { a: "maps" } })).rejects.toThrow(
      'values.onnx: no value "maps"; a tap must be a value that a node computes. Did you mean "map"?',
    );
  });
});
