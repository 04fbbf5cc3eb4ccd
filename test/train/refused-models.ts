// Students with something that cannot be trained, and the one line with which each is refused.
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { Graph } from "../../src/graph/graph.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { testRandom } from "../gradient-checker.ts";
import { studentFromText } from "../models/graph-text.ts";
import { graph, line, modelOf } from "../onnx/protos.ts";

export interface RefusedModel {
  /** What a user would call it. */
  readonly what: string;
  /** Takes x [n, 3], gives y [n, 4]. */
  readonly student: Uint8Array;
  readonly line: string;
}

function weight(rows: number, columns: number): Tensor {
  const random = testRandom(rows * 10 + columns);
  const data = Float32Array.from({ length: rows * columns }, () => random() - 0.5);
  return tensor("float32", data, [rows, columns]);
}

const body = { "body.weight": weight(3, 3) };
const head = { "head.weight": weight(3, 4) };
const index = (...values: number[]): Tensor => tensor("int64", values);
const scalar = (value: number): Tensor => tensor("int64", [value], []);
const quantised = tensor(
  "int8",
  Int8Array.from({ length: 12 }, (_, i) => 5 * i - 30),
  [3, 4],
);

/** A trained layer, then `lines` that make `g` of its result `h`, then another. */
function between(
  lines: string,
  constants: Readonly<Record<string, Tensor>> = {},
  batch: number | undefined = undefined,
): Uint8Array {
  const text = `h = MatMul(x, body.weight)\n${lines}\ny = MatMul(g, head.weight)`;
  return modelBytes(studentFromText(text, [batch ?? -1, 3], { ...body, ...head, ...constants }, 17));
}

/** The same with nodes that hold graphs. */
function aroundGraphs(
  lines: ReturnType<typeof line>[],
  constants: Readonly<Record<string, Tensor>>,
): Uint8Array {
  return modelOf(
    graph([line("MatMul x body.weight -> h"), ...lines, line("MatMul g head.weight -> y")], ["y"], {
      ...body,
      ...head,
      ...constants,
    }),
  );
}

/** Ends in the predicted class, which its file declares. */
function classAlone(): Uint8Array {
  const g = new Graph("student", [["", 17]]);
  const x = g.addInput("x", { dtype: "float32", dims: [-1, 3] });
  const node = (
    op: string,
    inputs: Parameters<Graph["addNode"]>[0]["inputs"],
    out: string,
    dtype: "float32" | "int64",
  ) =>
    g.addNode({ op, name: `/${out}`, inputs, outputs: [out], types: [{ dtype, dims: [-1, 4] }] }).outputs[0];
  const scores = node("MatMul", [x, g.addConstant("head.weight", head["head.weight"])], "scores", "float32");
  const top = node("ArgMax", [scores], "class", "int64");
  g.addOutput(top as NonNullable<typeof top>);
  return writeGraph(g);
}

export const refusedModels: readonly RefusedModel[] = [
  {
    what: "a loop with a weight in its body",
    student: aroundGraphs(
      [
        line(
          "Loop three yes h -> g",
          {
            body: graph(
              [line("Identity go -> on"), line("MatMul s step.weight -> m"), line("Tanh m -> t")],
              ["on", "t"],
              { "step.weight": weight(3, 3) },
              [{ name: "i", dtype: "int64" }, { name: "go", dtype: "bool" }, "s"],
            ),
          },
          "/steps",
        ),
      ],
      { three: scalar(3), yes: tensor("bool", [1], []) },
    ),
    line: 'Loop at node "/steps", needed by "body.weight", cannot be part of a student: it runs its subgraph as often as the data say, which one graph of training cannot; export the model with the loop unrolled',
  },
  {
    what: "a scan over time",
    student: aroundGraphs(
      [
        line(
          "Scan start h -> last, g",
          {
            num_scan_inputs: 1n,
            body: graph([line("Add s r -> n"), line("Tanh n -> o")], ["n", "o"], {}, ["s", "r"]),
          },
          "/time",
        ),
      ],
      { start: tensor("float32", [0, 0, 0]) },
    ),
    line: 'Scan at node "/time", needed by "body.weight", cannot be part of a student: it runs its subgraph as often as the data say, which one graph of training cannot; export the model with the loop unrolled',
  },
  {
    what: "a branch that the data choose, with a weight in it",
    student: aroundGraphs(
      [
        line("ReduceMax h -> top", { keepdims: 0n }),
        line("Greater top limit -> many"),
        line(
          "If many -> g",
          {
            then_branch: graph([line("MatMul h deep.weight -> a")], ["a"], { "deep.weight": weight(3, 3) }),
            else_branch: graph([line("Neg h -> b")], ["b"]),
          },
          "/exit",
        ),
      ],
      { limit: tensor("float32", [0], []) },
    ),
    line: 'If at node "/exit", needed by "body.weight", cannot be part of a student: its condition depends on the data, so that there is no one graph to train; export the branch that is taken',
  },
  {
    what: "a list of tensors",
    student: between("parts = SplitToSequence(h, lengths) axis=1\ng = ConcatFromSequence(parts) axis=1", {
      lengths: index(1, 2),
    }),
    line: 'SplitToSequence at node "/parts", needed by "body.weight", cannot be part of a student: it handles a list of tensors; export the model with tensors alone (Split, Concat)',
  },
  {
    what: "dynamic quantisation",
    student: between(
      "q, scale, zero = DynamicQuantizeLinear(h)\nm = MatMulInteger(q, quantised, zero)\nf = Cast(m) to=1\ng = Mul(f, scale)",
      {
        quantised: tensor(
          "int8",
          Int8Array.from({ length: 9 }, (_, i) => i - 4),
          [3, 3],
        ),
      },
    ),
    line: 'DynamicQuantizeLinear at node "/q", needed by "body.weight", cannot be part of a student: it computes in integers; train the model in float32 and quantise the result',
  },
  {
    what: "weights that are quantised already",
    student: modelBytes(
      studentFromText(
        "w = DequantizeLinear(head.weight_quantized, head.scale)\ny = MatMul(x, w)",
        [-1, 3],
        { "head.weight_quantized": quantised, "head.scale": tensor("float32", [0.01], []) },
        17,
      ),
    ),
    line: 'student: no weight is left to train; "head.weight_quantized" of DequantizeLinear at node "/w" holds whole numbers: train the float32 model that was quantised, and quantise the result',
  },
  {
    what: "a selection of what is not zero",
    student: between(
      "r = Relu(h)\nplaces = NonZero(r)\nt = Transpose(places)\nv = GatherND(r, t)\nm = ReduceMean(v) keepdims=1\ng = Add(h, m)",
    ),
    line: 'NonZero at node "/places", needed by "body.weight", cannot be part of a student: the shape of its result depends on the data; leave that step out of the model',
  },
  {
    what: "an op without a rule",
    student: between("s = Reshape(h, square)\nd = Det(s)\ne = Reshape(d, column)\ng = Mul(h, e)", {
      square: index(-1, 1, 1),
      column: index(-1, 3),
    }),
    line: 'no rule for op Det at node "/d", needed by "body.weight", so it cannot be part of a student. Add a rule in src/ops, replace the op in the model, or freeze every weight before it (--freeze): then it runs as it stands.',
  },
  {
    what: "an op of its author's own",
    student: aroundGraphs([line("local::Swoosh h -> g", {}, "/act")], {}),
    line: 'student: onnxruntime-node has no op local::Swoosh (node "/act", needed by "body.weight"), so the model cannot be run; export it with standard ops in its place',
  },
  {
    what: "half-precision weights",
    student: between("c = Cast(h) to=10\nm = MatMul(c, half.weight)\ng = Cast(m) to=1", {
      "half.weight": tensor("float16", new Uint16Array(9).fill(0x3800), [3, 3]),
    }),
    line: 'student: weight "half.weight" of MatMul at node "/m" is float16; training needs float32: convert the student, or freeze it with --freeze \'half.weight\'',
  },
  {
    what: "an output that is the predicted class",
    student: classAlone(),
    line: 'student: no output holds floats ("class" is int64, made by ArgMax of "scores" at node "/class", through which "head.weight" gets no gradient); name the value that holds the logits (--student-logits)',
  },
  {
    what: "a choice that every gradient ends at",
    student: modelBytes(
      studentFromText(
        "s = MatMul(x, head.weight)\ni = ArgMax(s) axis=1 keepdims=0\ny = OneHot(i, four, values)",
        [-1, 3],
        { ...head, four: index(4), values: tensor("float32", [0, 1]) },
        17,
      ),
    ),
    line: 'the loss (hard) reaches no weight of student through operations that have a gradient, so nothing would be learned: "head.weight" (its gradient ends at ArgMax, node "/i"); choose an earlier value with --student-logits, or another loss',
  },
  {
    what: "a form of an op that has no gradient",
    student: between(
      "r = Relu(h)\ng = ScatterElements(r, into, r) axis=1 reduction=mul",
      {
        into: tensor(
          "int64",
          Array.from({ length: 12 }, (_, i) => i % 3),
          [4, 3],
        ),
      },
      4,
    ),
    line: 'no gradient rule for ScatterElements (input 0) at node "/g/ScatterElements", needed by "body.weight". Freeze it with --freeze \'body.*\', or add a rule in src/ops.',
  },
  {
    what: "noise drawn inside the graph",
    student: between("noise = RandomNormalLike(h)\ng = Add(h, noise)"),
    line: 'RandomNormalLike at node "/noise", needed by "body.weight", cannot be part of a student: it draws random numbers inside the graph; leave it out, or use Dropout',
  },
  {
    what: "a batch that is written into the graph",
    student: between(
      "r = Reshape(h, flat)\ns = Softmax(r) axis=-1\ng = Reshape(s, back)",
      {
        flat: index(1, 6),
        back: index(2, 3),
      },
      2,
    ),
    line: 'student: made for a batch of 2, and node Reshape "/r" allows no other, because of its constant "flat" (1, 6); train with a batch of 2, or export the model with a dynamic first dimension',
  },
];
