// A student without normalisation, trained with BatchNormalization that its file never sees.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { subset } from "../../src/data/array-dataset.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { openDataset } from "../../src/data/open-dataset.ts";
import * as nn from "../../src/nn/index.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { distill } from "../../src/train/distill.ts";
import { evaluateModel } from "../../src/train/evaluate-model.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "batch-norm-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let data: Dataset;
let evaluation: Dataset;
const first = (dataset: Dataset, n: number) =>
  subset(
    dataset,
    Uint32Array.from({ length: n }, (_, i) => i),
  );
beforeAll(async () => {
  const scaling = { mean: 0.286, std: 0.353 };
  const assets = join(import.meta.dirname, "../../assets/fashion-mnist");
  data = first(await openDataset(assets, { split: "train", ...scaling }), 640);
  evaluation = first(await openDataset(assets, { split: "test", ...scaling }), 300);
});

/** Five convolutions in a row, as an exporter leaves them after folding. */
const student = (): Model =>
  nn.buildModel(
    { input: { name: "image", dims: ["batch", 1, 28, 28] }, seed: 0, name: "plain.onnx" },
    nn.sequential(
      ...[4, 8, 8, 16, 16].flatMap((filters, i) => [
        nn.conv(filters, 3, { padding: 1, stride: i % 2 === 1 ? 2 : 1, bias: i !== 2 }),
        nn.relu(),
      ]),
      nn.globalAveragePool(),
      nn.linear(10),
    ),
  );

const options = (o: Partial<DistillOptions>): DistillOptions => ({
  student: student(),
  data,
  evaluation,
  batch: 32,
  epochs: 3,
  learningRate: 0.1,
  seed: 1,
  init: "xavier",
  ...o,
});

describe("insertBatchNorm", () => {
  it("trains what does not train without it, and the file measures as the run did", async () => {
    const top1 = async (o: Partial<DistillOptions>) => {
      const [done] = only(await collect(options(o)), "done");
      const exported = readModel(done!.student);
      const again = await evaluateModel(exported, evaluation, { runtime: nodeRuntime, batch: 32 });
      expect(again.metrics.top1).toBe(done!.metrics.top1);
      expect(exported.graph.nodes.map((n) => n.op)).toEqual(student().graph.nodes.map((n) => n.op));
      return done!.metrics.top1!;
    };
    const [without, with_] = [await top1({}), await top1({ insertBatchNorm: true })];
    // Seen: 0.17 and 0.57.
    expect(without).toBeLessThan(0.3);
    expect(with_).toBeGreaterThan(0.45);
  });

  it("resumes to the same bits", async () => {
    const o = options({ insertBatchNorm: true, epochs: 2, data: first(data, 160), init: "keep" });
    const whole = only(await collect({ ...o, out: join(folder, "whole") }), "done")[0]!;
    const out = join(folder, "parts");
    const stop = new AbortController();
    for await (const e of distill({ ...o, out, signal: stop.signal }))
      if (e.type === "step" && e.step === 3) stop.abort();
    const rest = await collect({ ...o, out, resume: true });
    expect(only(rest, "start")[0]!.resumedAt).toBe(3);
    expect(only(rest, "done")[0]!.student).toEqual(whole.student);
    await expect(collect({ ...o, out, resume: true, insertBatchNorm: false })).rejects.toThrow(
      `${out} was begun with insertBatchNorm true, now it is false; resume with the same options, or start a new run`,
    );
  });

  it("needs statistics that are trained", async () => {
    await expect(collect(options({ insertBatchNorm: true, batchNorm: "frozen" }))).rejects.toThrow(
      'distill: insertBatchNorm needs batchNorm "train": with frozen statistics it changes nothing',
    );
  });
});

describe("init", () => {
  const initial = async (o: Partial<DistillOptions>) => {
    const out = join(folder, JSON.stringify(o).replace(/\W/g, ""));
    const events = await collect(options({ epochs: 1, data: first(data, 64), out, ...o }));
    return { bytes: readFileSync(join(out, "initial.onnx")), notes: only(events, "start")[0]!.notes };
  };

  it("is the same for the same seed, and the run keeps the student it began with", async () => {
    const [a, again, other] = [
      await initial({ seed: 1 }),
      await initial({ seed: 1, logEvery: 1 }),
      await initial({ seed: 2 }),
    ];
    expect(again.bytes).toEqual(a.bytes);
    expect(other.bytes).not.toEqual(a.bytes);
    expect(a.notes).toContain("fresh weights (xavier, seed 1) in 11 constants");
  });

  it("refuses what it does not know", async () => {
    await expect(collect(options({ init: "xaviar" as never }))).rejects.toThrow(
      'distill: init "xaviar" is not known. Did you mean "xavier"? Known: keep, kaiming, xavier, trunc-normal.',
    );
  });
});
