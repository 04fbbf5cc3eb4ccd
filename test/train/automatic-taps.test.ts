// taps: "auto", and a strategy that compares taps where none are named.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { buildModel } from "../../src/nn/build-model.ts";
import * as nn from "../../src/nn/index.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import {
  AttentionTransferStrategy,
  CenteredKernelAlignmentStrategy,
  CombinedDistillationStrategy,
  IntermediateActivations,
  type Matrix,
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { bars, collect, only } from "./helpers.ts";

/** Two resolutions, 8×8 and 4×4, with the given numbers of neurons; `deep` convolutions at each. */
const cnn = (seed: number, deep: number, ...widths: [number, number]) =>
  modelBytes(
    buildModel(
      { input: { name: "x", dims: ["n", 1, 16, 16] }, seed },
      nn.sequential(
        ...widths.flatMap((width, stage) => [
          nn.conv(width, 3, { padding: 1, stride: 2 }),
          ...Array.from({ length: deep - 1 }, () => [nn.relu(), nn.conv(width, 3, { padding: 1 })]).flat(),
          nn.relu({ name: `stage${stage}` }),
        ]),
        nn.globalAveragePool(),
        nn.linear(5),
      ),
    ),
  );

const data = bars(64, 5);
const teacher = cnn(1, 3, 6, 8);
const student = cnn(2, 1, 6, 8);
const base = {
  data,
  batch: 16,
  epochs: 1,
  learningRate: 0.05,
  seed: 3,
  teacher,
  student,
} satisfies DistillOptions;
const chosen = [
  { name: "stage0", teacher: "stage0", student: "stage0" },
  { name: "stage1", teacher: "stage1", student: "stage1" },
];
const folder = mkdtempSync(join(tmpdir(), "auto-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('taps: "auto"', () => {
  it("compares the ends of each resolution, says so before training, and trains like the same taps named", async () => {
    const out = join(folder, "auto");
    const strategy = new CombinedDistillationStrategy([
      { strategy: new ResponseDistillationStrategy() },
      { strategy: new AttentionTransferStrategy() },
    ]);
    const events = await collect({ ...base, strategy, taps: "auto", out });
    const start = only(events, "start")[0];
    expect(start?.taps).toEqual(chosen);
    expect(start?.notes.filter((n) => n.startsWith("tap"))).toEqual([
      'tap "stage0" was chosen (--tap names others): [6,8,8] of the student at depth 0.50, beside the teacher\'s "stage0", [6,8,8] at depth 0.50',
      'tap "stage1" was chosen (--tap names others): [8,4,4] of the student at depth 1.00, beside the teacher\'s "stage1", [8,4,4] at depth 1.00',
    ]);
    expect(JSON.parse(readFileSync(join(out, "run.json"), "utf8")).config).toMatchObject({
      automaticTaps: true,
      taps: chosen,
    });
    expect(Object.keys(only(events, "step")[0]?.losses ?? {})).toContain("loss/at/stage1");
    const named = await collect({ ...base, strategy, taps: chosen });
    expect(only(named, "done")[0]?.student).toEqual(only(events, "done")[0]?.student);
  });

  it("are one, at two thirds of the depth, where nothing is said of how to compare, and for CKA alone", async () => {
    const start = async (o: Partial<DistillOptions>) => only(await collect({ ...base, ...o }), "start")[0];
    expect((await start({ taps: "auto" }))?.taps).toEqual(chosen.slice(0, 1));
    const cka = new CenteredKernelAlignmentStrategy();
    expect((await start({ strategy: cka, taps: "auto" }))?.taps).toEqual(chosen.slice(0, 1));
    const more = new CombinedDistillationStrategy([
      { strategy: cka },
      { strategy: new AttentionTransferStrategy() },
    ]);
    expect((await start({ strategy: more, taps: "auto" }))?.taps).toEqual(chosen);
  });

  it("is the default of a strategy that compares taps, and of no other", async () => {
    const strategy = new NeuronSelectivityDistillationStrategy({ selectivityWeight: 1 });
    const start = async (o: Partial<DistillOptions>) => only(await collect({ ...base, ...o }), "start")[0];
    expect((await start({ strategy }))?.taps).toEqual(chosen);
    expect((await start({ strategy, taps: [] }))?.taps).toEqual([]);
    expect((await start({}))?.taps).toEqual([]);
  });

  it("pairs equal numbers of neurons where the loss compares no others, and says where there are none", async () => {
    const equal = { ...base, strategy: new NeuronSelectivityDistillationStrategy(), taps: "auto" } as const;
    const start = only(await collect({ ...equal, student: cnn(2, 1, 5, 8) }), "start")[0];
    expect(start?.taps).toEqual(chosen.slice(1));
    await expect(collect({ ...equal, student: cnn(2, 1, 5, 7) })).rejects.toThrow(
      "no taps could be chosen for the teacher teacher and the student student: they have 6, 8 and 5, 7 neurons at the places worth comparing, and this strategy compares equal numbers; name values with --tap teacher:student (`onnx-distill inspect` lists them), or accept unequal numbers with",
    );
  });

  it("pairs unequal numbers for a strategy on arrays only where there are no equal ones", async () => {
    class Widths extends NeuronSelectivityDistillationStrategy {
      readonly seen: string[] = [];
      override computeIntermediateLoss(): number {
        return 0;
      }
      override computeIntermediateGradient(
        ...[s, t]: Parameters<NeuronSelectivityDistillationStrategy["computeIntermediateGradient"]>
      ) {
        const width = (m: unknown) => (m as Matrix).columns;
        for (const name of s.names()) this.seen.push(`${name} ${width(s.get(name))} ${width(t.get(name))}`);
        return new IntermediateActivations();
      }
    }
    const strategy = new Widths();
    await collect({ ...base, data: bars(16, 1), student: cnn(2, 1, 5, 7), strategy });
    expect(strategy.seen).toEqual(["stage0 5 6", "stage1 7 8"]);
  });

  it("needs a teacher that is a model", async () => {
    const call = () => {
      throw new Error("not reached");
    };
    await expect(collect({ ...base, teacher: call, taps: "auto" })).rejects.toThrow(
      'distill: taps "auto" need a teacher that is a model; name what the teacher function gives: taps: [{ teacher: "…", student: "…" }]',
    );
  });
});
