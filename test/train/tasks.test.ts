// Every task end to end on a problem that can be learnt: the first loss is what the strategy on arrays gives for the same
// rows, training improves the task's own metrics, and what does not fit is refused before the first step.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { nextTokens } from "../../src/data/next-tokens.ts";
import { ints } from "../../src/graph/graph.ts";
import { buildModel } from "../../src/nn/build-model.ts";
import * as nn from "../../src/nn/index.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import {
  type DistillationStrategy,
  Matrix,
  MultiLabelDistillationStrategy,
  NeuronSelectivityDistillationStrategy,
  RegressionDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import type { TaskName } from "../../src/tasks/index.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import type { TeacherFunction } from "../../src/train/teacher.ts";
import { randomTensor, smallStudent } from "../compile/compile-model.ts";
import { collect, only } from "./helpers.ts";

const [samples, batch] = [64, 16];
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const input = (dims: (number | string)[], dtype: "float32" | "int64" = "float32") => ({
  input: { name: "x", dtype, dims: ["batch", ...dims] },
  seed: 1,
});

interface Problem {
  readonly task: TaskName;
  readonly options?: Partial<DistillOptions>;
  readonly student: Model;
  readonly data: Dataset;
  /** What the teacher says of the inputs of a batch; also where the labels come from. */
  readonly teacher: TeacherFunction;
  /** Position and class of a row's logit in the tensor of one sample: [classes, positions] or [positions, classes]. */
  readonly classesFirst?: boolean;
  readonly timeFirst?: boolean;
  readonly classes: number;
  readonly positions: number;
  readonly strategy: DistillationStrategy;
  /** A metric of the trained student, and what it must reach. */
  readonly reaches: readonly [string, (value: number) => boolean];
  /** Labels [R, C] of the first batch, as the strategy on arrays takes them, and which rows count. */
  readonly rows: (indices: readonly number[]) => { labels?: number[][]; counts?: boolean[] };
}

/** y = x · W of every position, as an affine teacher. */
function affine(x: Float32Array, from: number, width: number, classes: number, seed: number): number[] {
  const w = randomTensor(seed, [width, classes]).data as Float32Array;
  return range(classes).map((c) =>
    range(width).reduce((sum, k) => sum + (x[from + k] as number) * (w[k * classes + c] as number) * 4, 0),
  );
}

const argmax = (row: readonly number[]) => row.indexOf(Math.max(...row));
const oneHot = (c: number, classes: number) => range(classes).map((k) => (k === c ? 1 : 0));

function vectors(classes: number) {
  const x = randomTensor(2, [samples, 6]);
  const row = (data: Float32Array, i: number) => affine(data, i * 6, 6, classes, 3);
  const teacher: TeacherFunction = ([t]) => {
    const n = t?.dims[0] as number;
    return {
      logits: tensor(
        "float32",
        range(n).flatMap((i) => row(t?.data as Float32Array, i)),
        [n, classes],
      ),
    };
  };
  const said = range(samples).map((i) => row(x.data as Float32Array, i));
  return { x, teacher, said };
}

function sequences(classes: number, time: number) {
  const x = randomTensor(4, [samples, time, 5]);
  const row = (data: Float32Array, i: number) => affine(data, i * 5, 5, classes, 5);
  const teacher: TeacherFunction = ([t]) => {
    const n = t?.dims[0] as number;
    const data = t?.data as Float32Array;
    return {
      logits: tensor(
        "float32",
        range(n * time).flatMap((i) => row(data, i)),
        [n, time, classes],
      ),
    };
  };
  const said = range(samples * time).map((i) => row(x.data as Float32Array, i));
  return { x, teacher, said };
}

function multiLabelProblem(): Problem {
  const { x, teacher, said } = vectors(3);
  const labels = said.map((row) => row.map((z) => (z > 0.5 ? 1 : 0)));
  return {
    task: "multi-label",
    student: buildModel(input([6]), nn.linear(3)),
    data: arrayDataset({ inputs: [x], labels: tensor("int32", labels.flat(), [samples, 3]) }),
    teacher,
    classes: 3,
    positions: 1,
    strategy: new MultiLabelDistillationStrategy({ temperature: 2, alpha: 0.4 }),
    reaches: ["meanAveragePrecision", (v) => v > 0.9],
    rows: (indices) => ({ labels: indices.map((i) => labels[i] as number[]) }),
  };
}

function regressionProblem(huberDelta?: number): Problem {
  const { x, teacher, said } = vectors(2);
  const targets = said.map((row) => row.map((v) => Math.fround(v + 0.1)));
  return {
    task: "regression",
    options: { huberDelta },
    student: buildModel(input([6]), nn.linear(2)),
    data: arrayDataset({ inputs: [x], labels: tensor("float32", targets.flat(), [samples, 2]) }),
    teacher,
    classes: 2,
    positions: 1,
    strategy: new RegressionDistillationStrategy({
      alpha: 0.4,
      ...(huberDelta !== undefined && { huberDelta }),
    }),
    reaches: ["r2", (v) => v > 0.9],
    rows: (indices) => ({ labels: indices.map((i) => targets[i] as number[]) }),
  };
}

function tokenProblem(task: "token-classification" | "language-modelling"): Problem {
  const [classes, time] = [4, 5];
  const { x, teacher, said } = sequences(classes, time);
  // The last two positions of every other sample are padding.
  const labels = said.map((row, i) => (i % time > 2 && Math.floor(i / time) % 2 === 1 ? -100 : argmax(row)));
  return {
    task,
    student: buildModel(input([time, 5]), nn.linear(classes)),
    data: arrayDataset({ inputs: [x], labels: tensor("int32", labels, [samples, time]) }),
    teacher,
    classes,
    positions: time,
    strategy: new ResponseDistillationStrategy({ temperature: 2, alpha: 0.4 }),
    reaches: ["accuracy", (v) => v > 0.85],
    rows: (indices) => {
      const own = indices.flatMap((i) => labels.slice(i * time, (i + 1) * time));
      return { labels: own.map((y) => oneHot(Math.max(y, 0), classes)), counts: own.map((y) => y !== -100) };
    },
  };
}

function segmentationProblem(): Problem {
  const [classes, size] = [3, 4];
  const x = randomTensor(6, [samples, 2, size, size]);
  const area = size * size;
  // A 1×1 convolution: classes of one position from its two channels.
  const at = (data: Float32Array, i: number, p: number) =>
    affine(
      Float32Array.of(data[i * 2 * area + p] as number, data[(i * 2 + 1) * area + p] as number),
      0,
      2,
      classes,
      7,
    );
  const teacher: TeacherFunction = ([t]) => {
    const n = t?.dims[0] as number;
    const data = t?.data as Float32Array;
    const logits = range(n).flatMap((i) =>
      range(classes).flatMap((c) => range(area).map((p) => at(data, i, p)[c] as number)),
    );
    return { logits: tensor("float32", logits, [n, classes, size, size]) };
  };
  const labels = range(samples * area).map((k) => {
    const [i, p] = [Math.floor(k / area), k % area];
    return p === 0 ? 255 : argmax(at(x.data as Float32Array, i, p));
  });
  return {
    task: "segmentation",
    options: { ignoreIndex: 255 },
    student: buildModel(input([2, size, size]), nn.conv(classes, 1)),
    data: arrayDataset({ inputs: [x], labels: tensor("int32", labels, [samples, size, size]) }),
    teacher,
    classesFirst: true,
    classes,
    positions: area,
    strategy: new ResponseDistillationStrategy({ temperature: 2, alpha: 0.4 }),
    reaches: ["meanIoU", (v) => v > 0.7],
    rows: (indices) => {
      const own = indices.flatMap((i) => labels.slice(i * area, (i + 1) * area));
      return {
        labels: own.map((y) => oneHot(y === 255 ? 0 : y, classes)),
        counts: own.map((y) => y !== 255),
      };
    },
  };
}

/** A recogniser that gives [T, N, C], time in front, made for a batch of 16. */
function ctcProblem(): Problem {
  const [classes, time] = [4, 5];
  const { x, teacher } = sequences(classes, time);
  return {
    task: "ctc",
    student: smallStudent(
      [batch, time, 5],
      { w: randomTensor(8, [5, classes]), b: randomTensor(9, [classes]) },
      [
        { op: "MatMul", inputs: ["x", "w"], output: "product" },
        { op: "Add", inputs: ["product", "b"], output: "sum" },
        { op: "Transpose", inputs: ["sum"], output: "logits", attributes: { perm: ints([1, 0, 2]) } },
      ],
    ),
    data: arrayDataset({ inputs: [x] }),
    teacher,
    timeFirst: true,
    classes,
    positions: time,
    strategy: new ResponseDistillationStrategy({ temperature: 2, alpha: 0.4 }),
    reaches: ["agreement", (v) => v > 0.85],
    rows: () => ({}),
  };
}

const problems: [string, Problem][] = [
  ["multi-label", multiLabelProblem()],
  ["regression", regressionProblem()],
  ["regression with Huber's loss", regressionProblem(0.5)],
  ["token classification", tokenProblem("token-classification")],
  ["language modelling", tokenProblem("language-modelling")],
  ["segmentation", segmentationProblem()],
  ["ctc", ctcProblem()],
];

const base = (p: Problem): DistillOptions => ({
  task: p.task,
  student: p.student,
  teacher: p.teacher,
  data: p.data,
  evaluation: p.data,
  strategy: p.strategy,
  batch,
  epochs: 1,
  learningRate: 0,
  ...p.options,
});

/** Rows [R, C] of logits, found by position and class, not by the code that is tested. */
function rowsOf(p: Problem, t: Tensor): Matrix {
  const data = t.data as Float32Array;
  const rows = range(batch * p.positions).map((r) => {
    const [n, k] = [Math.floor(r / p.positions), r % p.positions];
    return range(p.classes).map((c) => {
      if (p.classesFirst) return data[(n * p.classes + c) * p.positions + k] as number;
      if (p.timeFirst) return data[(k * batch + n) * p.classes + c] as number;
      return data[(n * p.positions + k) * p.classes + c] as number;
    });
  });
  return Matrix.fromRows(rows.map((row) => Float32Array.from(row)));
}

const keep = (m: Matrix, counts: readonly boolean[] | undefined) =>
  counts
    ? Matrix.fromRows(
        range(m.rows)
          .filter((r) => counts[r])
          .map((r) => m.row(r)),
      )
    : m;

describe.each(problems)("%s", (_, p) => {
  it("starts from the loss that the strategy on arrays gives for the same rows", async () => {
    let seen: readonly Tensor[] = [];
    const watched: TeacherFunction = (inputs) => {
      seen = inputs;
      return p.teacher(inputs);
    };
    let first: Tensor | undefined;
    // Without a cache, the first batch is the teacher's second call: the first was the probe, on the same samples.
    const events = await collect({
      ...base(p),
      evaluation: undefined,
      teacher: (i) => {
        first ??= i[0] as Tensor;
        return watched(i);
      },
      teacherCacheBytes: 0,
    });
    expect(seen.length).toBe(1);
    const x = first as Tensor;
    const order = samplesOf(p.data, x);
    const session = await nodeRuntime.load(modelBytes(p.student));
    const [output] = session.outputs;
    const student = rowsOf(p, (await session.run({ x }))[output!.name] as Tensor);
    await session.release();
    const { logits } = await p.teacher([x]);
    const teacher = rowsOf({ ...p, timeFirst: false }, logits);
    const { labels, counts } = p.rows(order);
    const y = labels && Matrix.fromRows(labels.map((row) => Float32Array.from(row)));
    const wanted = p.strategy.computeLoss(keep(student, counts), keep(teacher, counts), y && keep(y, counts));
    const [step] = only(events, "step");
    expect(step!.losses.loss! / wanted).toBeCloseTo(1, 5);
    expect(Object.keys(step!.losses)).toEqual(
      labels ? ["loss", "loss/hard", "loss/soft"] : ["loss", "loss/soft"],
    );
  });

  it("learns, by the task's own metrics, and the best student is kept by them", async () => {
    const events = await collect({ ...base(p), epochs: 25, learningRate: 0.5, strategy: undefined });
    const found = only(events, "evaluation").filter((e) => e.who === "student");
    const [key, enough] = p.reaches;
    const last = found.at(-1)!.metrics as Record<string, number>;
    expect(
      enough(last[key]!),
      `${key} ${last[key]}, at first ${(found[0]!.metrics as typeof last)[key]}`,
    ).toBe(true);
    const [done] = only(events, "done");
    expect(found.filter((e) => e.best).at(-1)!.metrics).toEqual(done!.metrics);
  });

  it("gives the same bits whether the teacher's outputs are kept or computed at every step", async () => {
    const bytes = async (teacherCacheBytes: number) =>
      only(
        await collect({ ...base(p), evaluation: undefined, epochs: 2, learningRate: 0.1, teacherCacheBytes }),
        "done",
      )[0]!.student;
    expect(await bytes(0)).toEqual(await bytes(2 ** 30));
  });

  it("trains with a strategy on arrays alone as with its emitted twin", async () => {
    const losses = async (strategy: DistillationStrategy) =>
      only(
        await collect({ ...base(p), evaluation: undefined, epochs: 2, learningRate: 0.1, strategy }),
        "step",
      ).map((e) => e.losses.loss as number);
    const [emitted, onArrays] = [await losses(p.strategy), await losses(onArraysAlone(p.strategy))];
    expect(onArrays).toHaveLength(emitted.length);
    emitted.forEach((loss, i) => {
      expect(onArrays[i]! / loss, `step ${i + 1}`).toBeCloseTo(1, 4);
    });
  });
});

/** Nothing changed but the class, so that it has no emission. */
function onArraysAlone(strategy: DistillationStrategy): DistillationStrategy {
  const { alpha, temperature } = strategy;
  if (strategy instanceof RegressionDistillationStrategy)
    return new (class extends RegressionDistillationStrategy {})({
      alpha,
      ...(strategy.huberDelta !== undefined && { huberDelta: strategy.huberDelta }),
    });
  if (strategy instanceof MultiLabelDistillationStrategy)
    return new (class extends MultiLabelDistillationStrategy {})({ alpha, temperature });
  return new (class extends ResponseDistillationStrategy {})({ alpha, temperature });
}

/** Which samples of the data set a batch holds, by their values. */
function samplesOf(data: Dataset, x: Tensor): number[] {
  const { inputs } = data.read(range(data.length)) as { inputs: readonly Tensor[] };
  const all = inputs[0]!.data as Float32Array;
  const each = all.length / data.length;
  return range(x.dims[0]!).map((i) =>
    range(data.length).find((k) =>
      range(each).every((j) => all[k * each + j] === (x.data as Float32Array)[i * each + j]),
    ),
  ) as number[];
}

describe("labels alone", () => {
  it.each(problems.filter(([name]) => name !== "ctc"))("train %s", async (_, p) => {
    const events = await collect({
      ...base(p),
      teacher: undefined,
      strategy: undefined,
      epochs: 25,
      learningRate: 0.5,
    });
    expect(Object.keys(only(events, "step")[0]!.losses)).toEqual(["loss", "loss/hard"]);
    const [key, enough] = p.reaches;
    const last = only(events, "evaluation").at(-1)!.metrics as Record<string, number>;
    expect(enough(last[key]!), `${key} ${last[key]}`).toBe(true);
  });
});

describe("rows that do not count", () => {
  it("do not, also where the labels are not learnt from", async () => {
    const p = tokenProblem("token-classification");
    // The teacher says something else at padded positions, which must make no difference.
    const spoilt: TeacherFunction = async (inputs) => {
      const { logits } = await p.teacher(inputs);
      const data = Float32Array.from(logits.data as Float32Array);
      const order = samplesOf(p.data, inputs[0]!);
      order.forEach((sample, n) => {
        if (sample % 2 === 1)
          data.fill(50, (n * p.positions + 3) * p.classes, (n + 1) * p.positions * p.classes);
      });
      return { logits: { ...logits, data } };
    };
    const bytes = async (teacher: TeacherFunction) =>
      only(
        await collect({
          ...base(p),
          evaluation: undefined,
          strategy: new ResponseDistillationStrategy({ alpha: 0 }),
          learningRate: 0.1,
          teacher,
        }),
        "done",
      )[0]!.student;
    expect(await bytes(spoilt)).toEqual(await bytes(p.teacher));
  });
});

describe("outputs [N] without an axis of one", () => {
  it("learn a regression from a teacher that has it, in the graph and on arrays", async () => {
    const x = randomTensor(2, [samples, 6]);
    const data = arrayDataset({ inputs: [x], labels: tensor("float32", new Float32Array(samples).fill(1)) });
    const student = smallStudent([batch, 6], { w: randomTensor(3, [6, 1]), axis: tensor("int64", [1]) }, [
      { op: "MatMul", inputs: ["x", "w"], output: "y" },
      { op: "Squeeze", inputs: ["y", "axis"], output: "flat" },
    ]);
    const teacher: TeacherFunction = ([t]) => ({
      logits: tensor("float32", new Float32Array(t?.dims[0] as number).fill(3), [t?.dims[0] as number, 1]),
    });
    const strategy = new RegressionDistillationStrategy({ alpha: 0.5 });
    const train = (s: DistillationStrategy) =>
      collect({
        task: "regression",
        student,
        teacher,
        data,
        evaluation: data,
        batch,
        epochs: 1,
        learningRate: 0,
        strategy: s,
      });
    const events = await train(strategy);
    const { mse, teacherMse } = only(events, "evaluation").at(-1)!.metrics;
    const losses = only(events, "step").map((e) => e.losses.loss as number);
    const mean = losses.reduce((a, v) => a + v, 0) / losses.length;
    expect(mean).toBeCloseTo(0.5 * mse! + 0.5 * teacherMse!, 4);
    const onArrays = only(await train(onArraysAlone(strategy)), "step").map((e) => e.losses.loss as number);
    onArrays.forEach((loss, i) => {
      expect(loss).toBeCloseTo(losses[i]!, 4);
    });
  });
});

describe("a causal language model", () => {
  it("learns from ids alone which token comes next, padding left out", async () => {
    const [vocabulary, time] = [7, 6];
    // Sequences that count on from a random start, of 3 to 6 tokens, filled up with 0.
    const starts = randomTensor(10, [samples]).data as Float32Array;
    const ids = tensor(
      "int64",
      range(samples * time).map((k) => {
        const [n, t] = [Math.floor(k / time), k % time];
        const start = Math.floor(((starts[n] as number) + 1) * 3);
        return t < 3 + (n % 4) ? 1 + ((start + t) % (vocabulary - 1)) : 0;
      }),
      [samples, time],
    );
    const data = arrayDataset({ inputs: [ids], labels: nextTokens(ids, { pad: 0 }) });
    const events = await collect({
      task: "language-modelling",
      student: buildModel(
        input([time], "int64"),
        nn.sequential(nn.embedding(vocabulary, 12), nn.linear(vocabulary)),
      ),
      data,
      evaluation: data,
      batch,
      epochs: 20,
      optimizer: { name: "adamw" },
      learningRate: 0.05,
    });
    const found = only(events, "evaluation");
    expect(found[0]!.metrics.perplexity).toBeGreaterThan(1.5);
    expect(found.at(-1)!.metrics.perplexity).toBeLessThan(1.1);
    expect(found.at(-1)!.metrics.accuracy).toBe(1);
    // The best is the least perplexed.
    const best = Math.min(...found.map((e) => e.metrics.perplexity!));
    expect(only(events, "done")[0]!.metrics.perplexity).toBe(best);
  });
});

describe("with taps", () => {
  it("the default is the task's loss on outputs, and CKA", async () => {
    const p = multiLabelProblem();
    const student = buildModel(
      input([6]),
      nn.sequential(nn.linear(8), nn.relu({ name: "hidden" }), nn.linear(3)),
    );
    const events = await collect({
      ...base(p),
      student,
      teacher: modelBytes(
        buildModel(
          { ...input([6]), seed: 2 },
          nn.sequential(nn.linear(8), nn.relu({ name: "hidden" }), nn.linear(3)),
        ),
      ),
      strategy: undefined,
      taps: [{ teacher: "hidden" }],
    });
    expect(Object.keys(only(events, "step")[0]!.losses)).toEqual([
      "loss",
      "loss/hard",
      "loss/soft",
      "loss/cka/hidden",
    ]);
  });
});

describe("what is refused before the first step", () => {
  const p = tokenProblem("token-classification");
  const regression = regressionProblem();
  const cases: [string, () => Promise<unknown>, string][] = [
    [
      "a strategy made for other outputs",
      () => collect({ ...base(regression), strategy: new ResponseDistillationStrategy() }),
      'task regression has outputs "identity", ResponseDistillationStrategy is made for "softmax"; take RegressionDistillationStrategy, or override outputs in a class of your own',
    ],
    [
      "one that brings a loss on outputs with its taps",
      () => collect({ ...base(multiLabelProblem()), strategy: new NeuronSelectivityDistillationStrategy() }),
      'task multi-label has outputs "sigmoid", NeuronSelectivityDistillationStrategy is made for "softmax"; take MultiLabelDistillationStrategy, or override outputs in a class of your own',
    ],
    [
      "a task that cannot learn from labels, without a teacher",
      () =>
        collect({
          ...base(ctcProblem()),
          teacher: undefined,
          strategy: undefined,
          data: arrayDataset({ inputs: [randomTensor(1, [16, 5, 5])], labels: new Int32Array(16) }),
        }),
      "distill: task ctc learns from a teacher alone; give one",
    ],
    [
      "logits of another rank",
      () => collect({ ...base(p), task: "classification" }),
      'the teacher\'s logits "logits" are [16,5,4], task classification expects [N, C]; name the right value with --teacher-logits, or the task that takes such logits with --task: multi-label, regression, token-classification, language-modelling, ctc',
    ],
    [
      "as many time steps as samples",
      () =>
        collect({
          ...base(ctcProblem()),
          batch: 5,
          teacher: () => ({ logits: randomTensor(1, [5, 5, 4]) }),
        }),
      'the teacher\'s logits "logits" are [5,5,4] for a batch of 5: samples may lie along axis 0 or 1; say which with --batch-axis, or choose another batch size',
    ],
    [
      "another number of positions than the teacher's",
      () => {
        const other = sequences(4, 3).teacher;
        return collect({
          ...base(p),
          teacher: ([x]) =>
            other([
              {
                ...x!,
                dims: [x!.dims[0]!, 3, 5],
                data: (x!.data as Float32Array).slice(0, x!.dims[0]! * 15),
              },
            ]),
        });
      },
      "the teacher's logits are [16,3,4], those of the student model are [16,5,4]; both need the same positions",
    ],
    [
      "a label out of range anywhere in the data",
      () => {
        const labels = new Int32Array(samples * 5);
        labels[samples * 5 - 1] = 4;
        const data = arrayDataset({
          inputs: [randomTensor(1, [samples, 5, 5])],
          labels: tensor("int32", labels, [samples, 5]),
        });
        return collect({ ...base(p), data: p.data, evaluation: data });
      },
      "the evaluation data: sample 63 has label 4, but 4 classes leave only 0 to 3, and -100 for what is ignored; correct the label or the number of classes",
    ],
    [
      "a metric that is another task's",
      () => collect({ ...base(p), monitor: "mse" }),
      'distill: monitor "mse" is no metric of task token-classification. It has accuracy, loss, agreement.',
    ],
    [
      "a metric that cannot be measured",
      () =>
        collect({
          ...base(p),
          evaluation: arrayDataset({ inputs: [randomTensor(1, [samples, 5, 5])] }),
          monitor: "accuracy",
        }),
      "the monitored metric accuracy needs labels in the evaluation data; choose one of agreement",
    ],
    [
      "evaluation without anything to measure",
      () =>
        collect({
          ...base(p),
          teacher: undefined,
          strategy: undefined,
          evaluation: arrayDataset({ inputs: [randomTensor(1, [samples, 5, 5])] }),
        }),
      "the evaluation data has no labels and there is no teacher, so nothing can be measured on it; leave it out, or give labels",
    ],
  ];
  it.each(cases)("%s", async (_, run, message) => {
    await expect(run()).rejects.toMatchObject({ message });
  });
});
