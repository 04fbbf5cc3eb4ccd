// Functions and Ifs written out: the same results as ONNX Runtime has from the file, gradients that meet in shared
// constants, and new weights that go back to where the old ones lie.
import { fromBinary } from "@bufbuild/protobuf";
import { AttributeProto_AttributeType as AttributeType, ModelProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { vectorJacobianProduct } from "../../src/autodiff/differentiate.ts";
import { type Tensor, tensor, toNumbers } from "../../src/base/tensor.ts";
import { emitForward } from "../../src/compile/student-forward.ts";
import type { Value } from "../../src/graph/graph.ts";
import { addAllOutputs, withOutputs, withWeights } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { inferenceHooks } from "../../src/ops/emit-node.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { exampleFeeds } from "../../src/runtime/example-feeds.ts";
import { observeBranches } from "../../src/runtime/observe-branches.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { expectClose } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { bool, fn, graph, line, modelOf, vector } from "./protos.ts";

const x = tensor("float32", [1, -2, 3, 0.5, 4, -1], [2, 3]);

async function run(bytes: Uint8Array): Promise<Record<string, Tensor>> {
  const session = await nodeRuntime.load(bytes, { optimization: "none" });
  try {
    return await session.run({ x });
  } finally {
    await session.release();
  }
}

const names = (model: Model): string[] => [...model.graph.constants.keys()].map((v) => v.name).sort();
const ops = (model: Model): string[] => model.graph.nodes.map((n) => n.op);
const held = (model: Model, name: string): number[] =>
  toNumbers(model.graph.constants.get(model.graph.find(name) as Value) as Tensor);

/** y and the gradients of Σy with respect to the named constants, of what we emit in float64. */
function computed(
  model: Model,
  wrt: readonly string[],
): { y: number[]; gradients: Record<string, number[]> } {
  const b = newBuilder("emitted", targets.standard);
  const input = b.graph.addInput("x", { dtype: "float32", dims: [2, 3] });
  const given = new Map<Value, Value>([[model.graph.inputs[0] as Value, input]]);
  const parameters = wrt.map((name) => {
    const value = model.graph.find(name) as Value;
    const made = b.graph.addInput(`w/${name}`, value.type!);
    given.set(value, made);
    return made;
  });
  const values = emitForward(b, model, model.graph.nodes, given, new Map(), inferenceHooks);
  const y = values.get(model.graph.outputs[0] as Value) as Value;
  const found = vectorJacobianProduct(b, [[b.reduceSum(y), b.scalar("float32", 1)]], parameters);
  const feeds: Record<string, Tensor> = { x };
  for (const name of wrt)
    feeds[`w/${name}`] = model.graph.constants.get(model.graph.find(name) as Value) as Tensor;
  const results = evaluate(b.graph, feeds);
  const numbers = (v: Value): number[] => toNumbers(results.get(v) as Tensor);
  return {
    y: numbers(y),
    gradients: Object.fromEntries(wrt.map((name, i) => [name, numbers(found.get(parameters[i]!)!)])),
  };
}

/** What we emit is what ONNX Runtime makes of the file and of the written-out form; new weights go back. */
async function holds(bytes: Uint8Array, model: Model, weights: readonly string[]): Promise<Model> {
  const output = model.graph.outputs[0]!.name;
  const theirs = toNumbers((await run(bytes))[output]!);
  expectClose(toNumbers((await run(addAllOutputs(model)))[output]!), theirs, 1e-6, "written out");
  expectClose(computed(model, weights).y, theirs, 1e-6, "emitted");
  const changed = new Map(
    weights.map((name) => {
      const t = model.graph.constants.get(model.graph.find(name)!)!;
      return [
        name,
        tensor(
          "float32",
          toNumbers(t).map((v) => v + 0.5),
          t.dims,
        ),
      ];
    }),
  );
  const exported = withWeights(model, changed).bytes;
  const again = (await observeBranches(readModel(exported), nodeRuntime, exampleFeeds(model, 2))).model;
  for (const [name, t] of changed) expect(held(again, name), name).toEqual(toNumbers(t));
  expectClose(toNumbers((await run(exported))[output]!), computed(again, []).y, 1e-6, "exported");
  const [before, after] = [bytes, exported].map((b) => fromBinary(ModelProtoSchema, b));
  expect(after!.functions.map((f) => f.name)).toEqual(before!.functions.map((f) => f.name));
  expect(after!.graph!.node.map((n) => n.opType)).toEqual(before!.graph!.node.map((n) => n.opType));
  return again;
}

describe("functions", () => {
  const scale = fn(
    "Scale",
    ["a"],
    ["b"],
    [line("Constant -> k", { value: vector(2, 3, -1) }), line("Mul a k -> b", {}, "mul")],
  );

  it("share a constant between all calls, and its gradient is their sum", async () => {
    const bytes = modelOf(
      graph([line("local::Scale x -> h", {}, "one"), line("local::Scale h -> y")], ["y"]),
      [scale],
    );
    const model = readModel(bytes);
    expect(ops(model)).toEqual(["Mul", "Mul"]);
    expect(model.graph.nodes.map((n) => n.name)).toEqual(["one/mul", "Scale_1/mul"]);
    expect(names(model)).toEqual(["Scale/k"]);
    const { gradients } = computed(model, ["Scale/k"]);
    // y = x·k², so Σ over the rows of 2·x·k.
    expect(gradients["Scale/k"]).toEqual([2 * 1.5 * 2, 2 * 2 * 3, 2 * 2 * -1]);
    await holds(bytes, model, ["Scale/k"]);
  });

  it("take attributes of the call, defaults, and those that a calling function passes on", async () => {
    const inner = fn(
      "Inner",
      ["a", "unused"],
      ["b"],
      [
        line("Constant -> k", { value: { ref: "weights", type: AttributeType.TENSOR } }),
        line("Constant -> s", { value_float: { ref: "factor", type: AttributeType.FLOAT } }),
        line("LeakyRelu a -> r", { alpha: { ref: "slope", type: AttributeType.FLOAT } }),
        line("Mul r k -> m"),
        line("Mul m s -> b"),
      ],
      { attributes: ["weights", "factor"], defaults: { slope: 0.25 } },
    );
    const outer = fn(
      "Outer",
      ["a"],
      ["b"],
      [
        line(
          "local::Inner a -> h",
          { weights: { ref: "w", type: AttributeType.TENSOR }, factor: 2 },
          "first",
        ),
        line("local::Inner h -> b", { weights: vector(1, 1, 4), factor: 3, slope: 0.5 }, "second"),
      ],
      { attributes: ["w"] },
    );
    const bytes = modelOf(
      graph(
        [
          line("local::Outer x -> h", { w: vector(1, 2, 3) }, "a"),
          line("local::Outer h -> y", { w: vector(-1, 2, 0.5) }, "b"),
        ],
        ["y"],
      ),
      [inner, outer],
    );
    const model = readModel(bytes);
    const weights = names(model).filter(
      (n) => model.graph.constants.get(model.graph.find(n)!)!.data.length === 3,
    );
    expect(weights).toHaveLength(3); // each call's own, and the one that both calls of Outer share
    await holds(bytes, model, weights);
    const [shared] = weights.filter((n) => held(model, n)[2] === 4);
    const eps = 1e-4;
    const loss = (m: Model): number => computed(m, []).y.reduce((p, q) => p + q, 0);
    const at = (d: number): Model =>
      readModel(withWeights(model, new Map([[shared!, tensor("float32", [1, 1, 4 + d])]])).bytes);
    const difference =
      (loss(at(eps)) - loss(at(-eps))) / (held(at(eps), shared!)[2]! - held(at(-eps), shared!)[2]!);
    expect(computed(model, [shared!]).gradients[shared!]![2]! / difference).toBeCloseTo(1, 6);
  });

  it("of the same name are told apart by their overload", async () => {
    const other = fn("Scale", ["a"], ["b"], [line("Neg a -> b")], { overload: "negative" });
    const bytes = modelOf(graph([line("local::Scale:negative x -> h"), line("local::Scale h -> y")], ["y"]), [
      scale,
      other,
    ]);
    const model = readModel(bytes);
    expect(ops(model)).toEqual(["Neg", "Mul"]);
    await holds(bytes, model, ["Scale/k"]);
  });

  it("may hand an input through", () => {
    const same = fn("Same", ["a"], ["a"], []);
    const model = readModel(modelOf(graph([line("local::Same x -> y")], ["y"]), [same]));
    expect(computed(model, []).y).toEqual(toNumbers(x));
  });

  it("may leave outputs unused and hold subgraphs that stay", async () => {
    const body = graph([line("Identity go -> on"), line("Add v one -> w")], ["on", "w"], { one: vector(1) }, [
      "i",
      "go",
      "v",
    ]);
    body.input[0]!.type = { ...body.input[0]!.type! };
    for (const [k, elemType] of [
      [0, 7],
      [1, 9],
    ] as const)
      Object.assign(body.input[k]!.type!.value.value!, {
        elemType,
        shape: { $typeName: "onnx.TensorShapeProto", dim: [] },
      });
    const odd = fn(
      "Odd",
      ["a", "n"],
      ["b", "c", "d"],
      [
        line("Constant -> yes", { value: bool(true) }),
        line("Loop n yes a -> b", { body }),
        line("Neg a -> c"),
        line("Abs a -> d"),
      ],
    );
    const bytes = modelOf(
      graph(
        [line("local::Odd x two -> p, , q"), line("local::Odd q two -> r, s, t"), line("Sum p q r s t -> y")],
        ["y"],
        { two: tensor("int64", [2], []) },
      ),
      [odd],
    );
    const model = readModel(bytes);
    expect(ops(model).filter((op) => op === "Loop")).toHaveLength(2);
    const theirs = await run(bytes);
    expect(await run(addAllOutputs(model))).toMatchObject(theirs);
    expect(() => computed(model, [])).toThrow(
      'Loop at node "Odd_0/Loop_1" cannot be part of a student: it runs its subgraph as often as the data say, which one graph of training cannot; export the model with the loop unrolled',
    );
  });

  it("made for another opset stay calls, which run as before", async () => {
    const old = fn("Old", ["a"], ["b"], [line("Neg a -> b")], { opset: 17 });
    const bytes = modelOf(graph([line("local::Old x -> h"), line("local::Scale h -> y")], ["y"]), [
      old,
      scale,
    ]);
    const model = readModel(bytes);
    expect(ops(model)).toEqual(["Old", "Mul"]);
    expect(toNumbers((await run(withOutputs(model, ["h"]))).h!)).toEqual(toNumbers(x).map((v) => -v));
  });

  it("that call themselves are refused", () => {
    const loop = fn("Loop", ["a"], ["b"], [line("local::Loop a -> b", {}, "inner")]);
    expect(() => readModel(modelOf(graph([line("local::Loop x -> y", {}, "outer")], ["y"]), [loop]))).toThrow(
      'model: the function "Loop" calls itself, at node "outer/inner"',
    );
  });
});

describe("If", () => {
  const branch = (op: string, weight: Tensor) =>
    graph([line(`${op} x w -> out`, {}, op.toLowerCase())], ["out"], { w: weight });

  it("of constant condition becomes its branch, nested ones too, and weights go back into it", async () => {
    const inner = graph([line("Constant -> c", { value: vector(1, 0, 2) }), line("Sub h c -> d")], ["d"]);
    const outer = graph(
      [
        line("Mul x w -> h"),
        line("If no -> out", { then_branch: graph([line("Neg h -> d")], ["d"]), else_branch: inner }),
      ],
      ["out"],
      { w: vector(2, 3, 4), no: bool(false) },
    );
    const bytes = modelOf(
      graph(
        [line("If yes -> y", { then_branch: outer, else_branch: branch("Add", vector(1, 1, 1)) })],
        ["y"],
        {
          yes: bool(true),
        },
      ),
    );
    const model = readModel(bytes);
    expect(ops(model)).toEqual(["Mul", "Sub"]);
    expect(model.graph.outputs[0]?.name).toBe("y");
    expect(computed(model, ["w", "c"]).gradients).toEqual({ w: [1.5, 2, 2], c: [-2, -2, -2] });
    await holds(bytes, model, ["w", "c"]);
  });

  it("whose condition follows from shapes is written out once they are seen, and keeps names apart", async () => {
    const many = [
      line("Shape x -> shape"),
      line("ReduceMax shape -> largest", {}, "largest"),
      line("Less largest limit -> small"),
    ];
    const bytes = modelOf(
      graph(
        [
          ...many,
          line(
            "If small -> h",
            { then_branch: branch("Mul", vector(2, 2, 2)), else_branch: branch("Add", vector(0, 1, 2)) },
            "one",
          ),
          line(
            "If small -> g",
            { then_branch: branch("Mul", vector(4, 2, 2)), else_branch: branch("Add", vector(5, 1, 2)) },
            "two",
          ),
          line("Mul h g -> y"),
        ],
        ["y"],
        { limit: tensor("int64", [3]) },
      ),
    );
    const read = readModel(bytes);
    expect(ops(read)).toContain("If");
    const { model, known } = await observeBranches(read, nodeRuntime, exampleFeeds(read, 2));
    expect(ops(model)).not.toContain("If");
    expect(names(model)).toEqual(["limit", "two/w", "w"]);
    expect([...known.keys()].map((v) => v.name)).toContain("small");
    expect(held(model, "two/w")).toEqual([5, 1, 2]);
    await holds(bytes, model, ["w", "two/w"]);
  });

  it("in a function that is called twice has one set of weights", async () => {
    const choose = fn(
      "Choose",
      ["x"],
      ["b"],
      [
        line("Constant -> yes", { value: bool(true) }),
        line(
          "If yes -> b",
          { then_branch: branch("Mul", vector(1, 2, 3)), else_branch: graph([line("Neg x -> n")], ["n"]) },
          "if",
        ),
      ],
    );
    const bytes = modelOf(
      graph([line("local::Choose x -> h", {}, "a"), line("local::Choose h -> y", {}, "b")], ["y"]),
      [choose],
    );
    const model = readModel(bytes);
    expect(ops(model)).toEqual(["Mul", "Mul"]);
    expect(names(model)).toEqual(["Choose/yes", "w"]);
    expect(computed(model, ["w"]).gradients.w).toEqual([3, 8, 12]);
    await holds(bytes, model, ["w"]);
  });

  it("whose branch hands on a value, an initialiser or a constant gives it under its own name", async () => {
    const bytes = modelOf(
      graph(
        [
          line("If yes -> p, q, r", {
            then_branch: graph(
              [line("Constant -> k", { value: vector(1, 2, 3) }), line("Mul x k -> m")],
              ["w", "k", "m"],
              {
                w: vector(4, 5, 6),
              },
            ),
            else_branch: graph([line("Neg x -> a"), line("Abs x -> b"), line("Exp x -> c")], ["a", "b", "c"]),
          }),
          line("Sum p q r -> y"),
        ],
        ["y"],
        { yes: bool(true) },
      ),
      [],
      8n,
    );
    const model = readModel(bytes);
    expect(ops(model)).toEqual(["Mul", "Identity", "Identity", "Sum"]);
    await holds(bytes, model, ["w", "k"]);
  });

  it("of data-dependent condition stays, and a student is told so", async () => {
    const bytes = modelOf(
      graph(
        [
          line("ReduceSum x _ -> sum"),
          line("Greater sum limit -> yes"),
          line(
            "If yes -> y",
            { then_branch: branch("Mul", vector(2, 2, 2)), else_branch: branch("Add", vector(0, 1, 2)) },
            "choose",
          ),
        ],
        ["y"],
        { limit: tensor("float32", [1], [1, 1]) },
      ),
    );
    const read = readModel(bytes);
    const { model } = await observeBranches(read, nodeRuntime, exampleFeeds(read, 2));
    expect(model).toBe(read);
    expect(() => computed(model, [])).toThrow(
      'If at node "choose" cannot be part of a student: its condition depends on the data, so that there is no one graph to train; export the branch that is taken',
    );
  });
});
