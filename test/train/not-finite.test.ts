// A loss or a weight that is not a number: the run ends with one line that says where that appeared first, and blames the
// learning rate only where something has grown (which distill.test.ts shows).
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { defineGraphStrategy } from "../../src/losses/graph-strategy.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { DistillationStrategyBase, HintStrategy, Matrix } from "../../src/strategies/index.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { testRandom } from "../gradient-checker.ts";
import { studentFromText } from "../models/graph-text.ts";
import { collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "not-finite-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const random = testRandom(7);
const numbers = (n: number): Float32Array => Float32Array.from({ length: n }, () => random() - 0.5);
const weights = {
  "body.weight": tensor("float32", numbers(12), [3, 4]),
  "head.weight": tensor("float32", numbers(12), [4, 3]),
  half: tensor("float32", [0.5], []),
  "allowed.mask": tensor("float32", [0, 0, -Infinity], [3]),
};
const model = (middle: string, last = "logits = MatMul(g, head.weight)"): Uint8Array =>
  modelBytes(studentFromText(`h = MatMul(x, body.weight)\n${middle}\n${last}`, [8, 3], weights, 17));
const plain = model("g = Tanh(h)");
const masked = model("g = Tanh(h)", "z = MatMul(g, head.weight)\nlogits = Add(z, allowed.mask)");

/** 32 samples; `spoil` changes their numbers. */
function data(spoil: (x: Float32Array) => void = () => {}, labels?: Int32Array) {
  const x = Float32Array.from({ length: 96 }, (_, i) => ((i * 7) % 11) / 11 + 0.1);
  spoil(x);
  return arrayDataset({
    inputs: [{ name: "x", ...tensor("float32", x, [32, 3]) }],
    ...(labels && { labels, classes: 3 }),
  });
}

const base = {
  student: plain,
  teacher: plain,
  data: data(),
  batch: 8,
  epochs: 1,
  learningRate: 0.01,
};
/** The line; the order of samples is drawn, so the step that one is in is N. */
const failure = async (o: Partial<DistillOptions>) =>
  collect({ ...base, ...o } as DistillOptions).then(
    () => "no error",
    (e: Error) => e.message.replace(/step [1-4](:|\))/, "step N$1"),
  );

describe("the line says where it appeared first", () => {
  it("in the data: input and sample", async () => {
    expect(
      await failure({
        data: data((x) => {
          x[3 * 9 + 1] = Number.NaN;
        }),
      }),
    ).toBe(
      'the loss is NaN (loss/soft) at step N: input "x" of the data is NaN at sample 9. Repair such samples or leave them out.',
    );
  });

  it("at the teacher: its logits, its tap", async () => {
    const teacher = model("r = Log(h)\ng = Tanh(r)");
    expect(await failure({ teacher })).toMatch(
      /^the loss is NaN \(loss\/soft\) at step N: the teacher's logits are NaN at (every sample of the batch|sample \d+.*)\. The teacher runs as it stands: mend it, or leave such samples out\.$/,
    );
    const says =
      (bad: number) =>
      ([x]: readonly { dims: readonly number[] }[]) => ({
        logits: tensor("float32", new Float32Array(3 * (x!.dims[0] as number)), [x!.dims[0] as number, 3]),
        taps: {
          h: tensor("float32", new Float32Array(4 * (x!.dims[0] as number)).fill(bad, 4, 5), [
            x!.dims[0] as number,
            4,
          ]),
        },
      });
    const strategy = new HintStrategy({ targetLayerName: "h" });
    const taps = [{ name: "h", teacher: "h", student: "h" }];
    expect(
      (await failure({ teacher: says(Infinity), strategy, taps })).replace(/sample \d+/, "sample S"),
    ).toBe(
      'the loss is Infinity (loss/hint/h) at step N: the teacher\'s tap "h" is Infinity at sample S. The teacher runs as it stands: mend it, or leave such samples out.',
    );
  });

  it("within the student: value, node and sample", async () => {
    // log of what is negative at the first sample alone
    const student = model("r = Log(x)\nm = MatMul(r, body.weight)\ng = Add(m, h)");
    const spoiled = data((x) => {
      x[3 * 20] = -1;
    });
    expect(await failure({ student, data: spoiled })).toBe(
      'the loss is NaN (loss/soft) at step N: the student\'s "r" (Log, node "/r") is the first that is NaN at sample 20, from finite numbers. Look at what that node does with such numbers.',
    );
  });

  it("in data of float16", async () => {
    const bits = Uint16Array.from({ length: 96 }, (_, i) => (i === 50 ? 0x7e00 : 0x3000 + i));
    const halves = arrayDataset({ inputs: [{ name: "x", dtype: "float16", dims: [32, 3], data: bits }] });
    expect(await failure({ data: halves })).toBe(
      'the loss is NaN (loss/soft) at step N: input "x" of the data is NaN at sample 16. Repair such samples or leave them out.',
    );
  });

  it("not in a mask of the data, whose infinities are meant", async () => {
    const x = tensor("float32", numbers(96), [32, 3]);
    const mask = tensor(
      "float32",
      Float32Array.from({ length: 96 }, (_, i) => (i % 4 ? 0 : -Infinity)),
      [32, 3],
    );
    const student = model("b = Log(h)\ng = Tanh(b)");
    const beside = arrayDataset({
      inputs: [
        { name: "x", ...x },
        { name: "mask", ...mask },
      ],
    });
    expect(await failure({ student, data: beside, batch: 32 })).toMatch(
      /^the loss is NaN \(loss\/soft\) at step N: the student's "b" \(Log, node "\/b"\) is the first that is NaN/,
    );
  });

  it("in the student's file", async () => {
    const body = tensor("float32", numbers(12).fill(Number.NaN, 3, 4), [3, 4]);
    const student = modelBytes(
      studentFromText(
        "h = MatMul(x, body.weight)\nlogits = MatMul(h, head.weight)",
        [8, 3],
        { ...weights, "body.weight": body },
        17,
      ),
    );
    expect(await failure({ student })).toBe(
      'the loss is NaN (loss/soft) at step N: weight "body.weight" is NaN in the student\'s file. Repair the file, or begin with fresh weights (--init kaiming).',
    );
  });

  it("within the student, from an infinity", async () => {
    const student = model("b = Mul(h, h)\ne = Exp(b)\nq = Exp(e)\nd = Sub(q, q)\nn = Add(d, h)\ng = Tanh(n)");
    const spoiled = data((x) => {
      x[0] = 40;
    });
    expect(await failure({ student, data: spoiled })).toBe(
      'the loss is NaN (loss/soft) at step N: the student\'s "d" (Sub, node "/d") is the first that is NaN at sample 0, from "q", which is infinite. Look at what that node does with such numbers.',
    );
  });

  it("in a weight, whose gradient was not finite where the loss was", async () => {
    const student = model("s = Sub(h, h)\nr = Sqrt(s)\ng = Add(r, h)");
    const out = join(folder, "weight");
    expect(await failure({ student, out })).toBe(
      'the loss is NaN (loss/soft) at step N: weight "body.weight" is NaN since step 1, where the loss was finite and the gradient not. Look for what has no slope at 0 in student and loss: a square root, a norm, a logarithm, a division.',
    );
    expect(readdirSync(join(out, "checkpoints"))).toEqual([]);
  });

  it("in the last step, where no loss shows it any more", async () => {
    const student = model("s = Sub(h, h)\nr = Sqrt(s)\ng = Add(r, h)");
    const out = join(folder, "last");
    expect(await failure({ student, out, batch: 32 })).toBe(
      'weight "body.weight" is NaN since step 1, where the loss was finite and the gradient not. Look for what has no slope at 0 in student and loss: a square root, a norm, a logarithm, a division.',
    );
    expect(existsSync(join(out, "student.onnx"))).toBe(false);
    expect(readdirSync(join(out, "checkpoints"))).toEqual([]);
  });

  it("in a loss of one's own", async () => {
    const strategy = defineGraphStrategy({
      name: "own",
      loss: ({ b, studentLogits, rowMean }) => {
        const d = b.sub(studentLogits, studentLogits);
        return { own: rowMean(b.reduceSum(b.add(b.div(d, d), studentLogits), [1])) };
      },
    });
    expect(await failure({ strategy })).toBe(
      "the loss is NaN (loss/own) at step N: outputs and taps of both sides are finite, it is made of them by the loss (loss/own). Look there for a division by 0, or a square root or logarithm of what is not above 0.",
    );
  });

  it("a loss on arrays that refuses what it is given", async () => {
    class OnArrays extends DistillationStrategyBase {
      override computeLoss(s: Matrix, t: Matrix): number {
        this.checkLogits(s, t);
        return 1;
      }
      override computeGradient(s: Matrix): Matrix {
        return new Matrix(s.rows, s.columns, new Float32Array(s.rows * s.columns));
      }
    }
    const spoiled = data((x) => {
      x[3 * 9 + 1] = Number.NaN;
    });
    expect((await failure({ strategy: new OnArrays(), data: spoiled })).replace(/row \d/, "row R")).toBe(
      'studentLogits is NaN at row R, column 0; every value must be finite: look at that sample and what computes it (step N): input "x" of the data is NaN at sample 9. Repair such samples or leave them out.',
    );
  });
});

describe("classes that are ruled out", () => {
  it("on both sides train, and on the teacher's alone", async () => {
    for (const student of [masked, plain]) {
      const steps = only(await collect({ ...base, teacher: masked, student }), "step");
      expect(steps.every((s) => Number.isFinite(s.losses.loss))).toBe(true);
    }
  });

  it("by the student alone", async () => {
    expect(await failure({ student: masked })).toMatch(
      /^the loss is Infinity \(loss\/soft\) at step N: the student's logit 2 is -Infinity at sample \d+ where the teacher's is -?[\d.e-]+, so the loss is infinite\. Rule a class out on both sides, or give it a finite logit\.$/,
    );
  });

  it("and are a label", async () => {
    const labels = Int32Array.from({ length: 32 }, (_, i) => (i === 11 ? 2 : i % 2));
    expect(await failure({ student: masked, teacher: masked, data: data(undefined, labels) })).toBe(
      "the loss is Infinity (loss/hard) at step N: the student's logit 2 is -Infinity at sample 11 where the label is 1, so the loss is infinite. Rule a class out on both sides, or give it a finite logit.",
    );
  });
});
