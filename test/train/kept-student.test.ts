// Which student a run ends with: the best evaluated one, or the last, whole, interrupted and resumed.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readModel } from "../../src/onnx/read-model.ts";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";
import { evaluateModel } from "../../src/train/evaluate-model.ts";
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
      'distill: keep "worst" is not known. Did you mean "best" or "last"? Known: best, last.',
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
