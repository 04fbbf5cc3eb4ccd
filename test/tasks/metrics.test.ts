// The metrics of every task against NumPy and PyTorch, over batches of unequal size.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { sizeOf, type Tensor, tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import {
  type MetricKey,
  type Metrics,
  metricSpecs,
  type TaskName,
  taskNamed,
  taskNames,
} from "../../src/tasks/index.ts";
import { evaluate } from "../../src/train/evaluate.ts";

interface Stored {
  readonly dims: number[];
  readonly data: number[];
}
type Case = { readonly [K in "logits" | "labels" | "teacher"]: Stored } & { readonly metrics: Metrics };
const fixtures: Record<string, Case> = JSON.parse(
  readFileSync(new URL("../fixtures/task-metrics.json", import.meta.url), "utf8"),
);

const float = ({ data, dims }: Stored): Tensor => tensor("float32", data, dims);

/** A data set whose only input is the output that the model shall have. */
const outputs = (values: Stored, labels?: Tensor) =>
  arrayDataset({ inputs: [float(values)], ...(labels && { labels }) });

const model = async ([x]: readonly Tensor[]): Promise<Tensor> => x as Tensor;

describe.each(Object.entries(fixtures))("%s", (name, given) => {
  const task = taskNamed(name as TaskName);
  const floats = task.outputs !== "softmax";
  const labels = floats ? float(given.labels) : tensor("int32", given.labels.data, given.labels.dims);

  it.each([1, 2, 100])("in batches of %i", async (batch) => {
    const taught = await evaluate(model, outputs(given.teacher), { batch, task });
    expect(taught.metrics).toEqual({});
    const { metrics } = await evaluate(model, outputs(given.logits, labels), {
      batch,
      task,
      teacher: taught.predictions,
    });
    expect(Object.keys(metrics).sort()).toEqual(Object.keys(given.metrics).sort());
    for (const [key, value] of Object.entries(given.metrics))
      expect(metrics[key as MetricKey], key).toBeCloseTo(value, 6);
  });

  it("gives only metrics of its own, and can monitor the first of them", async () => {
    expect([...task.metrics].sort()).toEqual(Object.keys(given.metrics).sort());
    for (const key of task.monitors) expect(task.metrics).toContain(key);
  });

  it("a model equal to its teacher agrees with it in everything", async () => {
    const { predictions } = await evaluate(model, outputs(given.logits), { batch: 2, task });
    const { metrics } = await evaluate(model, outputs(given.logits), {
      batch: 3,
      task,
      teacher: predictions,
    });
    expect(metrics).toEqual(name === "regression" ? { teacherMse: 0 } : { agreement: 1 });
  });
});

describe("which metrics there are", () => {
  it("each belongs to a task, and each task has some", () => {
    const used = new Set(taskNames.flatMap((n) => taskNamed(n).metrics));
    expect([...used].sort()).toEqual(Object.keys(metricSpecs).sort());
  });

  it("nothing is measured where every row is ignored", async () => {
    const task = taskNamed("token-classification");
    const { dims, data } = fixtures["token-classification"]!.logits;
    const labels = tensor("int32", new Int32Array(dims[0]! * dims[1]!).fill(-100), dims.slice(0, 2));
    const found = await evaluate(model, outputs({ dims, data }, labels), { batch: 2, task });
    expect(found.metrics).toEqual({});
  });

  it("distributions as labels: the loss is theirs, the likeliest class is what is counted", async () => {
    const logits = { dims: [2, 3], data: [2, 1, 0, 0, 3, 1] };
    const labels = tensor("float32", [0.25, 0.75, 0, 0, 1, 0], [2, 3]);
    const { metrics } = await evaluate(model, outputs(logits, labels), { batch: 2 });
    const lse = (...z: number[]) => Math.log(z.reduce((a, v) => a + Math.exp(v), 0));
    expect(metrics.top1).toBe(0.5);
    expect(metrics.loss).toBeCloseTo((lse(2, 1, 0) - 0.25 * 2 - 0.75 + lse(0, 3, 1) - 3) / 2, 6);
  });

  it("a confusion matrix of classification, tokens and pixels; of nothing else", async () => {
    const having: string[] = [];
    for (const [name, { logits, labels }] of Object.entries(fixtures)) {
      const task = taskNamed(name as TaskName);
      const y = tensor(task.outputs === "softmax" ? "int32" : "float32", labels.data, labels.dims);
      const { confusion } = await evaluate(model, outputs(logits, y), { batch: 4, task });
      if (!confusion) continue;
      having.push(name);
      const counted = labels.data.filter((v) => v !== -100).length;
      expect(
        confusion.flat().reduce((a, n) => a + n, 0),
        name,
      ).toBe(counted);
      expect(counted).toBeLessThanOrEqual(sizeOf(labels.dims));
    }
    expect(having).toEqual(["classification", "token-classification", "segmentation"]);
  });

  it("a class that is ruled out, −∞, costs nothing unless it is the label", async () => {
    const logits = { dims: [2, 3], data: [2, -Infinity, 0, 0, 3, -Infinity] };
    const lse = (...z: number[]) => Math.log(z.reduce((a, v) => a + Math.exp(v), 0));
    const of = async (labels: Tensor) =>
      (await evaluate(model, outputs(logits, labels), { batch: 2 })).metrics;
    const right = (lse(2, 0) - 2 + lse(0, 3) - 3) / 2;
    expect((await of(tensor("int32", [0, 1]))).loss).toBeCloseTo(right, 6);
    expect((await of(tensor("float32", [1, 0, 0, 0, 1, 0], [2, 3]))).loss).toBeCloseTo(right, 6);
    expect((await of(tensor("int32", [1, 1]))).loss).toBe(Infinity);
    const task = taskNamed("multi-label");
    const certain = outputs({ dims: [1, 2], data: [-Infinity, 0] }, tensor("float32", [0, 1], [1, 2]));
    expect((await evaluate(model, certain, { batch: 1, task })).metrics.loss).toBeCloseTo(Math.LN2 / 2, 6);
  });

  it("NaN is refused by its sample: it would be class 0, for no comparison with it holds", async () => {
    const logits = { dims: [3, 2], data: [1, 2, 0, 1, 2, Number.NaN] };
    await expect(evaluate(model, outputs(logits), { batch: 2 })).rejects.toThrow(
      "evaluation: the logits are NaN at sample 2, output 1; look for NaN in that sample and in the model's weights",
    );
  });
});

describe("mean average precision", () => {
  it("is 1 exactly where every ranking is perfect, whatever the numbers of labels", async () => {
    // Of some numbers n the sum of n times 1/n, rounded, is not 1.
    for (const rows of [6, 11, 49, 93, 161]) {
      const holds = Array.from({ length: rows * 2 }, (_, i) => (i % 2 ? 1 : +(i % 12 > 1)));
      const data = outputs(
        { dims: [rows, 2], data: holds.map((h, i) => (h ? 4 : -4) + (i % 17) / 16) },
        tensor("float32", holds, [rows, 2]),
      );
      const { metrics } = await evaluate(async ([x]) => x as Tensor, data, {
        batch: 50,
        task: taskNamed("multi-label"),
      });
      expect(metrics.meanAveragePrecision).toBe(1);
    }
  });
});
