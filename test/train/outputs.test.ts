// Outputs as models really give them: the first loss is that of the same logits given plainly, whatever the output ends in
// and however it lies, and the delivered student keeps its meaning.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { describeModel } from "../../src/cli/describe-model.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { int, ints } from "../../src/graph/graph.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { taskNamed } from "../../src/tasks/index.ts";
import { evaluateModel } from "../../src/train/evaluate-model.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { type NodeLine, randomTensor, smallStudent } from "../compile/compile-model.ts";
import { collect, only } from "./helpers.ts";

const [batch, classes] = [16, 4];
const x = randomTensor(1, [batch, 6]);
const constants = {
  w: randomTensor(2, [6, classes]),
  scale: tensor("float32", [4], []),
  last: tensor("int64", [-1]),
  tiny: tensor("float32", [1e-7], []),
  one: tensor("float32", [1], []),
  step: tensor("float32", [1 / 256], []),
  zero: tensor("uint8", [0], []),
  hundred: tensor("float32", [100], []),
  all: tensor("int64", [classes]),
  front: tensor("int64", [0]),
};
const head: NodeLine[] = [
  { op: "MatMul", inputs: ["x", "w"], output: "small" },
  { op: "Mul", inputs: ["small", "scale"], output: "z" },
];
const softmax: NodeLine = { op: "Softmax", inputs: ["z"], output: "s", attributes: { axis: int(-1) } };
const model = (lines: readonly NodeLine[]): Model =>
  smallStudent([batch, 6], constants, [...head, ...lines], { opset: 17 });
const student = smallStudent([batch, 6], { v: randomTensor(3, [6, classes]) }, [
  { op: "MatMul", inputs: ["x", "v"], output: "y" },
]);
const data = arrayDataset({ inputs: [x] });

async function firstOf(options: Partial<DistillOptions>) {
  const events = await collect({
    ...{ student, data, evaluation: data, batch, epochs: 1, learningRate: 0, keep: "last" },
    ...options,
  } as DistillOptions);
  const [done] = only(events, "done");
  return {
    loss: only(events, "step")[0]!.losses.loss as number,
    notes: only(events, "start")[0]!.notes,
    metrics: done!.metrics,
    student: done!.student,
  };
}

const said = (name: string) =>
  `the teacher's output "${name}" holds probabilities (rows that sum to 1): their logarithm is taken for the logits, -87.3 where one is 0 (--teacher-gives logits takes them as they are)`;

describe("a teacher's probabilities", async () => {
  const plain = await firstOf({ teacher: modelBytes(model([])) });

  it.each([
    [
      "behind an op that is none of an ending",
      [softmax, { op: "Abs", inputs: ["s"], output: "p" }],
      1e-5,
      said("p"),
    ],
    [
      "of a softmax written otherwise",
      [
        { op: "ReduceMean", inputs: ["z"], output: "m", attributes: { axes: ints([-1]) } },
        { op: "Sub", inputs: ["z", "m"], output: "d" },
        { op: "Exp", inputs: ["d"], output: "e" },
        { op: "ReduceL1", inputs: ["e"], output: "sum", attributes: { axes: ints([-1]) } },
        { op: "Div", inputs: ["e", "sum"], output: "p" },
      ],
      1e-5,
      said("p"),
    ],
    [
      "through a pair of 8 bits",
      [
        softmax,
        { op: "QuantizeLinear", inputs: ["s", "step", "zero"], output: "q" },
        { op: "DequantizeLinear", inputs: ["q", "step", "zero"], output: "p" },
      ],
      1e-5,
      `the teacher's output "p" comes from a Softmax (node "/s"): "z", its input, is taken for the logits`,
    ],
    [
      "clipped",
      [softmax, { op: "Clip", inputs: ["s", "tiny", "one"], output: "p" }],
      1e-5,
      `the teacher's output "p" comes from a Softmax (node "/s"): "z", its input, is taken for the logits`,
    ],
  ] as [string, NodeLine[], number, string][])("%s", async (_, lines, tolerance, note) => {
    const found = await firstOf({ teacher: modelBytes(model(lines)) });
    expect(found.loss).toBeCloseTo(plain.loss, 5);
    expect(Math.abs(found.loss / plain.loss - 1)).toBeLessThan(tolerance);
    expect(found.notes).toContain(note);
    expect(found.metrics).toEqual(plain.metrics);
  });

  it("of a function are found too, and what is said counts", async () => {
    const rows = (t: Tensor) => {
      const n = t.dims[0] as number;
      return tensor(
        "float32",
        Float32Array.from({ length: n * 4 }, (_, i) => [0.1, 0.2, 0.3, 0.4][((i >> 2) + i) % 4]!),
        [n, 4],
      );
    };
    const teacher: DistillOptions["teacher"] = ([t]) => ({ logits: rows(t!) });
    const logs: DistillOptions["teacher"] = ([t]) => {
      const p = rows(t!);
      return { logits: { ...p, data: (p.data as Float32Array).map(Math.log) } };
    };
    const [found, wanted, asTheyAre] = [
      await firstOf({ teacher }),
      await firstOf({ teacher: logs }),
      await firstOf({ teacher, teacherGives: "logits" }),
    ];
    expect(found.notes).toContain(said("logits"));
    expect(found.loss).toBeCloseTo(wanted.loss, 5);
    expect(asTheyAre.loss).not.toBeCloseTo(wanted.loss, 2);
    expect(asTheyAre.notes).not.toContain(said("logits"));
  });
});

describe("a student's probabilities", () => {
  const lines: NodeLine[] = [
    { op: "Softplus", inputs: ["z"], output: "e" },
    { op: "ReduceSum", inputs: ["e", "last"], output: "sum" },
    { op: "Div", inputs: ["e", "sum"], output: "p" },
  ];
  it("are trained by their logarithm, and its file still gives them", async () => {
    const labels = Int32Array.from({ length: batch }, (_, i) => i % classes);
    const labelled = arrayDataset({ inputs: [x], labels, classes });
    const own = model(lines);
    const options = { teacher: undefined, data: labelled, evaluation: labelled, student: own };
    const { loss, notes, metrics } = await firstOf(options);
    const session = await nodeRuntime.load(modelBytes(own));
    const p = (await session.run({ x })).p!.data as Float32Array;
    await session.release();
    const wanted = labels.reduce((sum, y, i) => sum - Math.log(p[i * classes + y]!), 0) / batch;
    expect(loss).toBeCloseTo(wanted, 5);
    expect(metrics.loss).toBeCloseTo(wanted, 5);
    expect(notes).toContain(
      'the student\'s output "p" holds probabilities (rows that sum to 1): their logarithm is taken for the logits, -87.3 where one is 0 (--student-gives logits takes them as they are)',
    );
    const trained = await firstOf({ ...options, epochs: 30, learningRate: 0.5 });
    expect(trained.metrics.loss).toBeLessThan(0.8 * wanted);
    const after = await nodeRuntime.load(trained.student);
    const q = (await after.run({ x })).p!.data as Float32Array;
    await after.release();
    for (let i = 0; i < batch; i++)
      expect(q.slice(i * 4, i * 4 + 4).reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  });

  it("of a student in which a sigmoid stands for classes are refused, until it is said what they are", async () => {
    const own = model([{ op: "Sigmoid", inputs: ["z"], output: "p" }]);
    await expect(firstOf({ teacher: modelBytes(model([])), student: own })).rejects.toThrow(
      'the student\'s output "p" ends in a Sigmoid (node "/p"), and its values are no distribution over classes, which task classification expects: take --task multi-label, name the value that goes into it with --student-logits, or say what they are with --student-gives logits or --student-gives probabilities',
    );
    const options = { teacher: modelBytes(model([])), student: own };
    const before = await firstOf({ ...options, studentLogits: "z" });
    expect(before.loss).toBeCloseTo(0, 5);
    expect((await firstOf({ ...options, studentGives: "probabilities" })).loss).toBeGreaterThan(1e-3);
  });
});

describe("sigmoids", () => {
  it("of a teacher of labels, whatever made them", async () => {
    const plain = await firstOf({ teacher: modelBytes(model([])), task: "multi-label" });
    // 1 / (1 + e^-z)
    const lines: NodeLine[] = [
      { op: "Neg", inputs: ["z"], output: "n" },
      { op: "Exp", inputs: ["n"], output: "e" },
      { op: "Add", inputs: ["e", "one"], output: "a" },
      { op: "Reciprocal", inputs: ["a"], output: "p" },
    ];
    const found = await firstOf({ teacher: modelBytes(model(lines)), task: "multi-label" });
    expect(found.loss).toBeCloseTo(plain.loss, 4);
    expect(found.notes).toContain(
      'the teacher\'s output "p" holds probabilities (within [0, 1]): log p - log(1 - p) is taken for the logits, from -87.3 to 17.3 (--teacher-gives logits takes them as they are)',
    );
  });
});

describe("layouts", () => {
  // Labels of 5 positions of 3 classes each; x is [N, 5, 3].
  const [positions, width, kinds] = [5, 3, 4];
  const inputs = randomTensor(5, [batch, positions, width]);
  const labels = tensor(
    "int32",
    new Int32Array(batch * positions).map((_, i) => (i * 7) % kinds),
    [batch, positions],
  );
  const dataset = arrayDataset({ inputs: [inputs], labels });
  const u = randomTensor(6, [width, kinds]);
  const of = (lines: readonly NodeLine[]) =>
    smallStudent(
      [batch, positions, width],
      {
        u,
        ut: { ...u, dims: [kinds, width], data: transposed(u) },
        flat: tensor("int64", [batch, positions * kinds]),
        back: tensor("int64", [batch, kinds, positions]),
      },
      lines,
    );
  const plain = of([{ op: "MatMul", inputs: ["x", "u"], output: "y" }]);
  const options = {
    data: dataset,
    evaluation: dataset,
    task: "token-classification" as const,
    teacher: undefined,
  };

  it.each([
    [
      "[N, C, T] by a transpose",
      [
        { op: "MatMul", inputs: ["x", "u"], output: "m" },
        { op: "Transpose", inputs: ["m"], output: "y", attributes: { perm: ints([0, 2, 1]) } },
      ],
    ],
    [
      "[N, C, T] by weights on the left",
      [
        { op: "Transpose", inputs: ["x"], output: "t", attributes: { perm: ints([0, 2, 1]) } },
        { op: "MatMul", inputs: ["ut", "t"], output: "y" },
      ],
    ],
    [
      "[T, N, C]",
      [
        { op: "MatMul", inputs: ["x", "u"], output: "m" },
        { op: "Transpose", inputs: ["m"], output: "y", attributes: { perm: ints([1, 0, 2]) } },
      ],
    ],
    [
      "[N, C, T] with a softmax over C",
      [
        { op: "MatMul", inputs: ["x", "u"], output: "m" },
        { op: "Transpose", inputs: ["m"], output: "t", attributes: { perm: ints([0, 2, 1]) } },
        { op: "Softmax", inputs: ["t"], output: "y", attributes: { axis: int(1) } },
      ],
    ],
  ] as [string, NodeLine[]][])("%s learns as [N, T, C] does", async (_, lines) => {
    const wanted = await firstOf({ ...options, student: plain, learningRate: 0.1, epochs: 2 });
    const own = of(lines);
    const found = await firstOf({ ...options, student: own, learningRate: 0.1, epochs: 2 });
    expect(found.loss).toBeCloseTo(wanted.loss, 5);
    expect(found.metrics.loss).toBeCloseTo(wanted.metrics.loss as number, 5);
    const alone = await evaluateModel(readModel(found.student), dataset, {
      runtime: nodeRuntime,
      task: taskNamed("token-classification"),
    });
    expect(alone.metrics).toEqual({ ...found.metrics });
  });
});

describe("as many positions as samples, in files made for that batch", () => {
  const square = randomTensor(9, [batch, batch, 3]);
  const labels = tensor(
    "int32",
    new Int32Array(batch * batch).map((_, i) => (i * 5) % 4),
    [batch, batch],
  );
  const dataset = arrayDataset({ inputs: [square], labels });
  const of = (lines: readonly NodeLine[]) =>
    smallStudent([batch, batch, 3], { u: randomTensor(6, [3, 4]) }, lines);
  const turn = (input: string, output: string): NodeLine => ({
    ...{ op: "Transpose", inputs: [input], output },
    attributes: { perm: ints([1, 0, 2]) },
  });
  const product = (input: string, output: string): NodeLine => ({
    op: "MatMul",
    inputs: [input, "u"],
    output,
  });

  it.each([
    ["[N, T, C]", [turn("x", "a"), product("a", "m"), turn("m", "y")]],
    ["[T, N, C]", [turn("x", "a"), product("a", "y")]],
  ] as [string, NodeLine[]][])("%s", async (_, lines) => {
    const options = {
      data: dataset,
      evaluation: dataset,
      task: "token-classification" as const,
      teacher: undefined,
    };
    const wanted = await firstOf({ ...options, student: of([product("x", "y")]) });
    const found = await firstOf({ ...options, student: of(lines) });
    expect(found.loss).toBeCloseTo(wanted.loss, 5);
    expect(found.metrics).toEqual({
      ...wanted.metrics,
      loss: expect.closeTo(wanted.metrics.loss as number, 5),
    });
    const taught = await firstOf({
      ...options,
      student: of([product("x", "y")]),
      teacher: modelBytes(of(lines)),
    });
    expect(taught.metrics.agreement).toBe(1);
  });
});

describe("as many positions as the file's own batch", () => {
  const [own, count] = [4, 10];
  const dataset = arrayDataset({
    inputs: [randomTensor(11, [count, own, 3])],
    labels: tensor(
      "int32",
      new Int32Array(count * own).map((_, i) => (i * 3) % 5),
      [count, own],
    ),
  });
  const measured = async (lines: readonly NodeLine[]) => {
    const made = smallStudent([own, own, 3], { u: randomTensor(12, [3, 5]) }, lines);
    const task = taskNamed("token-classification");
    const found = await evaluateModel(made, dataset, { runtime: nodeRuntime, task });
    expect(found.batch).toBe(own);
    return found.metrics;
  };

  it("the samples are what turns with the inputs", async () => {
    const wanted = await measured([{ op: "MatMul", inputs: ["x", "u"], output: "y" }]);
    const found = await measured([
      { op: "Transpose", inputs: ["x"], output: "t", attributes: { perm: ints([1, 0, 2]) } },
      { op: "MatMul", inputs: ["t", "u"], output: "y" },
    ]);
    expect(found).toEqual({ ...wanted, loss: expect.closeTo(wanted.loss as number, 5) });
  });
});

describe("what is said of an output that ends in its activation", async () => {
  const small = { teacher: modelBytes(model([{ op: "Mul", inputs: ["z", "hundred"], output: "y" }])) };
  it.each([
    ["classification", "Softmax", "probabilities"],
    ["classification", "LogSoftmax", "log-probabilities"],
    ["multi-label", "Sigmoid", "probabilities"],
  ] as const)("is said of what the activation gives: %s, %s", async (task, op, teacherGives) => {
    const lines: NodeLine[] = [
      { op: "Mul", inputs: ["z", "hundred"], output: "y" },
      { op, inputs: ["y"], output: "p" },
    ];
    const wanted = await firstOf({ task, ...small });
    const found = await firstOf({ task, teacher: modelBytes(model(lines)), teacherGives });
    expect(found.loss).toBeCloseTo(wanted.loss, 5);
  });
});

describe("columns that are no plain probabilities", async () => {
  const plain = await firstOf({ teacher: modelBytes(model([])) });
  const refusal = (lines: readonly NodeLine[], options: Partial<DistillOptions> = {}) =>
    firstOf({ teacher: modelBytes(model(lines)), ...options }).then(
      () => "none",
      (error: Error) => error.message,
    );
  const percent: NodeLine[] = [softmax, { op: "Mul", inputs: ["s", "hundred"], output: "p" }];

  it("percentages are refused until it is said what they are, and then taught from", async () => {
    expect(await refusal(percent)).toBe(
      'the teacher\'s output "p" may hold probabilities times 100, as percentages or votes are: its first rows are 0 or more and all sum to 100; say what they are with --teacher-gives logits or --teacher-gives probabilities',
    );
    const found = await firstOf({ teacher: modelBytes(model(percent)), teacherGives: "probabilities" });
    expect(found.loss).toBeCloseTo(plain.loss, 5);
  });

  it("what a TopK sorted is refused, and what it sorted is taken", async () => {
    const sorted: NodeLine[] = [softmax, { op: "TopK", inputs: ["s", "all"], output: "p", also: ["i"] }];
    expect(await refusal(sorted)).toBe(
      'teacher: output "p" holds the largest numbers of "s" in falling order (TopK at node "/p"), so that its columns stand for no class; name the value that holds the logits (--teacher-logits), "s" it may be',
    );
    const found = await firstOf({ teacher: modelBytes(model(sorted)), teacherLogits: "s" });
    expect(found.loss).toBeCloseTo(plain.loss, 5);
  });

  it("an axis of length 1 may lie in front", async () => {
    const found = await firstOf({
      teacher: modelBytes(model([{ op: "Unsqueeze", inputs: ["z", "front"], output: "p" }])),
    });
    expect(found.loss).toBeCloseTo(plain.loss, 5);
  });
});

it("of several outputs alike a run says which it reads, and what names another", async () => {
  const heads = (outputs: string[]) =>
    smallStudent(
      [batch, 6],
      { ...constants, v: randomTensor(13, [6, classes]) },
      [...head, softmax, { op: "MatMul", inputs: ["x", "v"], output: "aux" }],
      { outputs, declared: outputs.map((name) => ({ name, dtype: "float32", dims: [batch, classes] })) },
    );
  const { notes } = await firstOf({ teacher: modelBytes(heads(["aux", "s"])) });
  expect(notes).toContain(
    'the teacher\'s output "aux" is read, the first of several; --teacher-logits names another ("s")',
  );
  // Logits and their Softmax are the same output, and one that was named is meant.
  for (const options of [
    { teacher: modelBytes(heads(["z", "s"])) },
    { teacher: modelBytes(heads(["aux", "s"])), teacherLogits: "aux" },
  ])
    expect((await firstOf(options)).notes.join()).not.toContain("several");
});

describe("a teacher whose classes only its shapes tell", () => {
  it("is run once more for them, and taught from", async () => {
    const teacher = smallStudent(
      [8, 5, 3],
      { u: randomTensor(6, [3, 4]), rows: tensor("int64", [40, 3]), back: tensor("int64", [8, 5, 4]) },
      [
        { op: "Reshape", inputs: ["x", "rows"], output: "r" },
        { op: "MatMul", inputs: ["r", "u"], output: "m" },
        { op: "Reshape", inputs: ["m", "back"], output: "t" },
        { op: "Identity", inputs: ["t"], output: "y" },
      ],
    );
    const own = smallStudent([8, 5, 3], { v: randomTensor(7, [3, 4]), u: randomTensor(6, [3, 4]) }, [
      { op: "MatMul", inputs: ["x", "v"], output: "y" },
    ]);
    const plain = smallStudent([8, 5, 3], { u: randomTensor(6, [3, 4]) }, [
      { op: "MatMul", inputs: ["x", "u"], output: "y" },
    ]);
    const dataset = arrayDataset({ inputs: [randomTensor(8, [8, 5, 3])] });
    const options = {
      student: own,
      data: dataset,
      evaluation: dataset,
      batch: 8,
      task: "token-classification" as const,
    };
    const found = await firstOf({ ...options, teacher: modelBytes(teacher) });
    const wanted = await firstOf({ ...options, teacher: modelBytes(plain) });
    expect(found.loss).toBeCloseTo(wanted.loss, 6);
  });
});

describe("inspect", () => {
  it("tells of probabilities and of axes, and leaves out tasks that one logit is none of", async () => {
    const of = async (own: Model) => describeModel(own, { runtime: nodeRuntime });
    const trees = await of(model([softmax, { op: "Abs", inputs: ["s"], output: "p" }]));
    expect(trees.notes).toContain(
      'the model\'s output "p" holds probabilities (rows that sum to 1, on made-up inputs): their logarithm is taken for the logits',
    );
    const maps = smallStudent([2, 3, 4, 4], { k: randomTensor(4, [5, 3, 1, 1]) }, [
      { op: "Conv", inputs: ["x", "k"], output: "c" },
      { op: "Transpose", inputs: ["c"], output: "y", attributes: { perm: ints([0, 2, 3, 1]) } },
    ]);
    expect((await of(maps)).notes).toContain(
      'the model\'s output "y" [2,4,4,5] has its classes along axis 3, its samples along axis 0',
    );
    const line = smallStudent([2, 3], { u: randomTensor(4, [3, 1]) }, [
      { op: "MatMul", inputs: ["x", "u"], output: "y" },
    ]);
    expect((await of(line)).tasks).toEqual(["multi-label", "regression"]);
    // The predicted class comes first, as of scikit-learn.
    const labelled = smallStudent(
      [2, 3],
      { u: randomTensor(4, [3, 5]) },
      [
        { op: "MatMul", inputs: ["x", "u"], output: "y" },
        { op: "ArgMax", inputs: ["y"], output: "label", attributes: { axis: int(1), keepdims: int(0) } },
      ],
      { outputs: ["label", "y"] },
    );
    expect((await of(labelled)).tasks).toEqual(["classification", "multi-label", "regression"]);
    const sorted = await of(model([{ op: "TopK", inputs: ["z", "all"], output: "p", also: ["i"] }]));
    expect(sorted.notes).toContain(
      'student.onnx: output "p" holds the largest numbers of "z" in falling order (TopK at node "/p"), so that its columns stand for no class; name the value that holds the logits, "z" it may be',
    );
  });
});

function transposed({ dims, data: values }: Tensor): Float32Array {
  const [rows, columns] = dims as [number, number];
  return Float32Array.from(
    { length: rows * columns },
    (_, i) => (values as Float32Array)[(i % rows) * columns + Math.floor(i / rows)]!,
  );
}
