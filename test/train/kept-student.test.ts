// Which student a run ends with: the best evaluated one, or the last, whole, interrupted and resumed.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readModel } from "../../src/onnx/read-model.ts";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";
import { evaluateModel } from "../../src/train/evaluate-model.ts";
import { outdoes } from "../../src/train/monitor.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "kept-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const evaluation = bars(40, 2);
/** A rate that rises to the end, so that the last student is not the best. */
const base: DistillOptions = {
  student: cnn,
  data: bars(64, 1),
  evaluation,
  epochs: 4,
  batch: 16,
  learningRate: 10,
  schedule: { schedule: "constant", warmup: 16 },
};

async function run(more: Partial<DistillOptions>) {
  const events = await collect({ ...base, ...more });
  const students = only(events, "evaluation").map((e) => e.metrics);
  return { students, done: only(events, "done")[0]! };
}

describe("keep", () => {
  it("best is the default, last is the student of the last step, and each has its own metrics", async () => {
    const best = await run({});
    const last = await run({ keep: "last" });
    expect(last.students).toEqual(best.students);
    const shares = best.students.map((m) => m.top1!);
    expect(Math.max(...shares), "the last student must not be the best here").toBeGreaterThan(shares.at(-1)!);
    expect(best.done.metrics.top1).toBe(Math.max(...shares));
    expect(last.done.metrics).toEqual(last.students.at(-1));
    const { metrics } = await evaluateModel(readModel(last.done.student, { source: "last" }), evaluation, {
      runtime: createNodeRuntime({ threads: 1 }),
    });
    expect(metrics.top1).toBe(shares.at(-1));
    expect((await run({ evaluation: undefined })).done.student, "the weights do not depend on it").toEqual(
      last.done.student,
    );
  });

  it("of students that the metric holds for equal, best is the one with the lowest loss, the last of those", () => {
    const later = (value: number, loss?: number) =>
      outdoes({ value, loss }, { value: 0.9, loss: 0.5 }, "higher");
    expect(later(0.9, 0.4)).toBe(true);
    expect(later(0.9, 0.5), "the later epoch").toBe(true);
    expect(later(0.9, 0.6)).toBe(false);
    expect(later(0.9, Number.NaN)).toBe(false);
    expect(later(0.9 - 5e-10, 0.4), "no more than rounding").toBe(true);
    expect(later(0.9 + 5e-10, 0.6), "no more than rounding").toBe(false);
    expect(later(0.9 - 2e-9, 0.4)).toBe(false);
    expect(later(0.9 + 2e-9, 0.6)).toBe(true);
    expect(later(Number.NaN, 0.1)).toBe(false);
    expect(outdoes({ value: 0.4, loss: 0.4 }, { value: 0.5, loss: 0.5 }, "lower")).toBe(true);
    expect(outdoes({ value: 0.6, loss: 0.6 }, { value: 0.5, loss: 0.5 }, "lower")).toBe(false);
    expect(outdoes({ value: 0.9, loss: undefined }, { value: 0.9, loss: undefined }, "higher")).toBe(true);
    expect(outdoes({ value: 0.1, loss: 1 }, { value: Number.NaN, loss: 1 }, "higher")).toBe(true);
  });

  it("decides between equals also in a run that is resumed", async () => {
    // Two samples: the share of right ones is often the same.
    const few = { evaluation: bars(2, 2), learningRate: 0.1, schedule: {}, batch: 32 };
    const out = join(folder, "ties");
    const { students, done } = await run({ ...few, epochs: 6 });
    await run({ ...few, epochs: 3, out });
    const resumed = await run({ ...few, epochs: 6, out, resume: true });
    const top = Math.max(...students.map((m) => m.top1!));
    const equals = students.filter((m) => m.top1 === top);
    expect(equals.length).toBeGreaterThan(1);
    expect(done.metrics.loss).toBe(Math.min(...equals.map((m) => m.loss!)));
    const all = readFileSync(join(out, "metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
      .filter((e) => e.type === "evaluation");
    const best = Math.max(...all.map((e) => e.top1));
    expect(resumed.done.metrics.loss).toBe(
      Math.min(...all.filter((e) => e.top1 === best).map((e) => e.loss)),
    );
  });

  it("last is written at the end alone, also by a run that was interrupted and by one that is resumed when whole", async () => {
    const out = join(folder, "run");
    const stop = new AbortController();
    const events = collect({ ...base, keep: "last", out, signal: stop.signal, data: stopping(stop) });
    const [interrupted] = only(await events, "done");
    expect(interrupted!.interrupted).toBe(true);
    expect(() => readFileSync(join(out, "student.onnx"))).toThrow(/ENOENT/);
    const whole = await run({ keep: "last" });
    for (const _ of ["goes on", "is whole already"]) {
      const { done } = await run({ keep: "last", out, resume: true });
      expect(new Uint8Array(done.student)).toEqual(whole.done.student);
      expect(done.metrics).toEqual(whole.done.metrics);
      expect(new Uint8Array(readFileSync(join(out, "student.onnx")))).toEqual(whole.done.student);
    }
    expect(JSON.parse(readFileSync(join(out, "run.json"), "utf8")).metrics).toEqual(whole.done.metrics);
  });

  it("refuses other words", async () => {
    await expect(run({ keep: "worst" as "last" })).rejects.toThrow(
      'distill: keep "worst" is not known. Known: best, last.',
    );
  });
});

/** The data, whose tenth batch stops the run. */
function stopping(stop: AbortController): NonNullable<DistillOptions["data"]> {
  const { data } = base;
  let reads = 0;
  return {
    ...data,
    read: (indices) => {
      if (++reads === 10) stop.abort();
      return data.read(indices);
    },
  };
}
