// What an exporter leaves among the constants that is no weight: it is not trained, and what needs its numbers gets them.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import type { CompiledStep } from "../../src/compile/compile-step.ts";
import { int, ints, string } from "../../src/graph/graph.ts";
import { emissionOf, type LossEmission } from "../../src/losses/index.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { constantRoles } from "../../src/ops/constant-roles.ts";
import { opTable } from "../../src/ops/index.ts";
import { RegressionDistillationStrategy } from "../../src/strategies/index.ts";
import { taskNamed } from "../../src/tasks/index.ts";
import { compileModel, type NodeLine, randomTensor, smallStudent } from "./compile-model.ts";

const trainedOf = (compiled: CompiledStep): string[] =>
  compiled.weights.flatMap((p) => p.tensors.map((t) => t.name)).sort();

const float = (values: readonly number[], dims: readonly number[] = [values.length]): Tensor =>
  tensor("float32", values, dims);

const constantNode = (output: string, value: Tensor): NodeLine => ({
  op: "Constant",
  inputs: [],
  output,
  attributes: { value: { kind: "tensor", value } },
});

/** x [2,3] · weight [3,4] → "product" → lines; what is trained. */
const regression = {
  loss: emissionOf(new RegressionDistillationStrategy()) as LossEmission,
  task: taskNamed("regression"),
  labels: false,
  teacherLogits: true,
};

async function trained(
  constants: Readonly<Record<string, Tensor>>,
  lines: readonly NodeLine[],
  weight: Tensor | undefined = randomTensor(1, [3, 4]),
): Promise<string[]> {
  const product: NodeLine = { op: "MatMul", inputs: ["x", "weight"], output: "product" };
  const student = smallStudent([2, 3], { ...(weight ? { weight } : {}), ...constants }, [
    ...(weight ? [product] : []),
    ...lines,
  ]);
  return trainedOf(await compileModel(student, 2));
}

describe("constants of an ordinary file", () => {
  test("a Constant node is a number of the architecture where the weights are initialisers", async () => {
    const lines: NodeLine[] = [
      constantNode("window", float([1, 2, 3, 4])),
      { op: "Mul", inputs: ["product", "window"], output: "windowed" },
      { op: "Add", inputs: ["windowed", "bias"], output: "logits" },
    ];
    expect(await trained({ bias: float([1, 2, 3, 4]) }, lines)).toEqual(["bias", "weight"]);
  });

  test("a Constant node is a weight where there are no others, as in files of Paddle2ONNX", async () => {
    const student = smallStudent([2, 3], { epsilon: float([1e-5]) }, [
      constantNode("weight", randomTensor(1, [3, 4])),
      { op: "MatMul", inputs: ["x", "weight"], output: "product" },
      { op: "Add", inputs: ["product", "epsilon"], output: "logits" },
    ]);
    expect(trainedOf(await compileModel(student, 2))).toEqual(["weight"]);
  });

  test("an additive mask stays as it is; a bias with zeros in it trains", async () => {
    const lines: NodeLine[] = [
      { op: "Add", inputs: ["product", "mask"], output: "masked" },
      { op: "Add", inputs: ["masked", "infinite"], output: "hidden" },
      { op: "Add", inputs: ["hidden", "bias"], output: "logits" },
    ];
    const constants = {
      mask: float([0, 0, -100, 0]),
      infinite: float([0, Number.NEGATIVE_INFINITY, 0, -3.4e38]),
      bias: float([0, 0, -2, 0]),
    };
    expect(await trained(constants, lines)).toEqual(["bias", "weight"]);
  });

  test("what the loss never moves stays out of weight decay: counters behind a comparison", async () => {
    const lines: NodeLine[] = [
      { op: "Equal", inputs: ["counters", "three"], output: "same" },
      { op: "Where", inputs: ["same", "product", "zero"], output: "logits" },
    ];
    const constants = { counters: float([3, 1, 3, 2]), three: float([3], []), zero: float([0], []) };
    expect(await trained(constants, lines)).toEqual(["weight"]);
  });
});

describe("fixed slots", () => {
  const map: NodeLine[] = [
    { op: "Reshape", inputs: ["product", "shape"], output: "map" },
    { op: "Reshape", inputs: ["large", "flat"], output: "logits" },
  ];
  const shapes = { shape: tensor("int64", [2, 1, 2, 2]), flat: tensor("int64", [2, 16]) };
  const resize: NodeLine = {
    op: "Resize",
    inputs: ["map", "", "scales"],
    output: "large",
    attributes: { mode: string("nearest") },
  };

  test("the scales of a Resize", async () => {
    const constants = { ...shapes, scales: float([1, 1, 2, 2]) };
    expect(await trained(constants, [map[0]!, resize, map[1]!])).toEqual(["weight"]);
  });

  test("scales that the exporter puts together from pieces", async () => {
    const constants = { ...shapes, first: float([1, 1]), last: float([2, 2]) };
    const concat: NodeLine = {
      op: "Concat",
      inputs: ["first", "last"],
      output: "scales",
      attributes: { axis: int(0) },
    };
    expect(await trained(constants, [map[0]!, concat, resize, map[1]!])).toEqual(["weight"]);
  });

  test("one tensor that is scales here and a factor there is not trained either", async () => {
    const constants = { ...shapes, scales: float([1, 1, 2, 2]) };
    const scaled: NodeLine = { op: "Mul", inputs: ["product", "scales"], output: "scaled" };
    const first = { ...map[0]!, inputs: ["scaled", "shape"] };
    expect(await trained(constants, [scaled, first, resize, map[1]!])).toEqual(["weight"]);
  });

  test("numbers that a scatter writes everywhere, not values of their own", async () => {
    const scatter = (updates: string): NodeLine => ({
      op: "ScatterND",
      inputs: ["product", "rows", updates],
      output: "logits",
    });
    const rows = tensor("int64", [1], [1, 1]);
    const trainedBy = (values: readonly number[]) =>
      trained({ rows, updates: float(values, [1, 4]) }, [scatter("updates")]);
    expect(await trainedBy([0, 0, 0, 0])).toEqual(["weight"]);
    expect(await trainedBy([1, 2, 3, 4])).toEqual(["updates", "weight"]);
  });

  test("the ones and zeros of a GroupNorm spelt as InstanceNormalization, not an InstanceNormalization's own", async () => {
    const line = (input: string): NodeLine => ({
      op: "InstanceNormalization",
      inputs: [input, "ones", "zeros"],
      output: "normal",
    });
    const grouped: NodeLine = { op: "Reshape", inputs: ["product", "groups"], output: "grouped" };
    const rest: NodeLine[] = [
      { op: "Reshape", inputs: ["normal", "flat"], output: "logits" },
      { op: "Mul", inputs: ["logits", "gamma"], output: "scaled" },
    ];
    const constants = {
      groups: tensor("int64", [2, 2, 2]),
      flat: tensor("int64", [2, 4]),
      gamma: float([1, 1, 1, 1]),
    };
    const norm = { ones: float([1, 1]), zeros: float([0, 0]) };
    expect(await trained({ ...constants, ...norm }, [grouped, line("grouped"), ...rest])).toEqual([
      "gamma",
      "weight",
    ]);
    const moved = { ones: float([1, 1.5]), zeros: float([0, 0]) };
    expect(await trained({ ...constants, ...moved }, [grouped, line("grouped"), ...rest])).toEqual([
      "gamma",
      "ones",
      "weight",
      "zeros",
    ]);
    const unsqueezed: NodeLine[] = [
      { op: "Transpose", inputs: ["product"], output: "turned", attributes: { perm: ints([0, 1]) } },
      { op: "Unsqueeze", inputs: ["turned", "last"], output: "sequence" },
    ];
    const four = { ones: float([1, 1, 1, 1]), zeros: float([0, 0, 0, 0]), last: tensor("int64", [2]) };
    expect(await trained({ ...constants, ...four }, [...unsqueezed, line("sequence"), ...rest])).toEqual([
      "gamma",
      "ones",
      "weight",
      "zeros",
    ]);
  });

  test("the two values of a OneHot", async () => {
    const lines: NodeLine[] = [
      { op: "OneHot", inputs: ["ids", "depth", "values"], output: "hot", attributes: { axis: int(-1) } },
      { op: "Add", inputs: ["product", "hot"], output: "logits" },
    ];
    const constants = {
      ids: tensor("int64", [1, 2]),
      depth: tensor("int64", [4], []),
      values: float([0, 1]),
    };
    expect(await trained(constants, lines)).toEqual(["weight"]);
  });
});

describe("what PyTorch calls a parameter is trained, what it calls a buffer is not", () => {
  const folder = new URL("../fixtures/roles/", import.meta.url);
  const expected = JSON.parse(readFileSync(new URL("expected.json", folder), "utf8")) as Record<
    string,
    { parameters: string[]; buffers: string[] }
  >;
  test.each(Object.keys(expected))("%s", async (exporter) => {
    const model = readModel(new Uint8Array(readFileSync(new URL(`${exporter}.onnx`, folder))));
    const compiled = await compileModel(model, 2, regression);
    expect(trainedOf(compiled)).toEqual(expected[exporter]?.parameters);
    const fixed = compiled.constants.filter((c) => c.role === "fixed").map((c) => c.name);
    for (const name of expected[exporter]?.buffers ?? []) expect(fixed).toContain(name);
  });
});

describe("one number alone", () => {
  const one = (value: number, dims: readonly number[] = []): Tensor => float([value], dims);

  test("a bias behind a layer of one unit, and learned gates, exponents and temperatures, train", async () => {
    const lines: NodeLine[] = [
      { op: "MatMul", inputs: ["product", "last"], output: "unit" },
      { op: "Add", inputs: ["unit", "bias"], output: "biased" },
      { op: "Mul", inputs: ["biased", "block.gate"], output: "gated" },
      { op: "Softplus", inputs: ["gated"], output: "positive" },
      { op: "Pow", inputs: ["positive", "pool.p"], output: "powered" },
      { op: "Mul", inputs: ["powered", "temperature"], output: "logits" },
    ];
    const constants = {
      last: randomTensor(2, [4, 1]),
      bias: one(0.1, [1]),
      "block.gate": one(1),
      "pool.p": one(3, [1]),
      temperature: one(2.659),
    };
    const product: NodeLine = { op: "MatMul", inputs: ["x", "weight"], output: "product" };
    const units = { weight: randomTensor(1, [3, 4]), ...constants };
    const compiled = await compileModel(smallStudent([2, 3], units, [product, ...lines]), 2, regression);
    expect(trainedOf(compiled)).toEqual(["bias", "block.gate", "last", "pool.p", "temperature", "weight"]);
  });

  test("a number beside a sum that is none of its sizes, and one of that value elsewhere, train", async () => {
    const constants = { weight: randomTensor(1, [3, 4]), a: one(0.3), b: one(0.25), c: one(1) };
    const student = smallStudent([2, 3], constants, [
      { op: "MatMul", inputs: ["x", "weight"], output: "product" },
      { op: "Mul", inputs: ["product", "b"], output: "scaled" },
      { op: "ReduceSum", inputs: ["scaled"], output: "sum" },
      { op: "Mul", inputs: ["sum", "a"], output: "mean" },
      { op: "Mul", inputs: ["mean", "c"], output: "gated" },
      { op: "Mul", inputs: ["product", "gated"], output: "logits" },
    ]);
    expect(trainedOf(await compileModel(student, 2))).toEqual(["a", "b", "c", "weight"]);
  });

  const lastAxis = { axes: ints([-1]) };
  const literals: Readonly<
    Record<string, readonly [Readonly<Record<string, Tensor>>, readonly NodeLine[], string]>
  > = {
    "an epsilon under a root": [
      { tiny: one(1e-5) },
      [
        { op: "Mul", inputs: ["product", "product"], output: "square" },
        { op: "Add", inputs: ["square", "tiny"], output: "above" },
        { op: "Sqrt", inputs: ["above"], output: "logits" },
      ],
      "an epsilon before Sqrt",
    ],
    "the root of a width before a softmax": [
      { root: one(8) },
      [
        { op: "Div", inputs: ["product", "root"], output: "scaled" },
        { op: "Softmax", inputs: ["scaled"], output: "shares" },
        { op: "Mul", inputs: ["product", "shares"], output: "logits" },
      ],
      "a scale of attention scores",
    ],
    "a part of a Gelu by Tanh": [
      { c: one(0.044715) },
      [
        { op: "Mul", inputs: ["product", "c"], output: "small" },
        { op: "Add", inputs: ["small", "product"], output: "sum" },
        { op: "Tanh", inputs: ["sum"], output: "logits" },
      ],
      "part of an activation with Tanh",
    ],
    "what is subtracted from": [
      { one: one(1) },
      [{ op: "Sub", inputs: ["one", "product"], output: "logits" }],
      "what is subtracted from of Sub",
    ],
    "one over a size, behind the sum over it": [
      { quarter: one(0.25) },
      [
        { op: "Sin", inputs: ["product"], output: "apart" },
        { op: "ReduceSumSquare", inputs: ["apart"], output: "sum", attributes: lastAxis },
        { op: "Mul", inputs: ["quarter", "sum"], output: "mean" },
        { op: "Mul", inputs: ["product", "mean"], output: "logits" },
      ],
      "the size of what ReduceSumSquare sums over",
    ],
    "the root of a size, below a norm": [
      { two: one(2, [1]) },
      [
        { op: "ReduceL2", inputs: ["product"], output: "norm", attributes: lastAxis },
        { op: "Div", inputs: ["norm", "two"], output: "mean" },
        { op: "Mul", inputs: ["product", "mean"], output: "logits" },
      ],
      "the size of what ReduceL2 sums over",
    ],
    "a size less one, behind a mean and a root": [
      { correction: one(Math.sqrt(4 / 3)) },
      [
        { op: "Mul", inputs: ["product", "product"], output: "square" },
        { op: "ReduceMean", inputs: ["square"], output: "variance", attributes: lastAxis },
        { op: "Sqrt", inputs: ["variance"], output: "deviation" },
        { op: "Mul", inputs: ["deviation", "correction"], output: "unbiased" },
        { op: "Div", inputs: ["product", "unbiased"], output: "logits" },
      ],
      "the size of what ReduceMean sums over",
    ],
    "the root of a width before data by data, with no softmax": [
      { half: one(0.5) },
      [
        { op: "Mul", inputs: ["product", "half"], output: "queries" },
        { op: "Transpose", inputs: ["product"], output: "keys", attributes: { perm: ints([1, 0]) } },
        { op: "MatMul", inputs: ["queries", "keys"], output: "logits" },
      ],
      "the size of what MatMul sums over",
    ],
    "an operand that tf2onnx names": [
      { "model/scale/mul/y:0": one(0.7) },
      [{ op: "Mul", inputs: ["product", "model/scale/mul/y:0"], output: "logits" }],
      "a number that the exporter named as its own",
    ],
  };
  test.each(Object.entries(literals))("%s stays as it is", async (_, [constants, lines, reason]) => {
    const product: NodeLine = { op: "MatMul", inputs: ["x", "weight"], output: "product" };
    const student = smallStudent([2, 3], { weight: randomTensor(1, [3, 4]), ...constants }, [
      product,
      ...lines,
    ]);
    const compiled = await compileModel(student, 2);
    expect(trainedOf(compiled)).toEqual(["weight"]);
    expect(compiled.constants.find((c) => c.name === Object.keys(constants)[0])).toMatchObject({
      role: "fixed",
      reason,
    });
  });
});

test("one learned number trains behind a node of its own, also as the slope of a PRelu", async () => {
  const lines: NodeLine[] = [
    { op: "Exp", inputs: ["logit_scale"], output: "scale" },
    { op: "Mul", inputs: ["product", "scale"], output: "scaled" },
    { op: "Sigmoid", inputs: ["gates.alpha"], output: "gate" },
    { op: "Sub", inputs: ["one", "gate"], output: "other" },
    { op: "Mul", inputs: ["scaled", "other"], output: "gated" },
    { op: "Unsqueeze", inputs: ["slope", "axes"], output: "slopes" },
    { op: "PRelu", inputs: ["gated", "slopes"], output: "bent" },
    { op: "Sqrt", inputs: ["width"], output: "root" },
    { op: "Div", inputs: ["bent", "root"], output: "logits" },
  ];
  const constants = {
    logit_scale: float([0.7], []),
    "gates.alpha": float([0.4]),
    one: float([1]),
    slope: float([0.25]),
    axes: tensor("int64", [0], [1]),
    width: float([64], []),
  };
  expect(await trained(constants, lines)).toEqual(["gates.alpha", "logit_scale", "slope", "weight"]);
});

test("one number that shapes are computed with stays, whatever its name", async () => {
  const lines: NodeLine[] = [
    { op: "Shape", inputs: ["x"], output: "shape" },
    { op: "Cast", inputs: ["shape"], output: "sizes", attributes: { to: int(1) } },
    { op: "Identity", inputs: ["module.factor"], output: "factor" },
    { op: "Mul", inputs: ["sizes", "factor"], output: "twice" },
    { op: "Cast", inputs: ["twice"], output: "whole", attributes: { to: int(7) } },
    { op: "Slice", inputs: ["whole", "zero", "end"], output: "rows" },
    { op: "Concat", inputs: ["rows", "rest"], output: "target", attributes: { axis: int(0) } },
    { op: "Reshape", inputs: ["product", "target"], output: "logits" },
  ];
  const constants = {
    "module.factor": float([2], []),
    zero: tensor("int64", [0], [1]),
    end: tensor("int64", [1], [1]),
    rest: tensor("int64", [-1], [1]),
  };
  const student = smallStudent([2, 3], { weight: randomTensor(1, [3, 4]), ...constants }, [
    { op: "MatMul", inputs: ["x", "weight"], output: "product" },
    ...lines,
  ]);
  expect(trainedOf(await compileModel(student, 2))).toEqual(["weight"]);
});

describe("numbers on the way of the input", () => {
  const lines: NodeLine[] = [
    { op: "Sub", inputs: ["x", "mean"], output: "centred" },
    { op: "Div", inputs: ["centred", "std"], output: "normal" },
    { op: "MatMul", inputs: ["normal", "w"], output: "hidden" },
    { op: "Add", inputs: ["hidden", "shift"], output: "logits" },
  ];
  const constants = {
    mean: float([0.1, 0.2, 0.3]),
    std: float([1, 2, 3]),
    w: randomTensor(1, [3, 4]),
    shift: float([1, 2, 3, 4]),
  };

  test("are a normalisation where nothing learned has touched it, and learned behind a layer", async () => {
    const compiled = await compileModel(smallStudent([2, 3], constants, lines), 2);
    expect(trainedOf(compiled)).toEqual(["shift", "w"]);
    expect(compiled.constants.filter((c) => c.role === "fixed")).toEqual([
      {
        name: "mean",
        role: "fixed",
        elements: 3,
        reason: "shifts or scales the input before any learned weight",
      },
      {
        name: "std",
        role: "fixed",
        elements: 3,
        reason: "shifts or scales the input before any learned weight",
      },
    ]);
  });

  test("are what is learned where there is nothing else, or where their name says so", async () => {
    const alone = smallStudent([2, 3], { factor: float([1, 2, 3]) }, [
      { op: "Mul", inputs: ["x", "factor"], output: "logits" },
    ]);
    expect(trainedOf(await compileModel(alone, 2))).toEqual(["factor"]);
    const named = lines.map((l) => ({
      ...l,
      inputs: l.inputs.map((n) => (n === "std" ? "scale.weight" : n)),
    }));
    const { std, ...rest } = constants;
    const model = smallStudent([2, 3], { ...rest, "scale.weight": std }, named);
    expect(trainedOf(await compileModel(model, 2))).toEqual(["scale.weight", "shift", "w"]);
  });

  test("--train trains them, --freeze stops others, and the more specific of the two counts", async () => {
    const model = (): ReturnType<typeof smallStudent> => smallStudent([2, 3], constants, lines);
    const by = async (freeze: string[], train: string[]): Promise<string[]> =>
      trainedOf(await compileModel(model(), 2, { freeze, train }));
    expect(await by([], ["std"])).toEqual(["shift", "std", "w"]);
    expect(await by(["*"], ["s*"])).toEqual(["shift", "std"]);
    expect(await by(["shift"], ["s*"])).toEqual(["std", "w"]);
    const compiled = await compileModel(model(), 2, { freeze: ["w*"], train: ["std"] });
    expect(compiled.constants.map((c) => `${c.name} ${c.role} ${c.reason}`)).toEqual([
      "mean fixed shifts or scales the input before any learned weight",
      "std trained --train 'std'",
      "w fixed --freeze 'w*'",
      "shift trained a bias behind a layer",
    ]);
    await expect(by(["std"], ["std"])).rejects.toThrow(
      "student.onnx: --freeze 'std' and --train 'std' both name \"std\"; leave one of them out",
    );
    await expect(by([], ["stdd"])).rejects.toThrow(
      "--train 'stdd' matches no weight of student.onnx. Did you mean \"std\"?",
    );
  });
});

test("a freeze by exact name reaches the copies of a constant that nodes share", async () => {
  const ones = float([1, 1, 1]);
  const norm = (input: string, output: string): NodeLine => ({
    op: "LayerNormalization",
    inputs: [input, "n.weight", "n.bias"],
    output,
  });
  const model = smallStudent(
    [2, 3],
    { "n.weight": ones, "n.bias": float([0, 0, 0]), w: randomTensor(1, [3, 3]) },
    [norm("x", "a"), { op: "MatMul", inputs: ["a", "w"], output: "b" }, norm("b", "logits")],
  );
  expect(trainedOf(await compileModel(model, 2))).toEqual([
    "n.bias",
    "n.bias_2",
    "n.weight",
    "n.weight_2",
    "w",
  ]);
  expect(trainedOf(await compileModel(model, 2, { freeze: ["n.weight"] }))).toEqual([
    "n.bias",
    "n.bias_2",
    "w",
  ]);
  expect(trainedOf(await compileModel(model, 2, { freeze: ["n.*"], train: ["n.bias"] }))).toEqual([
    "n.bias",
    "n.bias_2",
    "w",
  ]);
});

test("what TorchScript folds a FrozenBatchNorm2d to stays: a map under names of its own behind a Conv without bias", async () => {
  const lines = (conv: readonly string[]): NodeLine[] => [
    { op: "Conv", inputs: conv, output: "c" },
    { op: "Mul", inputs: ["c", "onnx::Mul_6"], output: "m" },
    { op: "Add", inputs: ["m", "onnx::Add_8"], output: "n" },
    { op: "GlobalAveragePool", inputs: ["n"], output: "p" },
    { op: "Flatten", inputs: ["p"], output: "logits" },
  ];
  const constants = {
    k: randomTensor(1, [3, 2, 1, 1]),
    b: float([1, 2, 3]),
    "onnx::Mul_6": float([1, 2, 3], [1, 3, 1, 1]),
    "onnx::Add_8": float([1, 2, 3], [1, 3, 1, 1]),
  };
  const by = async (conv: readonly string[]): Promise<string[]> =>
    trainedOf(await compileModel(smallStudent([2, 2, 3, 3], constants, lines(conv)), 2));
  expect(await by(["x", "k"])).toEqual(["k"]);
  expect(await by(["x", "k", "b"])).toEqual(["b", "k", "onnx::Add_8", "onnx::Mul_6"]);
});

test("the table says what several nodes share", async () => {
  const model = smallStudent([2, 3], { w: randomTensor(1, [3, 3]) }, [
    { op: "MatMul", inputs: ["x", "w"], output: "h" },
    { op: "MatMul", inputs: ["h", "w"], output: "logits" },
  ]);
  const compiled = await compileModel(model, 2);
  expect(compiled.constants.map((c) => c.reason)).toEqual(["a weight of MatMul, shared by 2 nodes"]);
});

test("slopes times distances that are added to scores stay, any other table there trains", async () => {
  const by = async (table: number[]): Promise<string[]> => {
    const constants = { table: float(table, [3, 3]), w: randomTensor(3, [3, 3]), v: randomTensor(2, [3, 2]) };
    const model = smallStudent([3, 3], constants, [
      { op: "MatMul", inputs: ["x", "w"], output: "product" },
      { op: "Add", inputs: ["product", "table"], output: "scores" },
      { op: "MatMul", inputs: ["scores", "v"], output: "logits" },
    ]);
    return trainedOf(await compileModel(model, 3));
  };
  expect(await by([0, -0.5, -1, -0.5, 0, -0.5, -1, -0.5, 0])).toEqual(["v", "w"]);
  expect(await by([0, -0.5, -1, -0.5, 0, -0.5, -1, -0.4, 0])).toEqual(["table", "v", "w"]);
});

test("what holds infinities is no weight: classes ruled out, or certain, beside others that are shifted", async () => {
  const lines: NodeLine[] = [{ op: "Add", inputs: ["product", "prior"], output: "logits" }];
  const by = (values: number[]) => trained({ prior: float(values) }, lines);
  expect(await by([0, -Infinity, Infinity, 0])).toEqual(["weight"]);
  expect(await by([0.5, -Infinity, -1.5, 0.1])).toEqual(["weight"]);
  expect(await by([0.5, -2, -1.5, 0.1])).toEqual(["prior", "weight"]);
});

describe("what the file has in another form than the model", () => {
  const rolesIn = (file: string) => {
    const path = new URL(`../fixtures/pytorch-steps/${file}.onnx`, import.meta.url);
    const model = readModel(new Uint8Array(readFileSync(path)));
    return [...constantRoles(model, opTable, model.graph.nodes)].map(([x, r]) => [x.name, r.kind, r.reason]);
  };

  test("is said of vectors that TorchScript's exporter made of parameters, and of no transposed matrix", async () => {
    const constants = {
      "onnx::MatMul_7": randomTensor(1, [3, 4]),
      "onnx::Mul_12": randomTensor(2, [1, 4]),
      scale: randomTensor(3, [4]),
    };
    const student = smallStudent([2, 3], constants, [
      { op: "MatMul", inputs: ["x", "onnx::MatMul_7"], output: "h" },
      { op: "Mul", inputs: ["h", "onnx::Mul_12"], output: "scaled" },
      { op: "Mul", inputs: ["scaled", "scale"], output: "logits" },
    ]);
    const { constants: entries } = await compileModel(student, 2);
    expect(entries.map((c) => [c.name, c.reason])).toEqual([
      ["onnx::MatMul_7", "a weight of MatMul"],
      [
        "onnx::Mul_12",
        "learned, taken by Mul, in the form that the exporter computed (do_constant_folding=False leaves the parameters)",
      ],
      ["scale", "learned, taken by Mul"],
    ]);
  });

  test("is said of copies that the file has as one", () => {
    const copies = rolesIn("copied-layers.torchscript").filter(([, , reason]) => reason?.includes("equals"));
    expect(copies.map(([name]) => name)).toEqual(["1.0.weight", "1.0.bias", "2.0.weight", "2.0.bias"]);
    expect(copies[0]?.[2]).toBe(
      "a weight of Gemm, one with its equals in the file: they begin alike, train apart",
    );
  });

  test("is said of what dynamo's exporter made of parameters, and not of one that it transposed", () => {
    expect(rolesIn("fresh-encoder.dynamo").find(([name]) => name === "val_2")?.[2]).toBe(
      "PARAMETER, laid out otherwise by the exporter",
    );
    expect(rolesIn("../roles/spectral-norm.dynamo").slice(0, 1)).toEqual([
      [
        "div",
        "parameter",
        "computed by the exporter from parameters, trained in this form (optimize=False leaves the parameters)",
      ],
    ]);
  });

  test("the vectors of a spectral norm stay, its weight is learned", () => {
    expect(rolesIn("spectral-norm.torchscript").slice(0, 3)).toEqual([
      ["layer.weight_orig", "parameter", "learned, taken by Identity, shared by 2 nodes"],
      ["layer.weight_v", "fixed", "a vector of a spectral norm's power iteration"],
      ["layer.weight_u", "fixed", "a vector of a spectral norm's power iteration"],
    ]);
  });
});

describe("matrices of the architecture stay, and what is like them trains", () => {
  const by = async (op: string, table: number[]): Promise<string[]> => {
    const constants = { table: float(table, [3, 3]), w: randomTensor(3, [3, 3]), v: randomTensor(2, [3, 2]) };
    const model = smallStudent([3, 3], constants, [
      { op: "MatMul", inputs: ["x", "w"], output: "product" },
      { op, inputs: ["table", "product"], output: "hidden" },
      { op: "MatMul", inputs: ["hidden", "v"], output: "logits" },
    ]);
    return trainedOf(await compileModel(model, 3));
  };

  test("a factor of zeros and ones", async () => {
    expect(await by("Mul", [1, 0, 0, 1, 1, 0, 1, 1, 1])).toEqual(["v", "w"]);
    expect(await by("Mul", [1, 1, 1, 1, 1, 1, 1, 1, 1])).toEqual(["table", "v", "w"]);
    expect(await by("Mul", [1, 0, 0, 1, 0.5, 0, 1, 1, 1])).toEqual(["table", "v", "w"]);
  });

  test("neighbours in a graph: symmetric, or shares of each row", async () => {
    expect(await by("MatMul", [0.5, 0.4, 0, 0.4, 0.3, 0.2, 0, 0.2, 0.9])).toEqual(["v", "w"]);
    expect(await by("MatMul", [0.5, 0.5, 0, 0.25, 0.5, 0.25, 0, 0.5, 0.5])).toEqual(["v", "w"]);
    expect(await by("MatMul", [0.5, 0.4, 0, 0.3, 0.3, 0.2, 0, 0.2, 0.9])).toEqual(["table", "v", "w"]);
    expect(await by("MatMul", [0.5, 0.4, 0.1, 0.4, 0.3, 0.2, 0.1, 0.2, 0.9])).toEqual(["table", "v", "w"]);
    expect(await by("MatMul", [1, 0, 0, 0, 1, 0, 0, 0, 1])).toEqual(["table", "v", "w"]);
  });

  test("large numbers that are subtracted from scores", async () => {
    const student = (large: number) =>
      trained({ mask: float([0, 0, large, 0]) }, [
        { op: "Sub", inputs: ["product", "mask"], output: "logits" },
      ]);
    expect(await student(1e4)).toEqual(["weight"]);
    expect(await student(3)).toEqual(["mask", "weight"]);
  });
});

test("a number that MXNet's exporter names as its own stays", async () => {
  const lines: NodeLine[] = [{ op: "Mul", inputs: ["product", "scalar_op3"], output: "logits" }];
  expect(await trained({ scalar_op3: float([0.7]) }, lines)).toEqual(["weight"]);
});
