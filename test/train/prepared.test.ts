// Models as people have them, through the whole loop: with a Softmax at their end, made for one batch size.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { int, ints } from "../../src/graph/graph.ts";
import { editModel } from "../../src/onnx/edit-model.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { ResponseDistillationStrategy } from "../../src/strategies/index.ts";
import { evaluateModel } from "../../src/train/evaluate-model.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { randomTensor, smallStudent } from "../compile/compile-model.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "prepared-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const data = bars(256, 1);
const evaluation = bars(100, 2);
const base = { data, evaluation, batch: 32, epochs: 2, learningRate: 0.05, seed: 3 };

const plain = readModel(readFileSync(cnn), { source: "student.onnx" });
const output = plain.graph.outputs[0]?.name as string;
const ending = (op: string): Model =>
  editModel(plain, {
    nodes: [{ op, name: `/${op}`, inputs: [output], outputs: ["probs"], attributes: { axis: int(1) } }],
    outputs: ["probs"],
  });

describe("a student that ends in a Softmax", () => {
  const run = async (options: Partial<DistillOptions>) =>
    collect({ ...base, student: plain, teacher: modelBytes(plain), ...options });

  it("and a teacher that does learn what they would without it", async () => {
    const bare = await run({});
    const wrapped = await run({ student: ending("Softmax"), teacher: modelBytes(ending("LogSoftmax")) });
    expect(only(wrapped, "step").map((e) => e.losses)).toEqual(only(bare, "step").map((e) => e.losses));
    const metrics = (events: typeof bare) => only(events, "evaluation").map((e) => e.metrics);
    expect(metrics(wrapped)).toEqual(metrics(bare));
    expect(only(wrapped, "start")[0]?.notes.slice(0, 2)).toEqual([
      `the teacher's output "probs" comes from a LogSoftmax (node "/LogSoftmax"): "${output}", its input, is taken for the logits`,
      `the student's output "probs" comes from a Softmax (node "/Softmax"): "${output}", its input, is taken for the logits`,
    ]);
  });

  it("keeps it in the exported file, and run.json says where the logits were taken", async () => {
    const out = join(folder, "softmax");
    const events = await run({ student: ending("Softmax"), teacher: undefined, out });
    const exported = readModel(only(events, "done")[0]?.student as Uint8Array);
    expect(exported.graph.outputs.map((o) => o.name)).toEqual(["probs"]);
    expect(exported.graph.nodes.at(-1)?.op).toBe("Softmax");
    const record = JSON.parse(readFileSync(join(out, "run.json"), "utf8"));
    expect(record.config.prepared).toEqual({ student: { logits: output }, teacher: null });
  });

  it("is evaluated on its logits, not on its probabilities", async () => {
    const [bare, wrapped] = [
      await evaluateModel(plain, evaluation, { runtime: nodeRuntime }),
      await evaluateModel(ending("Softmax"), evaluation, { runtime: nodeRuntime }),
    ];
    expect(wrapped.metrics).toEqual(bare.metrics);
  });
});

const shape = (...dims: number[]) => tensor("int64", dims);
/** A convolutional classifier of [1, 16, 16] images, as an exporter without dynamic axes leaves it. */
const fixedStudent = (batch: number): Model =>
  smallStudent(
    [batch, 1, 16, 16],
    {
      k: randomTensor(1, [4, 1, 3, 3]),
      b: tensor("float32", new Float32Array(4)),
      flat: shape(batch, -1),
      w: randomTensor(2, [196, 5]),
    },
    [
      { op: "Conv", inputs: ["x", "k", "b"], output: "c", attributes: { strides: ints([2, 2]) } },
      { op: "Relu", inputs: ["c"], output: "features" },
      { op: "Reshape", inputs: ["features", "flat"], output: "r" },
      { op: "MatMul", inputs: ["r", "w"], output: "logits" },
    ],
  );

describe("a student made for a batch of one", () => {
  it("trains in batches, to the same weights as one made for them, and stays as it was", async () => {
    const [one, many] = [
      await collect({ ...base, student: fixedStudent(1), learningRate: 0.01 }),
      await collect({ ...base, student: fixedStudent(32), learningRate: 0.01 }),
    ];
    expect(only(one, "step").map((e) => e.losses)).toEqual(only(many, "step").map((e) => e.losses));
    const [a, b] = [one, many].map((events) => only(events, "done")[0]);
    const exported = readModel(a?.student as Uint8Array);
    expect(exported.inputs[0]?.dims).toEqual([1, 1, 16, 16]);
    for (const [v, t] of readModel(b?.student as Uint8Array).graph.constants)
      if (v.name !== "flat")
        expect(exported.graph.constants.get(exported.graph.find(v.name)!)?.data).toEqual(t.data);
    expect(a?.metrics.top1).toBeCloseTo(b?.metrics.top1 as number, 2);
    expect(only(one, "start")[0]?.notes[0]).toBe(
      "the student was made for a batch of 1 and runs in batches of 32 here; its results were compared on 2 samples and are the same",
    );
  });

  it("is refused before training where its graph allows no other", async () => {
    const student = smallStudent(
      [1, 1, 16, 16],
      { flat: shape(256), w: randomTensor(2, [256, 5]), back: shape(1, 5) },
      [
        { op: "Reshape", inputs: ["x", "flat"], output: "r" },
        { op: "MatMul", inputs: ["r", "w"], output: "m" },
        { op: "Reshape", inputs: ["m", "back"], output: "logits" },
      ],
    );
    await expect(collect({ ...base, student })).rejects.toThrow(
      'student.onnx: made for a batch of 1, and node Reshape "/r" allows no other, because of its constant "flat" (256); train with a batch of 1, or export the model with a dynamic first dimension',
    );
  });
});

describe("a model whose first dimension is open, but not its constants", () => {
  it("is rebatched like one of a fixed batch", async () => {
    const student = editModel(fixedStudent(1), { batch: { inputs: ["x"] } });
    expect(student.inputs[0]?.dims[0]).toBe("?");
    const steps = only(await collect({ ...base, student, learningRate: 0.01 }), "step");
    const fixed = only(await collect({ ...base, student: fixedStudent(1), learningRate: 0.01 }), "step");
    expect(steps.map((e) => e.losses)).toEqual(fixed.map((e) => e.losses));
  });
});

describe("a teacher made for another batch size", () => {
  const strategy = new ResponseDistillationStrategy({ alpha: 0 });
  const tap = { name: "features", teacher: "features", student: "features" };
  const losses = async (teacher: Model, options: Partial<DistillOptions> = {}) => {
    const events = await collect({
      ...base,
      student: fixedStudent(32),
      teacher: modelBytes(teacher),
      strategy,
      ...options,
    });
    return { steps: only(events, "step").map((e) => e.losses), notes: only(events, "start")[0]?.notes };
  };

  it("gives what it gives by itself, rebatched or run in its own batches", async () => {
    // In a batch of one, x + (x − the first sample) is x; in a larger one it is not.
    const mixing = (batch: number) =>
      smallStudent(
        [batch, 1, 16, 16],
        {
          flat: shape(batch, -1),
          w: randomTensor(5, [256, 5]),
          from: shape(0),
          to: shape(1),
          axis: shape(0),
        },
        [
          { op: "Slice", inputs: ["x", "from", "to", "axis"], output: "s" },
          { op: "Sub", inputs: ["x", "s"], output: "d" },
          { op: "Add", inputs: ["x", "d"], output: "features" },
          { op: "Reshape", inputs: ["features", "flat"], output: "r" },
          { op: "MatMul", inputs: ["r", "w"], output: "logits" },
        ],
      );
    const own = await losses(mixing(1));
    expect(own.notes?.[0]).toMatch(/^the teacher runs in batches of 1, as it was made for: .*Slice "\/s"/);
    const expected = await losses(
      smallStudent([32, 1, 16, 16], { flat: shape(32, -1), w: randomTensor(5, [256, 5]) }, [
        { op: "Reshape", inputs: ["x", "flat"], output: "r" },
        { op: "MatMul", inputs: ["r", "w"], output: "logits" },
      ]),
    );
    own.steps.forEach((l, i) => {
      expect(l.loss! / expected.steps[i]!.loss!).toBeCloseTo(1, 4);
    });
  });

  it("teaches its taps too", async () => {
    const taps = [tap];
    const [one, many] = [
      await losses(fixedStudent(1), { taps, strategy: undefined }),
      await losses(fixedStudent(32), { taps, strategy: undefined }),
    ];
    expect(one.notes?.[0]).toBe(
      "the teacher was made for a batch of 1 and runs in batches of 32 here; its results were compared on 2 samples and are the same",
    );
    one.steps.forEach((l, i) => {
      for (const [term, v] of Object.entries(l)) expect(v, term).toBeCloseTo(many.steps[i]![term]!, 4);
    });
  });
});
