import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Tensor } from "../../src/base/tensor.ts";
import { buildModel, nn } from "../../src/index.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import {
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { fixturePath } from "../fixtures/models.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const tap = { name: "features", teacher: "/Clip_output_0", student: "/Clip_output_0" };
const folder = mkdtempSync(join(tmpdir(), "distill-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let teacher: Uint8Array;
const data = bars(256, 1);
const evaluation = bars(100, 2);
const base = {
  student: cnn,
  data,
  evaluation,
  batch: 32,
  epochs: 2,
  learningRate: 0.05,
  seed: 3,
} satisfies DistillOptions;

beforeAll(async () => {
  const events = await collect({ student: cnn, data, evaluation, batch: 32, epochs: 8, learningRate: 0.1 });
  const [done] = only(events, "done");
  teacher = done!.student;
  expect(done!.metrics.top1).toBeGreaterThan(0.95);
});

const weightsOf = (bytes: Uint8Array): Map<string, Tensor> =>
  new Map([...readModel(bytes).graph.constants].map(([v, t]) => [v.name, t]));

describe("distill", () => {
  it("learns from the teacher alone, without labels", async () => {
    const events = await collect({
      ...base,
      data: bars(256, 1, { labels: false }),
      epochs: 6,
      teacher,
      strategy: new ResponseDistillationStrategy({ alpha: 0 }),
    });
    const evaluations = only(events, "evaluation").filter((e) => e.who === "student");
    expect(evaluations.at(-1)!.metrics.agreement).toBeGreaterThan(0.9);
    expect(Object.keys(only(events, "step")[0]!.losses)).toEqual(["loss", "loss/soft"]);
  });

  it("logs every term, and the terms add up to the loss", async () => {
    const strategy = new NeuronSelectivityDistillationStrategy();
    const events = await collect({ ...base, teacher, taps: [tap], strategy });
    const steps = only(events, "step");
    expect(steps).toHaveLength(16);
    for (const { losses } of steps) {
      expect(Object.keys(losses)).toEqual(["loss", "loss/hard", "loss/soft", "loss/selectivity/features"]);
      const { loss, ...terms } = losses;
      expect(Object.values(terms).reduce((a, c) => a + c)).toBeCloseTo(loss!, 5);
    }
  });

  it("brings the selectivity of the tap closer when asked to, compared with the same run without", async () => {
    const last = async (selectivityWeight: number) => {
      const events = await collect({
        ...base,
        epochs: 6,
        keep: "last",
        teacher,
        taps: [tap],
        strategy: new NeuronSelectivityDistillationStrategy({ selectivityWeight, alpha: 0 }),
      });
      return only(events, "done")[0]!.student;
    };
    const watch = async (student: Uint8Array) => {
      const strategy = new NeuronSelectivityDistillationStrategy();
      const still = { epochs: 1, learningRate: 0 };
      const events = await collect({ ...base, ...still, student, teacher, taps: [tap], strategy });
      return only(events, "step").reduce((sum, e) => sum + e.losses["loss/selectivity/features"]!, 0);
    };
    expect(await watch(await last(5))).toBeLessThan(0.5 * (await watch(await last(0))));
  });

  it("gives the same bits for the same options, and others for another seed", async () => {
    const bytes = async (seed: number) => only(await collect({ ...base, teacher, seed }), "done")[0]!.student;
    const first = await bytes(3);
    expect(await bytes(3)).toEqual(first);
    expect(await bytes(4)).not.toEqual(first);
  });

  it("gives the same bits whether the teacher's outputs are kept or computed at every step", async () => {
    const bytes = async (teacherCache: "off" | "memory" | "disk") =>
      only(await collect({ ...base, teacher, teacherCache }), "done")[0]!.student;
    const never = await bytes("off");
    expect(await bytes("memory")).toEqual(never);
    expect(await bytes("disk")).toEqual(never);
  });

  it("takes a function for a teacher", async () => {
    const events = await collect({
      ...base,
      teacher: ([x]) => {
        const n = x!.dims[0]!;
        return { logits: { dtype: "float32", dims: [n, 5], data: new Float32Array(n * 5) } };
      },
      strategy: new ResponseDistillationStrategy({ alpha: 0 }),
    });
    const steps = only(events, "step");
    expect(steps.at(-1)!.losses.loss).toBeLessThan(steps[0]!.losses.loss!);
  });

  it("keeps frozen weights and frozen running statistics", async () => {
    const [done] = only(
      await collect({ ...base, teacher, freeze: ["conv1.*"], batchNorm: "frozen" }),
      "done",
    );
    const [before, after] = [weightsOf(readFileSync(cnn)), weightsOf(done!.student)];
    for (const name of ["conv1.weight", "conv1.bias", "bn1.running_mean", "bn2.running_var"])
      expect(after.get(name), name).toEqual(before.get(name));
    for (const name of ["conv2.weight", "bn1.weight", "head.bias"])
      expect(after.get(name), name).not.toEqual(before.get(name));
  });
});

describe("models exported from PyTorch", () => {
  const exporters = ["torchscript", "dynamo"];
  for (const teaching of exporters)
    for (const learning of exporters)
      it(`teach by ${teaching}, learn by ${learning}`, async () => {
        const events = await collect({
          ...base,
          teacher: fixturePath(`cnn-${teaching}.onnx`),
          student: fixturePath(`cnn-${learning}.onnx`),
          strategy: new ResponseDistillationStrategy({ alpha: 0 }),
          epochs: 4,
        });
        // Both begin with the same weights, but the student sees batch statistics: it has something to learn.
        const steps = only(events, "step");
        expect(steps.at(-1)!.losses.loss).toBeLessThan(0.5 * steps[0]!.losses.loss!);
      });
});

describe("a strategy on arrays alone", () => {
  /** Nothing overridden but its class, so that it has no emission. */
  class Mine extends NeuronSelectivityDistillationStrategy {}

  it("trains like its emitted twin", async () => {
    const options = { targetLayerName: "features", selectivityWeight: 2 };
    const run = async (strategy: NeuronSelectivityDistillationStrategy) =>
      collect({ ...base, teacher, taps: [tap], strategy, epochs: 1, learningRate: 0.01 });
    const [emitted, onArrays] = [
      await run(new NeuronSelectivityDistillationStrategy(options)),
      await run(new Mine(options)),
    ];
    const [a, b] = [only(emitted, "step"), only(onArrays, "step")];
    expect(a).toHaveLength(b.length);
    a.forEach((e, i) => {
      expect(b[i]!.losses.loss! / e.losses.loss!, `step ${i + 1}`).toBeCloseTo(1, 4);
    });
    const [x, y] = [
      weightsOf(only(emitted, "done")[0]!.student),
      weightsOf(only(onArrays, "done")[0]!.student),
    ];
    for (const [name, t] of x) {
      if (t.dtype !== "float32") continue;
      const other = y.get(name)!.data as Float32Array;
      (t.data as Float32Array).forEach((v, i) => {
        expect(Math.abs(v - other[i]!), `${name}[${i}]`).toBeLessThan(1e-4 * (1 + Math.abs(v)));
      });
    }
  });
});

describe("a tap of other width", () => {
  const narrow = buildModel(
    { input: { name: "input", dims: ["batch", 1, 16, 16] }, seed: 5 },
    nn.sequential(
      nn.maxPool(2),
      nn.conv(3, 3, { stride: 2 }),
      nn.relu({ name: "maps" }),
      nn.flatten(),
      nn.linear(5),
    ),
  );
  const options = {
    ...base,
    student: narrow,
    epochs: 3,
    taps: [{ name: "features", teacher: "/Clip_output_0", student: "maps", project: true }],
    strategy: new NeuronSelectivityDistillationStrategy({ selectivityWeight: 2, alpha: 0 }),
  } satisfies DistillOptions;

  it("is refused without a projection, which is named as a way", async () => {
    const taps = [{ ...options.taps[0]!, project: false }];
    await expect(collect({ ...options, teacher, taps })).rejects.toThrow(
      /they have 3 and 6 neurons; .*a learned projection \(project: true; --project features\)$/,
    );
  });

  it("is compared through a learned projection that the student does not keep", async () => {
    const events = await collect({ ...options, teacher });
    const [start] = only(events, "start");
    expect(start!.notes).toContain(
      "24 weights of projections (features) are trained too, and left out of the student",
    );
    const losses = only(events, "step").map((e) => e.losses["loss/selectivity/features"]!);
    expect(losses.at(-1)).toBeLessThan(0.5 * losses[0]!);
    const [done] = only(events, "done");
    expect([...weightsOf(done!.student).keys()]).toEqual([...weightsOf(modelBytes(narrow)).keys()]);
  });

  it("resumes to the same bits, the projection's weights and momenta included", async () => {
    const whole = await collect({ ...options, teacher, out: join(folder, "projected") });
    const stop = new AbortController();
    const out = join(folder, "projected-parts");
    const { distill } = await import("../../src/train/distill.ts");
    for await (const e of distill({ ...options, teacher, out, signal: stop.signal }))
      if (e.type === "step" && e.step === 11) stop.abort();
    const rest = await collect({ ...options, teacher, out, resume: true });
    expect(only(rest, "start")[0]!.resumedAt).toBe(11);
    expect(only(rest, "done")[0]!.student).toEqual(only(whole, "done")[0]!.student);
    const state = (name: string) => readFileSync(join(folder, name, "checkpoints", "step-24", "state.bin"));
    expect(state("projected-parts")).toEqual(state("projected"));
    const index = readFileSync(join(out, "checkpoints", "step-24", "state.json"), "utf8");
    for (const key of ["auxiliary/projection/features/weight", "momentum/auxiliary/projection/features/bias"])
      expect(index).toContain(`"${key}"`);
  });

  it("is what a strategy on arrays sees, too", async () => {
    class Mine extends NeuronSelectivityDistillationStrategy {}
    const strategyOptions = { selectivityWeight: 2, alpha: 0, targetLayerName: "features" };
    const stepsOf = async (strategy: NeuronSelectivityDistillationStrategy) =>
      only(await collect({ ...options, teacher, strategy, epochs: 1, learningRate: 0.01 }), "step");
    const emitted = await stepsOf(new NeuronSelectivityDistillationStrategy(strategyOptions));
    const onArrays = await stepsOf(new Mine(strategyOptions));
    emitted.forEach((e, i) => {
      expect(onArrays[i]!.losses.loss! / e.losses.loss!, `step ${i + 1}`).toBeCloseTo(1, 4);
    });
  });

  it("takes no option that projections do not have", async () => {
    const taps = [{ ...options.taps[0]!, project: { inits: "zeros" } as object }];
    await expect(collect({ ...options, teacher, taps })).rejects.toThrow(
      'distill: project of tap "features": unknown option "inits". Did you mean "init"?',
    );
  });
});

describe("the run folder", () => {
  it("resumes to the bits of an uninterrupted run, from the middle of an epoch", async () => {
    const options = { ...base, epochs: 3, teacher, taps: [tap], augment: { flip: true, crop: 1 } };
    const whole = await collect({ ...options, out: join(folder, "whole") });
    const stop = new AbortController();
    const out = join(folder, "parts");
    const { distill } = await import("../../src/train/distill.ts");
    let interrupted = false;
    for await (const e of distill({ ...options, out, signal: stop.signal })) {
      if (e.type === "step" && e.step === 11) stop.abort();
      if (e.type === "done") interrupted = e.interrupted;
    }
    expect(interrupted).toBe(true);
    const rest = await collect({ ...options, out, resume: true });
    expect(only(rest, "start")[0]!.resumedAt).toBe(11);
    expect(only(rest, "done")[0]!.student).toEqual(only(whole, "done")[0]!.student);
    expect(readFileSync(join(out, "student.onnx"))).toEqual(
      readFileSync(join(folder, "whole", "student.onnx")),
    );
    const log = (name: string) => readFileSync(join(folder, name, "metrics.jsonl"), "utf8");
    expect(log("parts")).toEqual(log("whole"));
  });

  it("resumes from the checkpoint before a damaged one", async () => {
    const out = join(folder, "damaged");
    const options = { ...base, teacher, out };
    const whole = await collect(options);
    writeFileSync(join(out, "checkpoints", "step-16", "state.bin"), "torn");
    const rest = await collect({ ...options, resume: true });
    expect(only(rest, "start")[0]!.resumedAt).toBe(8);
    expect(only(rest, "done")[0]!.student).toEqual(only(whole, "done")[0]!.student);
  });

  it("refuses a folder that holds a run, and options that differ on resume", async () => {
    const out = join(folder, "twice");
    await collect({ ...base, teacher, out });
    await expect(collect({ ...base, teacher, out })).rejects.toThrow(
      `${out} holds a run already; continue it with --resume, or choose another --out`,
    );
    await expect(collect({ ...base, teacher, out, resume: true, learningRate: 0.01 })).rejects.toThrow(
      `${out} was begun with learningRate 0.05, now it is 0.01; resume with the same options, or start a new run`,
    );
    await expect(collect({ ...base, teacher, out: join(folder, "none"), resume: true })).rejects.toThrow(
      "holds no run to resume",
    );
  });

  it("is not begun when the run cannot be", async () => {
    const out = join(folder, "never");
    await expect(
      collect({ ...base, teacher, taps: [{ teacher: "/Clip_output_1", student: "/Clip_output_0" }], out }),
    ).rejects.toThrow('the teacher teacher has no value "/Clip_output_1". Did you mean "/Clip_output_0"');
    expect(existsSync(out)).toBe(false);
  });
});

describe("a loss that is not finite", () => {
  it("ends the run with one line and the last good state", async () => {
    const out = join(folder, "diverged");
    await expect(collect({ ...base, out, learningRate: 1e30 })).rejects.toThrow(
      /^the loss is (NaN|Infinity) \(loss\/hard\) at step \d+: .* has grown from \S+ to \S+: lower the learning rate \(1\.00e\+30\)/,
    );
    expect(existsSync(join(out, "student.onnx"))).toBe(false);
    expect(existsSync(join(out, "checkpoints"))).toBe(true);
  });
});
