// The step in a worker thread, and the batch that is got ready meanwhile: held to the same run without the worker.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import type { Dataset } from "../../src/data/dataset.ts";
import { buildModel, nn } from "../../src/index.ts";
import { defineGraphStrategy } from "../../src/losses/graph-strategy.ts";
import { createNodeRuntime, nodeRuntime } from "../../src/runtime/ort-node.ts";
import { NeuronSelectivityDistillationStrategy } from "../../src/strategies/index.ts";
import { distill } from "../../src/train/distill.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "worker-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => vi.doUnmock("node:worker_threads"));

const taps = [{ name: "features", teacher: "/Clip_output_0", student: "/Clip_output_0" }];
const data = bars(128, 1);
const base = {
  student: cnn,
  teacher: cnn,
  taps,
  data,
  batch: 32,
  epochs: 2,
  learningRate: 0.05,
  seed: 3,
} satisfies DistillOptions;
const supervised = { student: cnn, data, batch: 32, epochs: 2, learningRate: 0.05 } satisfies DistillOptions;

/** What a run said and made. */
async function outcome(options: DistillOptions) {
  const events = await collect(options);
  const { seconds, notes, ...done } = only(events, "done")[0]!;
  return { steps: only(events, "step"), evaluations: only(events, "evaluation").map((e) => e.metrics), done };
}

class OnArrays extends NeuronSelectivityDistillationStrategy {}

const withDropout = buildModel(
  { input: { name: "input", dims: ["batch", 1, 16, 16] }, seed: 5 },
  nn.sequential(nn.conv(6, 3, { stride: 2 }), nn.relu(), nn.dropout(0.3), nn.flatten(), nn.linear(5)),
);

describe("a step in a worker gives the same bits", () => {
  const cases: Record<string, DistillOptions> = {
    "from labels": { ...supervised, evaluation: bars(60, 2) },
    "with dropout": { ...supervised, student: withDropout },
    "with a teacher that is kept": { ...base, evaluation: bars(60, 2) },
    "with one that is asked, and augmentation": { ...base, augment: { flip: true, crop: 1 } },
    "with a function for a teacher": {
      ...base,
      taps: [],
      teacher: ([x]) => ({
        logits: {
          dtype: "float32",
          dims: [x!.dims[0]!, 5],
          data: new Float32Array(x!.dims[0]! * 5).fill(0.5),
        },
      }),
    },
    "with a strategy on arrays": {
      ...base,
      strategy: new OnArrays({ targetLayerName: "features", selectivityWeight: 2 }),
    },
    "with one written in the graph": {
      ...base,
      taps: [],
      strategy: defineGraphStrategy({
        name: "distance",
        loss: ({ b, studentLogits: s, teacherLogits: t }) => ({ gap: b.reduceMean(b.square(b.sub(s, t))) }),
      }),
    },
    "with a loss that is measured before and between steps": {
      ...base,
      strategy: new NeuronSelectivityDistillationStrategy({
        targetLayerName: "features",
        selectivityWeight: 1,
        match: "assignment",
        assignmentEvery: 3,
        momentum: 0.5,
      }),
    },
  };
  for (const [name, options] of Object.entries(cases))
    it(name, async () => {
      const here = await outcome({ ...options, worker: false });
      expect(here.steps).toHaveLength(8);
      expect(await outcome({ ...options, worker: true })).toEqual(here);
    });

  it("after an interruption, too, whichever part had the worker", async () => {
    const options = { ...base, augment: { flip: true, crop: 1 } };
    const whole = await outcome({ ...options, worker: false, out: join(folder, "whole") });
    for (const worker of [true, false]) {
      const out = join(folder, `parts-${worker}`);
      const stop = new AbortController();
      for await (const e of distill({ ...options, worker, out, signal: stop.signal }))
        if (e.type === "step" && e.step === 2) stop.abort();
      const rest = await outcome({ ...options, worker: !worker, out, resume: true });
      expect(rest.done.student).toEqual(whole.done.student);
      expect(rest.steps).toEqual(whole.steps.slice(2));
    }
  });

  it("and a step that diverges leaves the state before it", async () => {
    const end = async (worker: boolean) => {
      const out = join(folder, `diverged-${worker}`);
      const refused = await collect({ ...supervised, learningRate: 1e30, out, worker }).catch(
        (e: Error) => e,
      );
      const at = /at step (\d+)/.exec((refused as Error).message)?.[1];
      const state = readFileSync(join(out, "checkpoints", `step-${Number(at) - 1}`, "state.bin"));
      return { message: (refused as Error).message.replace(out, ""), state };
    };
    expect(await end(true)).toEqual(await end(false));
  });
});

describe("the next batch", () => {
  /** Reads that take a while; what is begun and what is told, in order. */
  function slow(events: string[], o: { failAt?: number } = {}): Dataset {
    let reads = 0;
    let open = 0;
    return {
      ...data,
      async read(indices) {
        const n = reads++;
        if (++open > 1) events.push("two at once");
        events.push(`read ${n}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
        open--;
        if (n === o.failAt) throw new Error("the disk is gone");
        return data.read(indices);
      },
    };
  }
  const follow = async (options: DistillOptions, events: string[]) => {
    for await (const e of distill(options)) if (e.type === "step") events.push(`step ${e.step}`);
  };
  // The first read is that of the preparation.
  const order = ["read 0", "read 1", "read 2", "step 1", "read 3", "step 2", "read 4", "step 3", "step 4"];

  for (const worker of [true, false])
    it(`is read during the step, one and within the epoch, worker: ${worker}`, async () => {
      const events: string[] = [];
      await follow({ ...supervised, epochs: 1, data: slow(events), worker }, events);
      expect(events).toEqual(order);
    });

  it("fails when its turn comes", async () => {
    const events: string[] = [];
    const run = follow({ ...supervised, epochs: 1, data: slow(events, { failAt: 3 }), worker: true }, events);
    await expect(run).rejects.toThrow("the disk is gone");
    expect(events).toEqual(order.slice(0, 6));
  });

  it("is waited for where the run is left before it is needed", async () => {
    const events: string[] = [];
    const slowly = slow(events);
    const read = async (indices: ArrayLike<number>) => {
      const batch = await slowly.read(indices);
      events.push("has read");
      return batch;
    };
    for await (const e of distill({ ...supervised, data: { ...slowly, read }, worker: true }))
      if (e.type === "step") break;
    expect(events.filter((e) => e === "has read")).toHaveLength(3);
  });
});

describe("where the step runs", () => {
  it("stays with a runtime of somebody's own", async () => {
    let runs = 0;
    const counted = {
      ...nodeRuntime,
      load: async (...given: Parameters<typeof nodeRuntime.load>) => {
        const session = await nodeRuntime.load(...given);
        return {
          ...session,
          run: (...of: Parameters<typeof session.run>) => {
            if (session.outputs.some((o) => o.name === "losses")) runs++;
            return session.run(...of);
          },
        };
      },
    };
    await collect({ ...supervised, runtime: counted, worker: true });
    expect(runs).toBe(8);
  });

  it("is this thread, with a note, where no worker can be started", async () => {
    const here = await outcome({ ...supervised, worker: false });
    const real = await import("node:worker_threads");
    const failing = {
      "no thread for you": class {
        constructor() {
          throw new Error("no thread for you");
        }
      },
      "no ONNX Runtime": class extends real.Worker {
        constructor() {
          super('throw new Error("no ONNX Runtime")', { eval: true });
        }
      },
      "the worker thread has ended with code 3": class extends real.Worker {
        constructor() {
          super("process.exit(3)", { eval: true });
        }
      },
    };
    for (const [why, Worker] of Object.entries(failing)) {
      vi.doMock("node:worker_threads", () => ({ ...real, Worker }));
      const events = await collect({ ...supervised, worker: true });
      expect(only(events, "start")[0]!.notes).toContain(
        `steps are computed in the main thread, because no worker could be started: ${why}`,
      );
      expect(only(events, "step")).toEqual(here.steps);
      expect(only(events, "done")[0]!.student).toEqual(here.done.student);
    }
  });

  it("is a worker by itself where a step is long enough", async () => {
    const real = await import("node:worker_threads");
    let started = 0;
    class Worker extends real.Worker {
      constructor(...given: ConstructorParameters<typeof real.Worker>) {
        super(...given);
        started++;
      }
    }
    vi.doMock("node:worker_threads", () => ({ ...real, Worker }));
    const runtime = createNodeRuntime({ threads: 1 });
    await collect({ ...supervised, epochs: 1, runtime });
    expect(started).toBe(0);
    const wide = buildModel(
      { input: { name: "input", dims: ["batch", 1, 16, 16] }, seed: 5 },
      // Many values, and little to compute.
      nn.sequential(
        nn.conv(64, 1),
        ...Array.from({ length: 16 }, () => nn.gelu()),
        nn.globalAveragePool(),
        nn.linear(5),
      ),
    );
    const long = { ...supervised, student: wide, batch: 128, epochs: 1, learningRate: 0.001, runtime };
    await collect(long);
    expect(started).toBe(1);
    await collect({ ...long, worker: false });
    expect(started).toBe(1);
  });
});

describe.skipIf(!existsSync("/proc/self/task"))("a process whose run is left", () => {
  const child = async (how: string) => {
    const args = ["--import", "tsx", join(import.meta.dirname, "worker-child.ts"), how];
    const done = await promisify(execFile)(process.execPath, args, { timeout: 30_000 }).catch((e) => e);
    return { code: done.code ?? 0, signal: done.signal ?? null, out: done.stdout.trim(), err: done.stderr };
  };
  it.each([
    ["at its end", "end", 0, "left 0 threads"],
    ["by break", "break", 0, "left 0 threads"],
    ["and forgotten", "abandon", 0, /^abandoned\nleft \d+ threads$/],
    ["by process.exit during a step", "exit", 7, ""],
  ])("%s ends by itself", async (_, how, code, out) => {
    const left = await child(how);
    expect(left).toMatchObject({ code, signal: null, err: "" });
    if (typeof out === "string") expect(left.out).toBe(out);
    else expect(left.out).toMatch(out);
  });

  it("by an exception of its caller ends with that", async () => {
    const left = await child("throw");
    expect(left).toMatchObject({ code: 1, out: "" });
    expect(left.err).toContain("the caller's");
  });
});
