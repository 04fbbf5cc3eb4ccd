// How an output is read: which values are probabilities, which axes count what, and the same logits in the graph and on arrays.
import { describe, expect, it } from "vitest";
import { sizeOf, type Tensor, tensor } from "../../src/base/tensor.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import {
  findLayout,
  type OutputReading,
  readLabels,
  readLogits,
  readRows,
  rowsOfTensor,
  type TaskName,
  type ToldAxes,
  taskNamed,
} from "../../src/tasks/index.ts";
import { valuesGive } from "../../src/tasks/probabilities.ts";
import { testRandom } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";

const random = testRandom(7);
const numbers = (n: number, f: (v: number) => number = (v) => v) =>
  Float32Array.from({ length: n }, () => f(random()));
const distributions = (rows: number, columns: number): Float32Array => {
  const out = numbers(rows * columns, (v) => Math.exp(3 * v));
  for (let r = 0; r < rows; r++) {
    const row = out.subarray(r * columns, (r + 1) * columns);
    const sum = row.reduce((a, b) => a + b);
    for (let c = 0; c < columns; c++) row[c]! /= sum;
  }
  return out;
};
/** Round to 11 bits, as float16 has them. */
const half = (v: number): number => {
  const step = 2 ** (Math.floor(Math.log2(v)) - 10);
  return Math.round(v / step) * step;
};
const uint8 = (v: number): number => Math.round(v * 256) / 256;

describe("values", () => {
  const p = distributions(32, 10);
  it.each([
    ["rows that sum to 1", p, [32, 10], "softmax", "probabilities"],
    ["rounded to float16", p.map(half), [32, 10], "softmax", "probabilities"],
    ["on a grid of 8 bits", p.map(uint8), [32, 10], "softmax", "probabilities"],
    ["of 1000 classes in float16", distributions(8, 1000).map(half), [8, 1000], "softmax", "probabilities"],
    ["all or nothing", Float32Array.of(1, 0, 0, 1, 1, 0), [3, 2], "softmax", "probabilities"],
    ["one row alone", p.slice(0, 10), [1, 10], "softmax", "unclear"],
    ["rows all alike", new Float32Array(40).fill(0.25), [10, 4], "softmax", "unclear"],
    ["logits of any sign", numbers(320, (v) => 4 * v - 2), [32, 10], "softmax", "logits"],
    ["positive ones whose sums differ", numbers(320), [32, 10], "softmax", "logits"],
    ["one row that sums to 2", Float32Array.of(0.5, 0.5, 1, 1), [2, 2], "softmax", "logits"],
    ["percentages", p.map((v) => v * 100), [32, 10], "softmax", expect.closeTo(100, 3)],
    ["sigmoids", numbers(64), [16, 4], "sigmoid", "probabilities"],
    ["few of them", numbers(8), [2, 4], "sigmoid", "unclear"],
    ["logits of labels", numbers(64, (v) => 4 * v - 2), [16, 4], "sigmoid", "logits"],
    ["numbers", p, [32, 10], "identity", "logits"],
  ] as const)("%s", (_, data, dims, kind, wanted) => {
    expect(valuesGive(data as Float32Array, dims, kind)).toEqual(wanted);
  });
});

const usual = (
  rank: number,
  gives: OutputReading["gives"],
  classAxis: number,
  batchAxis = 0,
): OutputReading => ({
  ...{ rank, gives, classAxis, batchAxis },
});

describe("logits of an output", () => {
  // Wanted: the logit of sample n, position p (as positions lie), class c, from where it stands in the output.
  it.each([
    ["[N, C]", [3, 4], usual(2, "logits", 1), "classification"],
    ["[C, N]", [4, 3], usual(2, "logits", 0, 1), "classification"],
    ["[N, C, 1, 1]", [3, 4, 1, 1], usual(4, "logits", 1), "classification"],
    ["[N, C, T]", [2, 4, 3], usual(3, "logits", 1), "token-classification"],
    ["[T, N, C]", [5, 2, 3], usual(3, "logits", 2, 1), "ctc"],
    ["[C, N, T]", [4, 2, 3], usual(3, "logits", 0, 1), "ctc"],
    ["[N, H, W, C]", [2, 3, 4, 5], usual(4, "logits", 3), "segmentation"],
    ["[N, H, W, C, 1]", [2, 3, 4, 5, 1], usual(5, "logits", 3), "segmentation"],
    ["[N, D, H, W, C]", [2, 3, 2, 2, 4], usual(5, "logits", 4), "segmentation"],
  ] as [string, number[], OutputReading, TaskName][])("%s", (_, dims, reading, name) => {
    const task = taskNamed(name);
    const x = tensor(
      "float32",
      Array.from({ length: sizeOf(dims) }, (_, i) => i),
      dims,
    );
    const b = newBuilder("rows", targets.cpu);
    const y = readRows(b, b.graph.addInput("x", x), reading, task);
    const inGraph = evaluate(b.graph, { x }).get(y)!;
    const { data, dims: rows } = rowsOfTensor(readLogits(x, reading, task));
    expect(inGraph.dims).toEqual(rows);
    expect([...(data as Float32Array)]).toEqual([...(inGraph.data as Float64Array)]);
    // Counted: strides of the output, samples slowest, classes fastest.
    const axes = dims.map((_, i) => i).filter((i) => i !== reading.batchAxis && i !== reading.classAxis);
    const all = [reading.batchAxis, ...axes, reading.classAxis as number];
    let at = [0];
    for (const axis of all) {
      const stride = sizeOf(dims.slice(axis + 1));
      at = at.flatMap((from) => Array.from({ length: dims[axis]! }, (_, i) => from + i * stride));
    }
    expect([...(data as Float32Array)]).toEqual(at);
  });

  it.each([
    ["classification", "probabilities", (p: number) => Math.log(Math.max(p, 2 ** -126)), [0.25, 0.75, 1, 0]],
    ["classification", "log-probabilities", (v: number) => v, [-1, -2, -3, -0.5]],
    ["multi-label", "probabilities", (p: number) => Math.log(p) - Math.log(1 - p), [0.25, 0.75, 0.5, 1e-3]],
    ["multi-label", "log-probabilities", (v: number) => v - Math.log(1 - Math.exp(v)), [-1, -2, -3, -0.5]],
  ] as [TaskName, OutputReading["gives"], (v: number) => number, number[]][])(
    "of %s, of %s",
    (name, gives, logit, values) => {
      const task = taskNamed(name);
      const x = tensor("float32", values, [2, 2]);
      const b = newBuilder("rows", targets.cpu);
      const y = readRows(b, b.graph.addInput("x", x), usual(2, gives, 1), task);
      const inGraph = evaluate(b.graph, { x }).get(y)!.data as Float64Array;
      const onArrays = readLogits(x, usual(2, gives, 1), task).data as Float32Array;
      values.forEach((_, i) => {
        const wanted = logit((x.data as Float32Array)[i]!);
        expect(inGraph[i]).toBeCloseTo(wanted, 6);
        expect(onArrays[i]).toBeCloseTo(wanted, 5);
      });
    },
  );

  it("of certain labels is finite", () => {
    const { data } = readLogits(
      tensor("float32", [0, 1], [1, 2]),
      usual(2, "probabilities", 1),
      taskNamed("multi-label"),
    );
    expect([...(data as Float32Array)]).toEqual([Math.log(2 ** -126), -Math.log(2 ** -25)].map(Math.fround));
  });

  it("labels shaped like it are moved with it, others are not", () => {
    const task = taskNamed("segmentation");
    const layout = usual(4, "logits", 3);
    const soft = tensor("float32", [1, 2, 3, 4], [1, 2, 1, 2]);
    expect(readLabels(soft, [1, 2, 2, 1], layout, task)).toEqual(
      tensor("float32", [1, 3, 2, 4], [1, 2, 2, 1]),
    );
    const indices = tensor("int32", [0, 1], [1, 2, 1]);
    expect(readLabels(indices, [1, 2, 2, 1], layout, task)).toBe(indices);
  });
});

const layout = (
  task: TaskName,
  dims: number[],
  samples: number,
  more: { told?: ToldAxes; asked?: ToldAxes; labels?: Tensor } = {},
): string => {
  const found = findLayout({ task: taskNamed(task), dims, samples, told: {}, what: "the logits", ...more });
  return `${found.batchAxis} ${found.classAxis}`;
};
const labels = (...dims: number[]) => tensor("int32", new Int32Array(sizeOf(dims)), dims);

describe("the axes of an output", () => {
  it.each([
    ["[N, C]", "classification", [8, 10], 8, {}, "0 1"],
    ["[N, C], equally many", "classification", [8, 8], 8, {}, "0 1"],
    ["[C, N] by their number", "classification", [10, 8], 8, {}, "1 0"],
    ["[C, N] as the file has it", "classification", [8, 8], 8, { told: { batchAxis: 1 } }, "1 0"],
    ["[N, C, 1, 1]", "classification", [8, 10, 1, 1], 8, {}, "0 1"],
    ["[N, 1, 1, C]", "classification", [8, 1, 1, 10], 8, {}, "0 3"],
    ["[1, N, C]", "classification", [1, 8, 10], 8, {}, "1 2"],
    [
      "[N, C, T] as the graph has it",
      "token-classification",
      [8, 5, 6],
      8,
      { told: { classAxis: 1 } },
      "0 1",
    ],
    ["[N, C, T] by the labels", "token-classification", [8, 5, 6], 8, { labels: labels(8, 6) }, "0 1"],
    ["[N, T, C] by the labels", "token-classification", [8, 5, 6], 8, { labels: labels(8, 5) }, "0 2"],
    ["[T, N, C]", "ctc", [20, 8, 6], 8, { told: { classAxis: 2 } }, "1 2"],
    ["[N, H, W, C]", "segmentation", [8, 4, 4, 3], 8, { told: { classAxis: 3 } }, "0 3"],
    ["[N, H, W, C] by the labels", "segmentation", [8, 4, 5, 3], 8, { labels: labels(8, 4, 5) }, "0 3"],
    [
      "what is asked",
      "segmentation",
      [8, 4, 4, 3],
      8,
      { told: { classAxis: 1 }, asked: { classAxis: -1 } },
      "0 3",
    ],
    ["maps of labels, of no task where it matters", "multi-label", [8, 3, 4, 4], 8, {}, "0 1"],
  ] as [string, TaskName, number[], number, object, string][])("%s", (_, task, dims, n, more, wanted) => {
    expect(layout(task, dims, n, more)).toBe(wanted);
  });

  it.each([
    [
      "classes along two axes",
      () => layout("segmentation", [8, 4, 4, 3], 8),
      "the logits are [8,4,4,3]: classes may lie along axis 1 or 3, and neither the graph nor the labels tell; say which with --class-axis",
    ],
    [
      "as many steps as samples",
      () => layout("ctc", [8, 8, 6], 8, { told: { classAxis: 2 } }),
      "the logits are [8,8,6] for a batch of 8: samples may lie along axis 0 or 1; say which with --batch-axis, or choose another batch size",
    ],
    [
      "samples along no axis",
      () => layout("token-classification", [4, 5, 6], 8),
      "the logits are [4,5,6] for a batch of 8; expected [N, T, C]; where another axis counts the samples, name it with --batch-axis",
    ],
    [
      "one logit",
      () => layout("classification", [8, 1], 8),
      "the logits are [8,1]: one logit, whose softmax is 1 whatever it is, so a loss of task classification would be constant; for one yes or no take --task multi-label (labels 0 and 1), for one number --task regression",
    ],
    [
      "masks of one channel",
      () => layout("segmentation", [8, 1, 4, 4], 8, { told: { classAxis: 1 } }),
      "the logits are [8,1,4,4]: one logit, whose softmax is 1 whatever it is, so a loss of task segmentation would be constant; for one yes or no take --task multi-label (labels 0 and 1), for one number --task regression",
    ],
    [
      "an axis that is not there",
      () => layout("classification", [8, 4], 8, { asked: { classAxis: 2 } }),
      "the logits are [8,4]: there is no axis 2 (--class-axis); it has 0 to 1",
    ],
    [
      "axes that the task cannot read",
      () => layout("classification", [8, 4, 3], 8, { asked: { classAxis: 2 } }),
      "the logits are [8,4,3], which task classification cannot read with samples along axis 0 or 1 and classes along axis 2; it expects [N, C] (--batch-axis, --class-axis)",
    ],
  ])("refused: %s", (_, find, message) => {
    expect(find).toThrow(message);
  });
});
