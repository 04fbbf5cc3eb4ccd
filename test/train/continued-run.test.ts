// A finished run that is given more epochs, an interrupted one that is given fewer, and what moves over a run meanwhile.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { CombinedDistillationStrategy, ResponseDistillationStrategy } from "../../src/strategies/index.ts";
import { distill } from "../../src/train/distill.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { randomTensor, smallStudent } from "../compile/compile-model.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "continued-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

/** Four steps an epoch. */
const base: DistillOptions = {
  student: cnn,
  data: bars(64, 1),
  evaluation: bars(40, 2),
  batch: 16,
  learningRate: 0.05,
  schedule: { schedule: "constant" },
};

const runJson = (out: string) => JSON.parse(readFileSync(join(out, "run.json"), "utf8"));
const state = (out: string): Buffer[] =>
  readdirSync(join(out, "checkpoints")).map((name) =>
    readFileSync(join(out, "checkpoints", name, "state.bin")),
  );
const metrics = (out: string): string[] =>
  readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
const withoutTime = (line: string) => {
  const { msPerSample: _, ...rest } = JSON.parse(line);
  return rest;
};

describe("more epochs", () => {
  it.each(["best", "last"] as const)(
    "at a constant rate end in the bits of all at once, keep %s",
    async (keep) => {
      const [out, whole] = [at(`more-${keep}`), at(`whole-${keep}`)];
      const options = { ...base, keep, optimizer: { name: "adamw" } } as const;
      await collect({ ...options, out, epochs: 2 });
      const before = runJson(out);
      const rest = await collect({ ...options, out, epochs: 4, resume: true });
      const all = only(await collect({ ...options, out: whole, epochs: 4 }), "done")[0]!;
      const [start] = only(rest, "start");
      expect(start).toMatchObject({ resumedAt: 8, steps: 16, epochs: 4 });
      expect(start!.notes[0]).toBe("goes on to 4 epochs, begun with 2");
      expect(start!.notes.filter((n) => n.includes("learning rate"))).toEqual([]);
      const [done] = only(rest, "done");
      expect(new Uint8Array(done!.student)).toEqual(new Uint8Array(all.student));
      expect(done!.metrics).toEqual(all.metrics);
      expect(new Uint8Array(readFileSync(join(out, "student.onnx")))).toEqual(new Uint8Array(all.student));
      expect(state(out)).toEqual(state(whole));
      expect(
        metrics(out)
          .filter((l) => l.includes("evaluation"))
          .map(withoutTime),
      ).toEqual(
        metrics(whole)
          .filter((l) => l.includes("evaluation"))
          .map(withoutTime),
      );
      const after = runJson(out);
      expect(before.finished).toBeDefined();
      expect(after).toMatchObject({ config: { epochs: 4 }, steps: 16, bestStep: runJson(whole).bestStep });
      expect(after.finished).not.toBe(before.finished);
      expect(after.continued).toMatchObject([{ step: 8, epochs: 4, epochsBefore: 2 }]);
      await collect({ ...options, out, epochs: 5, resume: true });
      expect(runJson(out).continued).toMatchObject([{ step: 8 }, { step: 16, epochs: 5, epochsBefore: 4 }]);
    },
  );

  it("a rate that ends elsewhere is that of the new number from there on, and the run says so", async () => {
    const out = at("cosine");
    const options = { ...base, schedule: { schedule: "cosine" } } as const;
    await collect({ ...options, out, epochs: 1 });
    const rest = await collect({ ...options, out, epochs: 2, resume: true });
    const cosine = (step: number, steps: number): number => 0.025 * (1 + Math.cos((Math.PI * step) / steps));
    expect(only(rest, "step").map((e) => e.learningRate)).toEqual([4, 5, 6, 7].map((s) => cosine(s, 8)));
    expect(only(rest, "start")[0]!.notes.slice(0, 2)).toEqual([
      "goes on to 2 epochs, begun with 1",
      "the learning rate (cosine) is that of 2 epochs from step 5 on: from 0.00732 to 0.025",
    ]);
  });

  it("so is the weight of a loss that moves", async () => {
    const out = at("weights");
    const strategy = new CombinedDistillationStrategy([
      { strategy: new ResponseDistillationStrategy(), schedule: { decay: "linear" } },
    ]);
    const options = { ...base, teacher: cnn, strategy };
    await collect({ ...options, out, epochs: 1 });
    const { notes } = only(await collect({ ...options, out, epochs: 2, resume: true }), "start")[0]!;
    expect(notes).toContain("the factor of loss/soft is that of 2 epochs from step 5 on: from 0.25 to 0.5");
  });
});

describe("fewer epochs", () => {
  it("end an interrupted run sooner, and are refused where it is past them", async () => {
    const out = at("fewer");
    const stop = new AbortController();
    const data: DistillOptions["data"] = {
      ...base.data,
      read: (samples) => {
        if (++reads > 7) stop.abort();
        return base.data.read(samples);
      },
    };
    let reads = 0;
    const [cut] = only(
      await collect({ ...base, data, out, epochs: 4, keep: "last", signal: stop.signal }),
      "done",
    );
    expect(cut!.interrupted).toBe(true);
    expect(cut!.step).toBeGreaterThan(4);
    await expect(collect({ ...base, out, epochs: 1, keep: "last", resume: true })).rejects.toThrow(
      `${out} has done ${cut!.step} steps, epochs 1 would end after 4; resume with more (--epochs), or start a new run`,
    );
    expect(runJson(out).config.epochs, "a refusal changes nothing").toBe(4);
    const [done] = only(await collect({ ...base, out, epochs: 2, keep: "last", resume: true }), "done");
    const [whole] = only(await collect({ ...base, epochs: 2, keep: "last" }), "done");
    expect(new Uint8Array(done!.student)).toEqual(new Uint8Array(whole!.student));
    expect(runJson(out).continued).toMatchObject([{ epochs: 2, epochsBefore: 4 }]);
  });

  it("a longer run that is stopped in the middle does not take the end before for its last student", async () => {
    const out = at("cut");
    await collect({ ...base, out, epochs: 1, keep: "last" });
    const stop = new AbortController();
    let steps = 0;
    const options = { ...base, out, keep: "last", resume: true } as const;
    const gone = await (async () => {
      const { distill } = await import("../../src/train/distill.ts");
      for await (const e of distill({ ...options, epochs: 3, signal: stop.signal })) {
        if (e.type === "step" && ++steps === 4) stop.abort();
        if (e.type === "done") return e;
      }
      return undefined;
    })();
    expect(gone).toMatchObject({ interrupted: true, step: 8 });
    const [done] = only(await collect({ ...options, epochs: 2 }), "done");
    const [whole] = only(await collect({ ...base, epochs: 2, keep: "last" }), "done");
    expect(new Uint8Array(done!.student)).toEqual(new Uint8Array(whole!.student));
    expect(new Uint8Array(gone!.student)).toEqual(new Uint8Array(whole!.student));
  });
});

it("a run whose metric is infinite, because a class is ruled out, goes on to the same bits", async () => {
  const student = smallStudent(
    [8, 3],
    {
      w: randomTensor(1, [3, 3]),
      mask: tensor("float32", [0, 0, -Infinity]),
    },
    [
      { op: "MatMul", inputs: ["x", "w"], output: "product" },
      { op: "Add", inputs: ["product", "mask"], output: "logits" },
    ],
  );
  const inputs = [randomTensor(2, [8, 3])];
  const options: DistillOptions = {
    student,
    data: arrayDataset({ inputs, labels: Int32Array.from({ length: 8 }, (_, i) => i % 2) }),
    evaluation: arrayDataset({ inputs, labels: Int32Array.from({ length: 8 }, (_, i) => i % 3) }),
    batch: 8,
    epochs: 5,
    monitor: "loss",
  };
  const out = at("infinite");
  const all = only(await collect(options), "done")[0]!;
  expect(all.metrics.loss).toBe(Infinity);
  const stop = new AbortController();
  for await (const e of distill({ ...options, out, signal: stop.signal }))
    if (e.type === "step" && e.step === 3) stop.abort();
  const [done] = only(await collect({ ...options, out, resume: true }), "done");
  expect(done!.metrics).toEqual(all.metrics);
  expect(new Uint8Array(done!.student)).toEqual(new Uint8Array(all.student));
  expect(metrics(out).map((l) => JSON.parse(l).loss)).toContain("Infinity");
});
