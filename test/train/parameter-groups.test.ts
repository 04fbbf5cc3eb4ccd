// Weights by name and by role: decay, learning rates and freezing, held to torch's parameter groups; and what is refused.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { DistillOptions } from "../../src/train/options.ts";
import { collect, only } from "./helpers.ts";
import { expectAsTorch, plainSgd, valuesIn, wholeBatches } from "./torch-run.ts";

const folder = mkdtempSync(join(tmpdir(), "groups-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const adamw = {
  ...wholeBatches,
  optimizer: { name: "adamw", weightDecay: 0.5 },
  learningRate: 0.01,
} as const;
const run = async (options: Partial<DistillOptions>) => {
  const events = await collect({ ...wholeBatches, ...plainSgd, ...options });
  return {
    notes: only(events, "start")[0]!.notes,
    values: valuesIn(only(events, "done")[0]!.student),
  };
};
const first = valuesIn(readFileSync(wholeBatches.student as string));

describe("weight decay", () => {
  it("of AdamW spares biases and normalisations by default; a group has its own, as torch's parameter groups", async () => {
    const groups = [{ match: "head.weight", learningRate: 0.05, weightDecay: 0.1 }];
    await expectAsTorch("groups", { ...adamw, parameterGroups: groups });
    await expectAsTorch("groups", {
      ...adamw,
      noDecay: ["*.bias", "bn.*", "ln.weight"],
      parameterGroups: [{ match: "head.w*", learningRateFactor: 5, weightDecay: 0.1 }],
      worker: true,
    });
  });

  it("pulls at all weights with SGD, and with noDecay none; the start says what is spared", async () => {
    const note =
      "weight decay 0.5 leaves alone 7 of 10 weights (biases, normalisations, other vectors; --no-decay none: it pulls at all)";
    expect((await run(adamw)).notes).toEqual([note]);
    const sgd = {
      optimizer: { name: "sgd", momentum: 0, weightDecay: 0.5 },
      learningRate: 1e-3,
      epochs: 1,
    } as const;
    const [all, auto, none] = [
      await run(sgd),
      await run({ ...sgd, noDecay: "auto" }),
      await run({ ...adamw, noDecay: "none" }),
    ];
    expect([all.notes, auto.notes, none.notes]).toEqual([[], [note], []]);
    for (const name of ["ln.weight", "fc.weight"])
      for (const [i, v] of all.values.get(name)!.entries()) {
        const apart = v - auto.values.get(name)![i]!;
        expect(apart).toBeCloseTo(name === "fc.weight" ? 0 : -1e-3 * 0.5 * first.get(name)![i]!, 6);
      }
  });
});

describe("groups", () => {
  it("freeze by pattern, and at rate 0", async () => {
    const { values, notes } = await run({
      parameterGroups: [
        { match: "conv.*", freeze: true },
        { match: "*", learningRate: 0 },
        { match: "head.*", learningRateFactor: 2 },
      ],
    });
    for (const [name, v] of first)
      if (!name.startsWith("head") && !name.includes("running")) expect(values.get(name), name).toEqual(v);
    expect(values.get("head.bias")).not.toEqual(first.get("head.bias"));
    expect(notes).toEqual([
      "* (6 of 8 weights): learning rate 0",
      "head.* (2 of 8 weights): learning rate 2 of the run's",
    ]);
  });

  it("are the same run to the bit when it is resumed, and not another's", async () => {
    const options: DistillOptions = {
      ...adamw,
      batch: 8,
      epochs: 2,
      schedule: { schedule: "cosine", warmup: 2 },
      parameterGroups: [
        { match: "head.*", learningRateFactor: 0.1 },
        { match: "fc.*", weightDecay: 0.01 },
      ],
    };
    const out = join(folder, "run");
    const stop = new AbortController();
    const { distill } = await import("../../src/train/distill.ts");
    for await (const e of distill({ ...options, out, signal: stop.signal }))
      if (e.type === "step" && e.step === 2) stop.abort();
    await expect(collect({ ...options, parameterGroups: [], out, resume: true })).rejects.toThrow(
      `${out} was begun with parameterGroups [{"match":"head.*","learningRateFactor":0.1},{"match":"fc.*","weightDecay":0.01}], now it is (none)`,
    );
    const rest = only(await collect({ ...options, out, resume: true }), "done")[0]!;
    const whole = only(await collect(options), "done")[0]!;
    expect(new Uint8Array(rest.student)).toEqual(new Uint8Array(whole.student));
  });

  it.each<[Partial<DistillOptions>, string]>([
    [{ noDecay: ["haed.*"] }, `noDecay (--no-decay) 'haed.*' matches no weight of ${wholeBatches.student}`],
    [
      { freeze: ["head.*"], parameterGroups: [{ match: "head.bias", learningRate: 1 }] },
      `parameterGroups (--lr-for, --weight-decay-for) 'head.bias' matches no weight of ${wholeBatches.student} that is trained; leave it out, or see inspect for what is`,
    ],
    [{ noDecay: 3 as never }, 'distill: noDecay must be "auto", "none" or an array of patterns, got 3'],
    [
      { parameterGroups: [{ match: "a", learningRate: -1 }] },
      "distill: parameterGroups[0]: learningRate must be a finite number >= 0, got -1",
    ],
    [
      { parameterGroups: [{ match: "a" }] },
      'distill: parameterGroups[0] says nothing of "a": give learningRate, learningRateFactor, weightDecay or freeze',
    ],
    [
      { parameterGroups: [{ match: "a", freeze: true, weightDecay: 0 }] },
      "distill: parameterGroups[0]: what freeze holds has no learning rate and no weight decay",
    ],
    [
      { parameterGroups: [{ match: "a", learningRate: 1, learningRateFactor: 1 }] },
      "distill: parameterGroups[0]: learningRate and learningRateFactor exclude each other",
    ],
    [
      {
        parameterGroups: [
          { match: "a", weightDecay: 0 },
          { match: "a", learningRate: 1 },
        ],
      },
      'distill: two parameterGroups match "a"; put what they say into one',
    ],
  ])("refuses %j", async (options, message) => {
    await expect(collect({ ...wholeBatches, ...options })).rejects.toThrow(message);
  });
});
