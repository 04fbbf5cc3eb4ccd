// What the compiler refuses, in which words, and what becomes of each initialiser: trained, frozen, running, shared.
import { describe, expect, test } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { type CompiledStep, type CompileOptions, names } from "../../src/compile/compile-step.ts";
import { int, ints, string } from "../../src/graph/graph.ts";
import { emissionOf, type LossEmission } from "../../src/losses/index.ts";
import type { Model } from "../../src/onnx/model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { NeuronSelectivityDistillationStrategy } from "../../src/strategies/index.ts";
import { StepRunner } from "../../src/train/step-runner.ts";
import { expectClose } from "../gradient-checker.ts";
import { compileModel, type NodeLine, randomTensor, smallStudent, unpacked } from "./compile-model.ts";

const [batch, features, classes] = [4, 3, 3];

/** x [4,3] · fc1.weight [3,3] + fc1.bias → Relu "hidden" → · fc2.weight → "logits" [4,3]. */
const mlp = (): Model =>
  smallStudent(
    [batch, features],
    {
      "fc1.weight": randomTensor(1, [features, features]),
      "fc1.bias": randomTensor(2, [features]),
      "fc2.weight": randomTensor(3, [features, classes]),
    },
    [
      { op: "MatMul", inputs: ["x", "fc1.weight"], output: "fc1/product" },
      { op: "Add", inputs: ["fc1/product", "fc1.bias"], output: "fc1" },
      { op: "Relu", inputs: ["fc1"], output: "hidden" },
      { op: "MatMul", inputs: ["hidden", "fc2.weight"], output: "logits" },
    ],
  );

const selectivity = (weight = 0.5) =>
  emissionOf(new NeuronSelectivityDistillationStrategy({ selectivityWeight: weight, alpha: 0 }))!;

const tap = (student: string, dims: readonly number[]): Partial<CompileOptions> => ({
  teacherLogits: true,
  loss: selectivity(),
  taps: [{ name: "features", student, teacher: { dtype: "float32", dims } }],
});

/** x · fc.weight → "product" → `line`. */
const behindAWeight = (line: NodeLine): Model =>
  smallStudent(
    [batch, features],
    {
      "fc.weight": randomTensor(1, [features, classes]),
      places: tensor("int64", [0, 1, 2], [1, 3]),
      factors: tensor("float32", [2, 3, 4], [1, 3]),
    },
    [{ op: "MatMul", inputs: ["x", "fc.weight"], output: "product" }, line],
    { opset: 18 },
  );

/** The gradient of a scatter that multiplies is not in the table. */
const multiplyInto: NodeLine = {
  op: "ScatterElements",
  inputs: ["product", "places", "factors"],
  output: "logits",
  attributes: { axis: int(1), reduction: string("mul") },
};

/** An op of ONNX Runtime's own that is not in the table: distances between rows. */
const distances: NodeLine = {
  op: "CDist",
  domain: "com.microsoft",
  inputs: ["product", "product"],
  output: "logits",
  attributes: { metric: string("sqeuclidean") },
};

const labels: Tensor = tensor("float32", [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0.5, 0.5], [batch, classes]);

function stateFeeds(compiled: CompiledStep): Record<string, Tensor> {
  return Object.fromEntries(
    [...compiled.weights, ...compiled.statistics].map(({ key }) => {
      const data = compiled.initial.get(key)!;
      return [names.state(key), { dtype: "float32", dims: [data.length], data }];
    }),
  );
}

async function gradientsOf(
  compiled: CompiledStep,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<{ gradients: Map<string, Tensor>; out: Record<string, Tensor> }> {
  const session = await nodeRuntime.load(writeGraph(compiled.gradients));
  const out = await session.run({ ...feeds, ...stateFeeds(compiled) });
  await session.release();
  return { gradients: unpacked(compiled.weights, out, names.gradient), out };
}

const trainedOf = (compiled: CompiledStep): string[] =>
  compiled.weights.flatMap((p) => p.tensors.map((t) => t.name)).sort();

test("a loss that accepts unequal numbers of neurons is given both sides as they are", async () => {
  const seen: number[][] = [];
  const loss: LossEmission = {
    unequalNeurons: () => true,
    emit: ({ b, studentLogits, taps }) => {
      for (const t of taps) seen.push([...b.dims(t.student)], [...b.dims(t.teacher)]);
      return [{ name: "sum", value: b.reduceSum(studentLogits) }];
    },
  };
  await compileModel(mlp(), batch, { ...tap("hidden", [batch, 8]), loss });
  expect(seen.slice(0, 2)).toEqual([
    [batch, features],
    [batch, 8],
  ]);
});

describe("what is refused before anything runs", () => {
  test.each([
    [
      "a tap that does not exist",
      () => compileModel(mlp(), batch, tap("hiden", [batch, features])),
      'tap "features": the student student.onnx has no value "hiden". Did you mean "hidden"? `onnx-distill inspect` lists them.',
    ],
    [
      "logits that do not exist",
      () => compileModel(mlp(), batch, { logits: "logit" }),
      'logits: the student student.onnx has no value "logit". Did you mean "logits"? `onnx-distill inspect` lists them.',
    ],
    [
      "a tap with another number of neurons",
      () => compileModel(mlp(), batch, tap("hidden", [batch, 8])),
      'tap "features": the student\'s "hidden" (student.onnx) is [4,3] and the teacher\'s value [4,8]: they have 3 and 8 neurons; tap values of equal shape, or accept unequal numbers of neurons with scores matched by rank (match: "rank"; --match rank) or a loss that needs no match (--intermediate nst, cka, sp or at) or a learned projection (project: true; --project features)',
    ],
    [
      "a tap with another number of samples",
      () => compileModel(mlp(), batch, tap("hidden", [2 * batch, features])),
      'tap "features": the student\'s "hidden" (student.onnx) is [4,3] and the teacher\'s value [8,3]: the numbers of samples differ; tap values of equal shape',
    ],
    [
      "a loss without a term",
      () => compileModel(mlp(), batch, { labels: false }),
      "the loss has no term: give a teacher, labels, or a tap with a weight above 0",
    ],
    [
      "a pattern that freezes nothing",
      () => compileModel(mlp(), batch, { freeze: ["fc3.*"] }),
      "--freeze 'fc3.*' matches no weight of student.onnx.",
    ],
    [
      "nothing left to train",
      () => compileModel(mlp(), batch, { freeze: ["fc*"] }),
      "student.onnx: no weight is left to train; check --freeze (fc*) and that the model holds float32 initialisers",
    ],
    [
      "logits that are no [batch, classes]",
      () =>
        compileModel(
          smallStudent([batch, features], { w: randomTensor(1, [features, classes]) }, [
            { op: "MatMul", inputs: ["x", "w"], output: "flat" },
            {
              op: "Transpose",
              inputs: ["flat"],
              output: "turned",
              attributes: { perm: ints([1, 0]) },
            },
            { op: "ReduceSum", inputs: ["turned"], output: "total", attributes: { keepdims: int(0) } },
          ]),
          batch,
        ),
      'the student\'s logits "total" (student.onnx) are [], task classification expects [N, C]; name the right value with --student-logits',
    ],
    [
      "an op that is not in the table",
      () => compileModel(behindAWeight(distances), batch),
      'no rule for op com.microsoft::CDist at node "/logits", needed by "fc.weight", so it cannot be part of a student. Where ONNX Runtime put it there when it optimised the model, give the file as it was before that. Add a rule in src/ops, replace the op in the model, or freeze every weight before it (--freeze): then it runs as it stands.',
    ],
    [
      "a loss that reaches no weight",
      () => compileModel(behindAWeight({ op: "Hardmax", inputs: ["product"], output: "logits" }), batch),
      'the loss (hard) reaches no weight of student.onnx through operations that have a gradient, so nothing would be learned: "fc.weight" (its gradient ends at Hardmax, node "/logits"); choose an earlier value with --student-logits, or another loss',
    ],
    [
      "an op without a gradient on the way to a weight",
      () => compileModel(behindAWeight(multiplyInto), batch),
      'no gradient rule for ScatterElements (input 0) at node "/logits/ScatterElements", needed by "fc.weight". Freeze it with --freeze \'fc.*\', or add a rule in src/ops.',
    ],
  ] as [string, () => Promise<unknown>, string][])("%s", async (_, compile, message) => {
    await expect(compile()).rejects.toMatchObject({ message });
  });

  test("each with its code", async () => {
    const codeOf = (o: Promise<unknown>) => o.then(String, (e: { code: string }) => e.code);
    expect(await codeOf(compileModel(mlp(), batch, tap("hiden", [batch, features])))).toBe("E_NAME");
    expect(await codeOf(compileModel(mlp(), batch, tap("hidden", [batch, 8])))).toBe("E_SHAPE");
    expect(await codeOf(compileModel(mlp(), batch, { labels: false }))).toBe("E_OPTION");
    expect(await codeOf(compileModel(mlp(), batch, { freeze: ["fc*"] }))).toBe("E_MODEL");
    expect(await codeOf(compileModel(behindAWeight(multiplyInto), batch))).toBe("E_NO_GRADIENT");
    expect(await codeOf(compileModel(behindAWeight(distances), batch))).toBe("E_OP");
  });
});

describe("which initialisers are trained", () => {
  test("all that the loss depends on, and patterns take out their own", async () => {
    expect(trainedOf(await compileModel(mlp(), batch))).toEqual(["fc1.bias", "fc1.weight", "fc2.weight"]);
    expect(trainedOf(await compileModel(mlp(), batch, { freeze: ["fc1.*"] }))).toEqual(["fc2.weight"]);
    expect(trainedOf(await compileModel(mlp(), batch, { freeze: ["*weight"] }))).toEqual(["fc1.bias"]);
    // Only the tap is in the loss: what lies behind it has no gradient and is not touched.
    const compiled = await compileModel(mlp(), batch, {
      ...tap("hidden", [batch, features]),
      logits: "hidden",
      labels: false,
    });
    expect(trainedOf(compiled)).toEqual(["fc1.bias", "fc1.weight"]);
  });

  test("a frozen weight stays a constant, and the op without a gradient behind it does no harm", async () => {
    const student = smallStudent(
      [batch, features],
      {
        "fc1.weight": randomTensor(1, [features, features]),
        places: tensor("int64", [0, 1, 2], [1, 3]),
        factors: tensor("float32", [2, 3, 4], [1, 3]),
        "fc2.weight": randomTensor(3, [features, classes]),
      },
      [
        { op: "MatMul", inputs: ["x", "fc1.weight"], output: "product" },
        { ...multiplyInto, output: "scattered" },
        { op: "MatMul", inputs: ["scattered", "fc2.weight"], output: "logits" },
      ],
      { opset: 18 },
    );
    const compiled = await compileModel(student, batch, { freeze: ["fc1.*", "factors"] });
    expect(trainedOf(compiled)).toEqual(["fc2.weight"]);
    const { gradients } = await gradientsOf(compiled, { x: randomTensor(5, [batch, features]), labels });
    expect(
      Math.max(...Array.from(gradients.get("fc2.weight")!.data as Float32Array, Math.abs)),
    ).toBeGreaterThan(0.01);
  });

  test("one initialiser used twice gets the sum of both gradients", async () => {
    const shared = randomTensor(1, [features, features]);
    const lines = (second: string): NodeLine[] => [
      { op: "MatMul", inputs: ["x", "w"], output: "product" },
      { op: "Tanh", inputs: ["product"], output: "hidden" },
      { op: "Gemm", inputs: ["hidden", second], output: "logits", attributes: { transB: int(1) } },
    ];
    const feeds = { x: randomTensor(5, [batch, features]), labels };
    const tied = smallStudent([batch, features], { w: shared }, lines("w"));
    const apart = smallStudent([batch, features], { w: shared, v: shared }, lines("v"));
    const together = (await gradientsOf(await compileModel(tied, batch), feeds)).gradients;
    const single = (await gradientsOf(await compileModel(apart, batch), feeds)).gradients;
    expect([...together.keys()]).toEqual(["w"]);
    const [w, v] = [single.get("w")!.data as Float32Array, single.get("v")!.data as Float32Array];
    const sum = w.map((g, i) => g + v[i]!);
    expectClose(together.get("w")!.data as Float32Array, sum, 1e-6, "gradient of the shared weight");
    expect(Math.max(...w.map(Math.abs)), "the first use counts").toBeGreaterThan(0.01);
    expect(Math.max(...v.map(Math.abs)), "the second use counts").toBeGreaterThan(0.01);
  });

  test("one-element constants are numbers of the architecture, unless the op holds weights there", async () => {
    const one = tensor("float32", [0.5], [1]);
    const student = smallStudent(
      [batch, 1, 3, 1],
      {
        "conv.weight": one1111(),
        "conv.bias": one,
        divisor: one,
        slope: tensor("float32", [0.1], [1, 1, 1]),
      },
      [
        { op: "Conv", inputs: ["x", "conv.weight", "conv.bias"], output: "conv" },
        { op: "PRelu", inputs: ["conv", "slope"], output: "prelu" },
        { op: "Div", inputs: ["prelu", "divisor"], output: "divided" },
        { op: "Flatten", inputs: ["divided"], output: "logits", attributes: { axis: int(1) } },
      ],
    );
    expect(trainedOf(await compileModel(student, batch))).toEqual(["conv.bias", "conv.weight", "slope"]);
  });
});

const one1111 = (): Tensor => tensor("float32", [2], [1, 1, 1, 1]);

describe("BatchNormalization", () => {
  const vectors = {
    scale: tensor("float32", [1, 2, 0.5]),
    bias: tensor("float32", [0.1, 0, -0.1]),
    mean: tensor("float32", [0.5, -0.5, 0]),
    variance: tensor("float32", [1, 4, 0.25]),
  };
  const student = (): Model =>
    smallStudent([batch, features], vectors, [
      { op: "BatchNormalization", inputs: ["x", "scale", "bias", "mean", "variance"], output: "logits" },
    ]);
  const x = randomTensor(5, [batch, features]);

  test("running statistics are state, not trained, and move by momentum and the unbiased variance", async () => {
    const compiled = await compileModel(student(), batch);
    expect(trainedOf(compiled)).toEqual(["bias", "scale"]);
    const { out } = await gradientsOf(compiled, { x, labels });
    const next = unpacked(compiled.statistics, out, names.next);
    const column = (c: number) => Array.from({ length: batch }, (_, i) => Number(x.data[i * features + c]));
    for (let c = 0; c < features; c++) {
      const mean = column(c).reduce((a, v) => a + v, 0) / batch;
      const unbiased = column(c).reduce((a, v) => a + (v - mean) ** 2, 0) / (batch - 1);
      expect(next.get("mean")!.data[c]).toBeCloseTo(0.9 * Number(vectors.mean.data[c]) + 0.1 * mean, 6);
      expect(next.get("variance")!.data[c]).toBeCloseTo(
        0.9 * Number(vectors.variance.data[c]) + 0.1 * unbiased,
        6,
      );
    }
  });

  test("frozen: the running statistics normalise and stay, scale and bias are trained", async () => {
    const compiled = await compileModel(student(), batch, { trainStatistics: false });
    expect(trainedOf(compiled)).toEqual(["bias", "scale"]);
    const { out, gradients } = await gradientsOf(compiled, { x, labels });
    const kept = unpacked(compiled.statistics, out, names.next);
    expect(kept.get("mean")!.data).toEqual(vectors.mean.data);
    expect(kept.get("variance")!.data).toEqual(vectors.variance.data);
    // d bias is the column sum of dlogits = (softmax − labels) / batch: it sums to zero over the classes.
    const dbias = gradients.get("bias")!.data as Float32Array;
    expect(dbias.reduce((a, g) => a + g, 0)).toBeCloseTo(0, 6);
    const dlogits = frozenGradient();
    expectClose(dbias, dlogits, 1e-5, "gradient of bias");
  });

  function frozenGradient(): number[] {
    const sums = new Array<number>(features).fill(0);
    for (let i = 0; i < batch; i++) {
      const row = [0, 1, 2].map((c) => {
        const at = (k: keyof typeof vectors) => Number(vectors[k].data[c]);
        const centred = Number(x.data[i * features + c]) - at("mean");
        return (at("scale") * centred) / Math.sqrt(at("variance") + 1e-5) + at("bias");
      });
      const total = row.reduce((a, z) => a + Math.exp(z), 0);
      row.forEach((z, c) => {
        sums[c]! += (Math.exp(z) / total - Number(labels.data[i * features + c])) / batch;
      });
    }
    return sums;
  }
});

describe("dropout", () => {
  const student = (ratio: number): Model =>
    smallStudent(
      [batch, features],
      {
        w: randomTensor(1, [features, features]),
        v: randomTensor(2, [features, classes]),
        ratio: tensor("float32", [ratio], []),
      },
      [
        { op: "MatMul", inputs: ["x", "w"], output: "product" },
        { op: "Dropout", inputs: ["product", "ratio"], output: "first" },
        { op: "Dropout", inputs: ["first", "ratio"], output: "second" },
        { op: "MatMul", inputs: ["second", "v"], output: "logits" },
      ],
    );

  test("each node has a mask of its own; the mask multiplies values and gradients", async () => {
    const compiled = await compileModel(student(0.25), batch);
    expect(compiled.masks.map((m) => [m.input, m.ratio, m.type.dims])).toEqual([
      ["mask//first", 0.25, [batch, features]],
      ["mask//second", 0.25, [batch, features]],
    ]);
    const x = randomTensor(5, [batch, features]);
    const of = (value: number) =>
      tensor("float32", new Array(batch * features).fill(value), [batch, features]);
    const at = async (value: number) =>
      (await gradientsOf(compiled, { x, labels, "mask//first": of(value), "mask//second": of(1) })).gradients;
    const [none, some] = [await at(0), await at(4 / 3)];
    expect(none.get("w")!.data).toEqual(new Float32Array(features * features));
    expect(none.get("v")!.data).toEqual(new Float32Array(features * classes));
    expect(Math.max(...Array.from(some.get("w")!.data as Float32Array, Math.abs))).toBeGreaterThan(0.01);
  });

  test("ratio 0 drops nothing and asks for no mask", async () => {
    expect((await compileModel(student(0), batch)).masks).toEqual([]);
  });

  test("masks hold 0 and 1/(1 − ratio), and depend on seed, step and node alone", async () => {
    const compiled = await compileModel(student(0.25), batch);
    const masks = async (seed: number, step: number): Promise<Record<string, number[]>> => {
      const seen: Record<string, number[]> = {};
      const runner = await StepRunner.load(
        compiled,
        {
          name: "listener",
          load: async () => ({
            inputs: [],
            outputs: [],
            release: async () => {},
            run: async (feeds) => {
              for (const [k, t] of Object.entries(feeds))
                if (k.startsWith("mask/")) seen[k] = Array.from(t.data as Float32Array);
              return { losses: tensor("float32", [0, 0]) };
            },
          }),
        },
        seed,
      );
      await runner.run({}, { step, steps: 1, stepsPerEpoch: 1 }, 0.1);
      return seen;
    };
    const one = await masks(7, 3);
    expect(Object.keys(one)).toEqual(["mask//first", "mask//second"]);
    expect(new Set(Object.values(one).flat())).toEqual(new Set([0, Math.fround(4 / 3)]));
    expect(await masks(7, 3)).toEqual(one);
    expect(one["mask//first"]).not.toEqual(one["mask//second"]);
    expect(await masks(7, 4)).not.toEqual(one);
    expect(await masks(8, 3)).not.toEqual(one);
  });
});

test("what an op declares part of the architecture is known, and not trained", async () => {
  const student = smallStudent(
    [batch, 1, 2, 3],
    {
      scales: tensor("float32", [1, 1, 2, 1]),
      steps: tensor("int64", [4, batch, 3]),
      w: randomTensor(1, [1, 8, 3]),
      r: randomTensor(2, [1, 8, 2]),
      h0: randomTensor(3, [1, batch, 2]),
      c0: randomTensor(4, [1, batch, 2]),
      rows: tensor("int64", [batch, -1]),
    },
    [
      { op: "Resize", inputs: ["x", "", "scales"], output: "up", attributes: { mode: string("linear") } },
      { op: "Reshape", inputs: ["up", "steps"], output: "sequence" },
      {
        op: "LSTM",
        inputs: ["sequence", "w", "r", "", "", "h0", "c0"],
        output: "states",
        attributes: { hidden_size: int(2) },
      },
      { op: "Reshape", inputs: ["states", "rows"], output: "logits" },
    ],
  );
  const compiled = await compileModel(student, batch);
  const trained = compiled.weights.flatMap((pack) => pack.tensors.map((t) => t.name));
  expect(trained.sort()).toEqual(["r", "w"]);
});
