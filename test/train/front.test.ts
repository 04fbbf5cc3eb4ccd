// Nodes that no step can hold, with no trained weight before them: they run as they stand, and the head behind them learns
// what a student that is the head alone learns from their results.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { modelBytes, withOutputs } from "../../src/onnx/export-model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { studentFromText } from "../models/graph-text.ts";
import { graph, line, modelOf } from "../onnx/protos.ts";
import { collect, only } from "./helpers.ts";
import { randomFloats } from "./random-floats.ts";

const floats = randomFloats(3);
const rows = floats(24, 3);
const labels = Uint8Array.from({ length: 24 }, (_, i) => i % 4);
const head = floats(3, 4);
const body = floats(3, 3);
const scalar = (value: number): Tensor => tensor("int64", [value], []);

interface FrontCase {
  readonly what: string;
  /** Makes g [n, 3] of x [n, 3]. */
  readonly student: Uint8Array;
  readonly options?: Partial<DistillOptions>;
  /** The nodes that the run says it leaves as they stand. */
  readonly nodes: string;
}

const fromText = (text: string, constants: Readonly<Record<string, Tensor>> = {}, opset = 17): Uint8Array =>
  modelBytes(
    studentFromText(
      `${text}\ny = MatMul(g, head.weight)`,
      [-1, 3],
      { "head.weight": head, ...constants },
      opset,
    ),
  );
const fromLines = (lines: ReturnType<typeof line>[], constants: Readonly<Record<string, Tensor>> = {}) =>
  modelOf(graph([...lines, line("MatMul g head.weight -> y")], ["y"], { "head.weight": head, ...constants }));

const cases: readonly FrontCase[] = [
  {
    what: "an op without a rule",
    student: fromText("s = Reshape(x, square)\nd = Det(s)\ne = Reshape(d, column)\ng = Mul(x, e)", {
      square: tensor("int64", [-1, 1, 1]),
      column: tensor("int64", [-1, 3]),
    }),
    nodes: 'Det at node "/d"',
  },
  {
    what: "an op of another domain, behind a frozen weight",
    student: fromText("h = MatMul(x, body.weight)\ng = com.microsoft::CDist(h, places) metric=euclidean", {
      "body.weight": body,
      places: floats(3, 3),
    }),
    options: { freeze: ["body.*", "places"] },
    nodes: 'CDist at node "/g"',
  },
  {
    what: "dynamic quantisation, and weights of whole numbers with a scale for each channel",
    student: fromText(
      "q, s, z = DynamicQuantizeLinear(x)\nm = MatMulInteger(q, w, z)\nf = Cast(m) to=1\ng = Mul(f, s)",
      { w: tensor("int8", [1, -2, 3, 4, -5, 6, 7, 8, -9], [3, 3]) },
    ),
    nodes: 'DynamicQuantizeLinear at node "/q", MatMulInteger at node "/m"',
  },
  {
    what: "a loop that takes a value from outside",
    student: fromLines(
      [
        line("Tanh x -> h", {}, "/h"),
        line(
          "Loop three yes x -> g",
          {
            body: graph(
              [line("Identity go -> on"), line("Mul s h -> m"), line("Add m h -> t")],
              ["on", "t"],
              {},
              [{ name: "i", dtype: "int64" }, { name: "go", dtype: "bool" }, "s"],
            ),
          },
          "/steps",
        ),
      ],
      { three: scalar(3), yes: tensor("bool", [1], []) },
    ),
    nodes: 'Loop at node "/steps"',
  },
  {
    what: "a list of tensors",
    student: fromText("parts = SplitToSequence(x, lengths) axis=1\ng = ConcatFromSequence(parts) axis=1", {
      lengths: tensor("int64", [1, 2]),
    }),
    nodes: 'SplitToSequence at node "/parts", ConcatFromSequence at node "/g"',
  },
  {
    what: "a choice of what is not zero, of which there is always as much",
    student: fromText(
      "n = NonZero(x)\nt = Transpose(n)\nv = GatherND(x, t)\nr = Reshape(v, like)\ng = Tanh(r)",
      { like: tensor("int64", [-1, 3]) },
    ),
    nodes: 'NonZero at node "/n"',
  },
];

/** All samples in each step, because dynamic quantisation looks at all of them. */
const plain: Partial<DistillOptions> = { batch: 24, epochs: 3, learningRate: 0.1, keep: "last", seed: 4 };

/** The head's weight after training. */
async function trained(student: Uint8Array, inputs: Tensor, options: Partial<DistillOptions> = {}) {
  const data = arrayDataset({ inputs: [inputs], labels, classes: 4 });
  const events = await collect({ student, data, ...plain, ...options } as DistillOptions);
  const [done] = only(events, "done");
  const { graph: g } = readModel(done!.student);
  return {
    weight: g.constants.get(g.find("head.weight")!)!.data,
    notes: only(events, "start")[0]!.notes,
    events,
  };
}

async function computed(student: Uint8Array, name: string): Promise<Tensor> {
  const session = await nodeRuntime.load(withOutputs(readModel(student), [name]));
  const found = await session.run({ x: rows });
  await session.release();
  return found[name]!;
}

const alone = modelBytes(studentFromText("y = MatMul(x, head.weight)", [-1, 3], { "head.weight": head }, 17));

describe("the head learns what it learns alone", () => {
  it.each(cases)("$what", async ({ student, options, nodes }) => {
    const whole = await trained(student, rows, options);
    const apart = await trained(alone, { ...(await computed(student, "g")), dims: [24, 3] });
    expect(whole.weight).toEqual(apart.weight);
    expect(whole.weight).not.toEqual(head.data);
    expect(whole.notes).toContain(`before each step, as the file has it and without training: ${nodes}`);
  });
});

describe("refusals", () => {
  const data = arrayDataset({ inputs: [rows], labels, classes: 4 });
  const run = (student: Uint8Array, options: Partial<DistillOptions> = {}) =>
    collect({ student, data, ...plain, ...options } as DistillOptions);
  const normalized = fromText(
    "n = BatchNormalization(x, scale, bias, mean, var)\nq, s, z = DynamicQuantizeLinear(n)\ng = DequantizeLinear(q, s, z)",
    Object.fromEntries(["scale", "bias", "mean", "var"].map((n) => [n, tensor("float32", [1, 2, 3])])),
  );
  it("random numbers", async () => {
    await expect(run(fromText("n = RandomNormalLike(x)\ng = Add(x, n)"))).rejects.toMatchObject({
      message:
        'RandomNormalLike at node "/n", needed by "head.weight", cannot be part of a student: it draws random numbers inside the graph; leave it out, or use Dropout',
    });
    const noise = graph(
      [line("Identity go -> on"), line("RandomNormalLike s -> n"), line("Add s n -> t")],
      ["on", "t"],
      {},
      [{ name: "i", dtype: "int64" }, { name: "go", dtype: "bool" }, "s"],
    );
    const loop = line("Loop three yes x -> g", { body: noise }, "/steps");
    const constants = { three: scalar(3), yes: tensor("bool", [1], []) };
    await expect(run(fromLines([loop], constants))).rejects.toMatchObject({
      message:
        'Loop at node "/steps", which no step can hold, comes after Loop at node "/steps", which draws random numbers, so that no run could be repeated: export the model in evaluation mode, or without it',
    });
    await expect(
      run(fromText("d = Dropout(x)\nq, s, z = DynamicQuantizeLinear(d)\ng = DequantizeLinear(q, s, z)")),
    ).rejects.toMatchObject({
      message:
        'DynamicQuantizeLinear at node "/q", which no step can hold, comes after Dropout at node "/d", which draws random numbers, so that no run could be repeated: export the model in evaluation mode, or without it',
    });
  });
  it("running statistics that training moves, until they are kept", async () => {
    const freeze = ["scale", "bias"];
    await expect(run(normalized, { freeze, train: ["mean"] })).rejects.toMatchObject({
      message:
        'DynamicQuantizeLinear at node "/q", which no step can hold, comes after running statistics that training moves ("mean"): keep them as they are with --batch-norm frozen (batchNorm: "frozen")',
    });
    for (const kept of [{ freeze }, { freeze, train: ["mean"], batchNorm: "frozen" } as const]) {
      const notes = only(await run(normalized, kept), "start")[0]!.notes;
      expect(notes).toContain(
        'before each step, as the file has it and without training: DynamicQuantizeLinear at node "/q"',
      );
    }
  });
  it("a shape that depends on the data, when it is another", async () => {
    const student = fromText(
      "r = Relu(x)\nn = NonZero(r)\nt = Transpose(n)\nv = GatherND(r, t)\nm = ReduceMax(v) axes=[0] keepdims=1\nu = Add(v, m)\nl = ReduceMean(u) axes=[0]\ng = Add(x, l)",
    );
    await expect(run(student, { batch: 8 })).rejects.toMatchObject({
      code: "E_SHAPE",
      message: expect.stringMatching(
        /^student: "n", made by NonZero at node "\/n", is \[2,\d+\] for this batch and was \[2,\d+\] for the first; a step is compiled for one shape: leave out what makes it depend on the data, or pad the result$/,
      ),
    });
  });
});
