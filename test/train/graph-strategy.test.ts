// Training with losses that a user writes with graph values.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { defineGraphStrategy, type GraphStrategyOptions } from "../../src/losses/graph-strategy.ts";
import {
  CombinedDistillationStrategy,
  DistillationStrategyBase,
  Matrix,
  type MatrixLike,
  NeuronSelectivityDistillationStrategy,
} from "../../src/strategies/index.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const base = {
  student: cnn,
  teacher: cnn,
  data: bars(128, 1),
  batch: 32,
  epochs: 3,
  learningRate: 0.02,
  taps: [{ name: "features", teacher: "/Clip_output_0" }],
};

/** Half the squared distance of logits and of channel means, the mean over the batch. */
const loss: GraphStrategyOptions["loss"] = ({ b, studentLogits, teacherLogits, tap, rowMean }) => {
  const gap = b.reduceSumSquare(b.sub(studentLogits, teacherLogits), [1]);
  const { student, teacher } = tap("features");
  const means = b.square(b.sub(b.reduceMean(student, [2, 3]), b.reduceMean(teacher, [2, 3])));
  return { logits: b.scale(rowMean(gap), 0.5), means: b.reduceMean(means) };
};
const mine = () => defineGraphStrategy({ name: "distances", loss });

it("logs its terms and learns", async () => {
  const steps = only(await collect({ ...base, epochs: 8, strategy: mine() }), "step");
  expect(Object.keys(steps[0]!.losses)).toEqual(["loss", "loss/logits", "loss/means"]);
  expect(steps.at(-1)!.losses.loss).toBeLessThan(0.5 * steps[0]!.losses.loss!);
});

it("trains beside strategies on arrays and in the table", async () => {
  class LogitMatching extends DistillationStrategyBase {
    computeLoss(s: MatrixLike, t: MatrixLike): number {
      const { student, teacher } = this.checkLogits(s, t);
      let sum = 0;
      student.data.forEach((v, i) => {
        sum += (v - teacher.data[i]!) ** 2;
      });
      return sum / (2 * student.rows);
    }
    computeGradient(s: MatrixLike, t: MatrixLike): Matrix {
      const { student, teacher } = this.checkLogits(s, t);
      const data = Float64Array.from(student.data, (v, i) => (v - teacher.data[i]!) / student.rows);
      return new Matrix(student.rows, student.columns, data);
    }
  }
  const strategy = new CombinedDistillationStrategy([
    { strategy: mine(), name: "mine" },
    { strategy: new LogitMatching() },
    {
      strategy: new NeuronSelectivityDistillationStrategy({ targetLayerName: "features" }),
      part: "intermediate",
    },
  ]);
  for (const { losses } of only(await collect({ ...base, epochs: 1, strategy }), "step")) {
    expect(Object.keys(losses)).toEqual([
      "loss",
      "loss/mine/logits",
      "loss/mine/means",
      "loss/selectivity/features",
      "loss/output",
    ]);
    expect(losses["loss/output"]! / losses["loss/mine/logits"]!).toBeCloseTo(1, 4);
  }
});

it("is told apart on resume by what it computes", async () => {
  const out = mkdtempSync(join(tmpdir(), "distill-graph-"));
  rmSync(out, { recursive: true });
  await collect({ ...base, epochs: 1, strategy: mine(), out });
  const other = defineGraphStrategy({
    name: "distances",
    loss: ({ b, studentLogits }) => ({ logits: b.reduceMean(studentLogits) }),
  });
  await expect(collect({ ...base, epochs: 1, strategy: other, out, resume: true })).rejects.toThrow(
    `${out} was begun with strategy {"name":"distances"`,
  );
  rmSync(out, { recursive: true });
});

it("is refused before the run begins where it cannot be differentiated or does not fit", async () => {
  const compare = defineGraphStrategy({
    name: "agreement",
    loss: ({ b, studentLogits, teacherLogits }) => ({
      agreement: b.reduceMean(
        b.where(b.greater(studentLogits, teacherLogits), b.like(studentLogits, 1), b.like(studentLogits, 0)),
      ),
    }),
  });
  await expect(collect({ ...base, strategy: compare })).rejects.toThrow(
    /^the loss \(agreement\) reaches no weight of .* through operations that have a gradient, so nothing would be learned/,
  );
  const wrong = defineGraphStrategy({
    name: "wrong",
    loss: ({ b, studentLogits, tap }) => ({
      sum: b.reduceSum(b.add(studentLogits, tap("features").student)),
    }),
  });
  await expect(collect({ ...base, strategy: wrong })).rejects.toThrow(/E_SHAPE|broadcast|shape/i);
});
