// Models made for one batch size, run with another: the results must be those of the samples by themselves.
import { describe, expect, it } from "vitest";
import { takeSamples } from "../../src/base/samples.ts";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { int, ints, string } from "../../src/graph/graph.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { fixedBatchOf } from "../../src/prepare/fixed-batch.ts";
import { rebatch } from "../../src/prepare/rebatch.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { type NodeLine, randomTensor, smallStudent } from "../compile/compile-model.ts";

const shape = (...dims: number[]): Tensor => tensor("int64", dims);

async function run(model: Model, x: Tensor): Promise<Tensor> {
  const session = await nodeRuntime.load(modelBytes(model));
  const name = model.graph.outputs[0]?.name as string;
  const out = await session.run({ x }, [name]);
  await session.release();
  return out[name] as Tensor;
}

/** Rebatches to `batch` and holds every sample of the result to what the model says of it in its own batch. */
async function check(model: Model, batch: number): Promise<Model> {
  const fixed = fixedBatchOf(model) as number;
  const dims = model.inputs[0]?.dims as number[];
  const x = randomTensor(7, [batch, ...dims.slice(1)]);
  const made = await rebatch(model, {
    runtime: nodeRuntime,
    fixed,
    batch,
    feeds: { x },
    wanted: [model.graph.outputs[0]?.name as string],
  });
  const all = await run(made, x);
  expect(all.dims[0]).toBe(batch);
  for (let from = 0; from + fixed <= batch; from += fixed) {
    const at = Array.from({ length: fixed }, (_, i) => from + i);
    const own = await run(model, takeSamples(x, at));
    const got = takeSamples(all, at).data as Float32Array;
    (own.data as Float32Array).forEach((v, i) => {
      expect(Math.abs(v - (got[i] as number)), `sample ${from}, element ${i}`).toBeLessThan(1e-5);
    });
  }
  return made;
}

const attention = (
  before: NodeLine[],
  q: string,
  heads: Tensor,
  back: Tensor,
  after: NodeLine[],
  perm: number[],
) => ({
  constants: { heads, back },
  lines: [
    ...before,
    { op: "Reshape", inputs: [q, "heads"], output: "h" },
    { op: "Transpose", inputs: ["h"], output: "ht", attributes: { perm: ints(perm) } },
    {
      op: "Transpose",
      inputs: ["ht"],
      output: "hk",
      attributes: { perm: ints(perm.length === 4 ? [0, 1, 3, 2] : [0, 2, 1]) },
    },
    { op: "MatMul", inputs: ["ht", "hk"], output: "scores" },
    { op: "Softmax", inputs: ["scores"], output: "weights", attributes: { axis: int(-1) } },
    { op: "MatMul", inputs: ["weights", "ht"], output: "mixed" },
    { op: "Transpose", inputs: ["mixed"], output: "mt", attributes: { perm: ints(perm) } },
    { op: "Reshape", inputs: ["mt", "back"], output: "joined" },
    ...after,
  ] satisfies NodeLine[],
});

describe("rebatching", () => {
  it("rewrites a Reshape whose constant spells the batch", async () => {
    const lines: NodeLine[] = [
      { op: "Conv", inputs: ["x", "k"], output: "c" },
      { op: "Reshape", inputs: ["c", "flat"], output: "r" },
      { op: "MatMul", inputs: ["r", "w"], output: "y" },
    ];
    for (const flat of [shape(1, 8), shape(1, -1)])
      await check(
        smallStudent(
          [1, 1, 4, 4],
          { k: randomTensor(1, [2, 1, 3, 3]), flat, w: randomTensor(2, [8, 3]) },
          lines,
        ),
        5,
      );
  });

  it("leaves a model alone that works as it is", async () => {
    const model = smallStudent([1, 2, 2], { w: randomTensor(2, [4, 3]), flat: shape(0, -1) }, [
      { op: "Reshape", inputs: ["x", "flat"], output: "r" },
      { op: "MatMul", inputs: ["r", "w"], output: "y" },
    ]);
    const made = await check(model, 3);
    expect(made.graph.nodes).toHaveLength(2);
  });

  it("repeats a class token and splits heads, batch first", async () => {
    const { constants, lines } = attention(
      [
        { op: "Concat", inputs: ["cls", "x"], output: "t", attributes: { axis: int(1) } },
        { op: "Add", inputs: ["t", "positions"], output: "p" },
      ],
      "p",
      shape(1, 4, 2, 3),
      shape(1, 4, 6),
      [
        {
          op: "ReduceMean",
          inputs: ["joined"],
          output: "y",
          attributes: { axes: ints([1]), keepdims: int(0) },
        },
      ],
      [0, 2, 1, 3],
    );
    const own = { cls: randomTensor(3, [1, 1, 6]), positions: randomTensor(4, [1, 4, 6]) };
    const made = await check(smallStudent([1, 3, 6], { ...own, ...constants }, lines), 4);
    expect(made.graph.nodes.some((n) => n.op === "Expand")).toBe(true);
  });

  it("finds the batch where it does not lie outermost", async () => {
    const { constants, lines } = attention(
      [{ op: "Transpose", inputs: ["x"], output: "seq", attributes: { perm: ints([1, 0, 2]) } }],
      "seq",
      shape(4, 2, 3),
      shape(4, 1, 6),
      [
        { op: "Transpose", inputs: ["joined"], output: "b", attributes: { perm: ints([1, 0, 2]) } },
        { op: "ReduceMax", inputs: ["b"], output: "y", attributes: { axes: ints([1]), keepdims: int(0) } },
      ],
      [1, 0, 2],
    );
    await check(smallStudent([1, 4, 6], constants, lines), 3);
  });

  it("finds the batch within an axis, between positions and features, and learns from the first block", async () => {
    // [time, batch, features] as rows of one product, as PyTorch's attention has it; twice.
    const block = (x: string, i: number): NodeLine[] => [
      { op: "Reshape", inputs: [x, "rows"], output: `rows${i}` },
      { op: "MatMul", inputs: [`rows${i}`, "w"], output: `product${i}` },
      { op: "Reshape", inputs: [`product${i}`, "back"], output: `back${i}` },
      { op: "Softmax", inputs: [`back${i}`], output: `out${i}`, attributes: { axis: int(0) } },
    ];
    const model = smallStudent(
      [1, 4, 6],
      { rows: shape(4, 6), back: shape(4, 1, 6), w: randomTensor(1, [6, 6]) },
      [
        { op: "Transpose", inputs: ["x"], output: "seq", attributes: { perm: ints([1, 0, 2]) } },
        ...block("seq", 1),
        ...block("out1", 2),
        { op: "ReduceMax", inputs: ["out2"], output: "y", attributes: { axes: ints([0]), keepdims: int(0) } },
      ],
    );
    await check(model, 3);
  });

  it("resizes to constant sizes and repeats initial states", async () => {
    const resize = smallStudent([1, 2, 3, 3], { sizes: shape(1, 2, 6, 6), axes: shape(2, 3) }, [
      {
        op: "Resize",
        inputs: ["x", "", "", "sizes"],
        output: "r",
        attributes: { mode: string("nearest") },
      },
      { op: "ReduceMean", inputs: ["r"], output: "y", attributes: { axes: ints([2, 3]), keepdims: int(0) } },
    ]);
    await check(resize, 3);
    const recurrent = smallStudent(
      [1, 4, 3],
      {
        w: randomTensor(1, [1, 8, 3]),
        r: randomTensor(2, [1, 8, 2]),
        h0: randomTensor(3, [1, 1, 2]),
        c0: randomTensor(4, [1, 1, 2]),
        axes: shape(1),
        flat: shape(1, 8),
      },
      [
        { op: "Transpose", inputs: ["x"], output: "seq", attributes: { perm: ints([1, 0, 2]) } },
        {
          op: "LSTM",
          inputs: ["seq", "w", "r", "", "", "h0", "c0"],
          output: "l",
          attributes: { hidden_size: int(2) },
        },
        { op: "Squeeze", inputs: ["l", "axes"], output: "s" },
        { op: "Transpose", inputs: ["s"], output: "b", attributes: { perm: ints([1, 0, 2]) } },
        { op: "Reshape", inputs: ["b", "flat"], output: "y" },
      ],
    );
    const made = await check(recurrent, 3);
    // Initial states are not trained, so they stay constants.
    expect(made.graph.nodes.map((n) => n.op)).not.toContain("Expand");
  });

  it("works for a batch of four, made for two, with one part for each sample", async () => {
    const model = smallStudent(
      [2, 3, 6],
      {
        cls: randomTensor(3, [2, 1, 6]),
        flat: shape(2, 24),
        to: shape(2, 3, 6),
        w: randomTensor(5, [24, 2]),
      },
      [
        { op: "Expand", inputs: ["x", "to"], output: "e" },
        { op: "Concat", inputs: ["cls", "e"], output: "t", attributes: { axis: int(1) } },
        { op: "Reshape", inputs: ["t", "flat"], output: "r" },
        { op: "MatMul", inputs: ["r", "w"], output: "y" },
      ],
    );
    await check(model, 4);
    await expect(check(model, 5)).rejects.toThrow(
      'student.onnx: made for a batch of 2, and node Concat "/t" takes "cls" [2,1,6], which can\'t be repeated for a batch of 5; train with a multiple of 2, or export the model with a dynamic first dimension',
    );
  });
});

describe("a model that allows no other batch size is refused, with the node", () => {
  const rest = "; train with a batch of 1, or export the model with a dynamic first dimension";
  it("whose Reshape drops the batch", async () => {
    const model = smallStudent([1, 4], { drop: shape(4), w: randomTensor(1, [4, 3]), back: shape(1, 3) }, [
      { op: "Reshape", inputs: ["x", "drop"], output: "r" },
      { op: "MatMul", inputs: ["r", "w"], output: "m" },
      { op: "Reshape", inputs: ["m", "back"], output: "y" },
    ]);
    await expect(check(model, 2)).rejects.toThrow(
      `student.onnx: made for a batch of 1, and node Reshape "/r" allows no other, because of its constant "drop" (4)${rest}`,
    );
  });

  it("whose Slice takes the one sample", async () => {
    const model = smallStudent([1, 4], { from: shape(0), to: shape(1), axis: shape(0) }, [
      { op: "Slice", inputs: ["x", "from", "to", "axis"], output: "s" },
      { op: "Relu", inputs: ["s"], output: "y" },
    ]);
    await expect(check(model, 2)).rejects.toThrow(
      `student.onnx: made for a batch of 1, and node Slice "/s" allows no other, because of its constant "from" (0)${rest}`,
    );
  });

  it("which mixes its samples", async () => {
    const model = smallStudent([2, 4], {}, [
      { op: "ReduceMean", inputs: ["x"], output: "m", attributes: { axes: ints([0]) } },
      { op: "Sub", inputs: ["x", "m"], output: "y" },
    ]);
    await expect(check(model, 4)).rejects.toThrow(
      'student.onnx: made for a batch of 2, and node ReduceMean "/m" mixes the samples of a batch; train with a batch of 2, or export the model with a dynamic first dimension',
    );
  });

  it("which adds another constant to each sample", async () => {
    const model = smallStudent([2, 4], { each: randomTensor(1, [2, 4]) }, [
      { op: "Add", inputs: ["x", "each"], output: "y" },
    ]);
    await expect(check(model, 4)).rejects.toThrow(
      'student.onnx: made for a batch of 2, and node Add "/y" allows no other, because of its constant "each" [2,4]; train with a batch of 2, or export the model with a dynamic first dimension',
    );
  });
});

describe("the batch that a model was made for", () => {
  const inputs = (...dims: (string | number)[][]) => ({
    inputs: dims.map((d, i) => ({ name: `x${i}`, dtype: "float32" as const, dims: d })),
  });
  it("is what all its inputs begin with", () => {
    expect(fixedBatchOf(inputs([1, 3], [1, 7, 7]))).toBe(1);
    expect(fixedBatchOf(inputs(["n", 3], [1, 7, 7]))).toBe(undefined);
    expect(fixedBatchOf(inputs([2, 3], [1, 7, 7]))).toBe(undefined);
  });
});
