// A teacher asked once for several runs: the same bits as by themselves, and nothing shared that is not the same.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Dataset } from "../../src/data/dataset.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";
import {
  CenteredKernelAlignmentStrategy,
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { SharedTeacherOutputs } from "../../src/train/shared-teacher-outputs.ts";
import { modelTeacher } from "../../src/train/teacher.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "shared-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const [data, evaluation] = [bars(64, 1), bars(20, 2)];
const taps = [{ name: "map", teacher: "/Clip_output_0", student: "/Clip_output_0" }];
const base: DistillOptions = { student: cnn, teacher: cnn, data, evaluation, epochs: 2, batch: 16 };

/** A teacher that counts the samples that it was asked for. */
async function counting(): Promise<{ teacher: NonNullable<DistillOptions["teacher"]>; asked: () => number }> {
  const model = await modelTeacher(
    await readModelFile(cnn),
    createNodeRuntime({ threads: 1 }),
    data,
    taps.map(({ name, teacher }) => ({ name, teacher })),
  );
  let asked = 0;
  return {
    teacher: (inputs) => {
      asked += inputs[0]?.dims[0] as number;
      return model.run(inputs);
    },
    asked: () => asked,
  };
}

const run = async (more: Partial<DistillOptions>) => {
  const events = await collect({ ...base, ...more });
  const [start] = only(events, "start");
  const [done] = only(events, "done");
  return { notes: [...start!.notes, ...done!.notes], student: done!.student, metrics: done!.metrics };
};

describe("runs that share what their teacher says", () => {
  it("ask it once, also for how good it is, and end with the bits of runs by themselves", async () => {
    const { teacher, asked } = await counting();
    const teacherOutputs = new SharedTeacherOutputs();
    const strategies = [
      new ResponseDistillationStrategy(),
      new NeuronSelectivityDistillationStrategy({ targetLayerName: "map" }),
      new NeuronSelectivityDistillationStrategy({ targetLayerName: "map", target: "dataset" }),
      new CenteredKernelAlignmentStrategy({ targetLayerName: "map" }),
    ];
    for (const [i, strategy] of strategies.entries()) {
      const withTaps = i > 0 ? { taps } : {};
      const before = asked();
      const together = await run({ teacher, strategy, ...withTaps, seed: i, teacherOutputs });
      // The probe of 16 samples comes before anything is known to be shared.
      expect(asked() - before).toBe(i < 2 ? 16 + 20 + 64 : 16);
      const alone = await run({ teacher, strategy, ...withTaps, seed: i });
      expect(together.student).toEqual(alone.student);
      expect(together.metrics).toEqual(alone.metrics);
    }
    teacherOutputs.close();
  });

  it("say so, and what that saved", async () => {
    const teacherOutputs = new SharedTeacherOutputs();
    const first = await run({ teacherOutputs });
    expect(first.notes.join()).toMatch(
      /computed once and kept in memory.*answered for 64 samples instead of 128/,
    );
    expect(teacherOutputs.bytesInMemory).toBe(64 * 5 * 4);
    const second = await run({ seed: 3, teacherOutputs });
    expect(second.notes.join()).toMatch(
      /are those that an earlier run has kept.*was not asked.* 128 samples/,
    );
    // Also one of a single epoch, which by itself would keep nothing.
    expect((await run({ epochs: 1, teacherOutputs })).notes.join()).toContain("an earlier run has kept");
    teacherOutputs.close();
    expect(teacherOutputs.bytesInMemory).toBe(0);
    expect((await run({ teacherOutputs })).notes.join()).toContain("computed once");
  });

  it("share nothing where data, taps, batch, type, runtime or the seed of augmentation differ", async () => {
    const { teacher, asked } = await counting();
    const teacherOutputs = new SharedTeacherOutputs();
    const others: Partial<DistillOptions>[] = [
      {},
      { data: bars(64, 1) },
      { batch: 8 },
      { teacherCacheType: "float16" },
      { taps, strategy: new CenteredKernelAlignmentStrategy({ targetLayerName: "map" }) },
      { augment: { flip: true, variants: 1 } },
      { augment: { flip: true, variants: 1 }, seed: 1 },
      { teacherCache: "off" },
      { runtime: createNodeRuntime({ optimization: "none" }) },
    ];
    for (const more of others) {
      const before = asked();
      await run({ teacher, teacherOutputs, ...more });
      expect(asked() - before, JSON.stringify(Object.keys(more))).toBeGreaterThanOrEqual(64);
    }
    const before = asked();
    await run({ teacher, teacherOutputs, augment: { flip: true, variants: 1 }, seed: 1 });
    expect(asked() - before).toBe(16);
    teacherOutputs.close();
  });

  it("keep files where they are told to until they are closed, and count memory together", async () => {
    const teacherOutputs = new SharedTeacherOutputs({ folder });
    const bytes = 64 * 5 * 4;
    await run({ teacherOutputs, teacherCacheBytes: bytes });
    expect(readdirSync(folder)).toEqual([]);
    await run({ teacherOutputs, teacherCacheBytes: bytes, batch: 8 });
    expect(readdirSync(folder)).toHaveLength(1);
    const again = await run({ teacherOutputs, batch: 8 });
    expect(again.notes.join()).toContain("an earlier run has kept");
    teacherOutputs.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  it("keep nothing of a run that was interrupted while it asked", async () => {
    const stop = new AbortController();
    const slow: Dataset = {
      ...data,
      read: (indices) => {
        if (indices[0] === 32) stop.abort();
        return data.read(indices);
      },
    };
    const teacherOutputs = new SharedTeacherOutputs();
    await run({ data: slow, evaluation: undefined, teacherOutputs, signal: stop.signal });
    expect(teacherOutputs.bytesInMemory).toBe(0);
    const whole = await run({ data: slow, evaluation: undefined, teacherOutputs });
    expect(whole.notes.join()).toContain("computed once");
    teacherOutputs.close();
  });
});
