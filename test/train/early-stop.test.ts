// A run that ends early: what counts as a gain, that resuming counts on, and what is kept.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EarlyStop } from "../../src/train/early-stop.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "stop-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** After which epoch a run with these figures ends. */
function endOf(
  values: readonly number[],
  patience: number,
  minDelta: number,
  better: "higher" | "lower" = "higher",
) {
  const schedule = { stepsPerEpoch: 3, steps: 3 * values.length };
  const stop = new EarlyStop({ patience, minDelta }, schedule, undefined);
  for (const [i, v] of values.entries()) {
    stop.see(v, better, 3 * (i + 1));
    if (stop.isDue(3 * (i + 1))) return i + 1;
  }
  return undefined;
}

describe("a gain", () => {
  it.each<[number[], number, number, "higher" | "lower", number | undefined]>([
    [[0.5, 0.6, 0.6, 0.6, 0.9], 2, 0, "higher", 4],
    [[0.5, 0.6, 0.55, 0.61, 0.6, 0.62], 2, 0, "higher", undefined],
    [[0.5, 0.52, 0.54, 0.56, 0.58], 2, 0.03, "higher", undefined],
    [[0.5, 0.51, 0.52, 0.53, 0.9], 2, 0.03, "higher", 3],
    [[3, 2, 2.5, 2, 1], 2, 0, "lower", 4],
    [[0.1 + 0.2, 0.3, 0.1 + 0.2], 2, 0, "higher", 3],
    [[1, Number.NaN, Number.NaN, 2], 2, 0, "lower", 3],
    [[Number.NaN, 1, 2], 1, 0, "lower", 3],
    [[Infinity, Infinity, Infinity, 1], 2, 0, "lower", 3],
    [[Infinity, Infinity, 1, 1, 1], 2, 0, "lower", 5],
    [[0.5, 0.4], 1, 0, "higher", 2],
  ])("%j, patience %i, minDelta %f, %s: ends after %s", (values, patience, minDelta, better, end) => {
    expect(endOf(values, patience, minDelta, better)).toBe(end);
  });
});

describe("a run", () => {
  /** At rate 0 nothing moves, so that no epoch gains on the first. */
  const base: DistillOptions = {
    student: cnn,
    data: bars(32, 1),
    evaluation: bars(40, 2),
    batch: 16,
    learningRate: 0,
    optimizer: { name: "sgd", momentum: 0, weightDecay: 0 },
    batchNorm: "frozen",
    epochs: 9,
    patience: 3,
  };

  it.each(["best", "last"] as const)(
    "ends, says so, is finished, and is not begun again: keep %s",
    async (keep) => {
      const out = join(folder, keep);
      const events = await collect({ ...base, keep, out });
      const done = only(events, "done")[0]!;
      expect(done).toMatchObject({ step: 8, interrupted: false });
      expect(done.notes.at(-1)).toBe(
        "ended after epoch 4 of 9: 3 evaluations in a row without a gain on epoch 1",
      );
      expect(new Uint8Array(readFileSync(join(out, "student.onnx")))).toEqual(new Uint8Array(done.student));
      expect(JSON.parse(readFileSync(join(out, "run.json"), "utf8"))).toMatchObject({ steps: 8 });
      const again = await collect({ ...base, keep, out, resume: true });
      expect(only(again, "step")).toEqual([]);
      expect(only(again, "done")[0]).toMatchObject({
        step: 8,
        notes: [done.notes.at(-1)],
        metrics: done.metrics,
      });
    },
  );

  it("counts on where it was interrupted", async () => {
    const out = join(folder, "resumed");
    const stop = new AbortController();
    const { distill } = await import("../../src/train/distill.ts");
    for await (const e of distill({ ...base, out, signal: stop.signal }))
      if (e.type === "step" && e.step === 5) stop.abort();
    const rest = await collect({ ...base, out, resume: true });
    expect(only(rest, "done")[0]).toMatchObject({ step: 8, interrupted: false });
  });

  it.each<[Partial<DistillOptions>, string]>([
    [{ patience: 0 }, "distill: patience must be a whole number >= 1, got 0"],
    [{ minDelta: -1 }, "distill: minDelta must be a finite number >= 0, got -1"],
    [
      { patience: undefined, minDelta: 0.1 },
      "distill: minDelta (--min-delta) belongs to patience; give both",
    ],
    [
      { evaluation: undefined },
      "distill: patience (--patience) counts evaluations, and there is nothing to evaluate on; give evaluation (--eval-data), or leave it out",
    ],
  ])("refuses %j", async (options, message) => {
    await expect(collect({ ...base, ...options })).rejects.toThrow(message);
  });
});
