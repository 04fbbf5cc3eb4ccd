// The moving average of weights and running statistics, held to torch.optim.swa_utils; what is evaluated and written; resume.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { distill } from "../../src/train/distill.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { collect, only } from "./helpers.ts";
import { expectAsTorch, facts, plainSgd, torchData, valuesIn, wholeBatches } from "./torch-run.ts";

const folder = mkdtempSync(join(tmpdir(), "average-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const base: DistillOptions = { ...wholeBatches, ...plainSgd };

it.each([false, true])(
  "is torch's AveragedModel with an exponential average and buffers, worker %s",
  (worker) => expectAsTorch("averaged", { ...base, averageWeights: 0.8, worker }),
);

it("is evaluated and delivered, while the weights train as they would", async () => {
  const evaluation = torchData();
  const average = await collect({ ...base, averageWeights: 0.8, evaluation, keep: "last" });
  const plain = await collect({ ...base, evaluation, keep: "last" });
  expect(only(average, "step")).toEqual(only(plain, "step"));
  expect(valuesIn(only(plain, "done")[0]!.student).get("fc.bias")![0]).toBeCloseTo(
    facts.cases.averaged!.raw!["fc.bias"]![0]!,
    5,
  );
  const done = only(average, "done")[0]!;
  const still = {
    student: done.student,
    learningRate: 0,
    epochs: 1,
    evaluation,
    batchNorm: "frozen",
  } as const;
  const again = only(await collect({ ...base, ...still }), "evaluation")[0]!;
  expect(done.metrics).toEqual(again.metrics);
  expect(done.metrics.loss).not.toEqual(only(plain, "done")[0]!.metrics.loss);
  expect(only(average, "start")[0]!.notes).toEqual([
    "evaluated and written is the moving average of weights and running statistics, decay 0.8 (about the last 5 steps); the run has 5 steps, so its beginning still counts: a lower decay forgets it",
  ]);
});

it("goes on to the same bits, also with a student whose running statistics are folded away again", async () => {
  const options: DistillOptions = {
    ...base,
    evaluation: torchData(),
    batch: 6,
    epochs: 2,
    learningRate: 0.05,
    insertBatchNorm: true,
    averageWeights: 0.7,
  };
  const out = join(folder, "run");
  const stop = new AbortController();
  for await (const e of distill({ ...options, out, signal: stop.signal }))
    if (e.type === "step" && e.step === 6) stop.abort();
  const rest = only(await collect({ ...options, out, resume: true }), "done")[0]!;
  const whole = only(await collect(options), "done")[0]!;
  expect(new Uint8Array(rest.student)).toEqual(new Uint8Array(whole.student));
  expect(new Uint8Array(readFileSync(join(out, "student.onnx")))).toEqual(new Uint8Array(whole.student));
});

it.each([0, 1, Number.NaN])("refuses %f", async (averageWeights) => {
  await expect(collect({ ...base, averageWeights })).rejects.toThrow(
    `distill: averageWeights must be a decay above 0 and below 1, got ${averageWeights}`,
  );
});
