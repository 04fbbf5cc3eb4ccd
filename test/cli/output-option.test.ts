// --loss and --strategy as text -> strategies, alone and beside --intermediate; and runs with them.
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadStrategy } from "../../src/cli/load-strategy.ts";
import { outputLosses, outputLossNames } from "../../src/cli/output-losses.ts";
import { outputStrategy, parseLoss } from "../../src/cli/output-option.ts";
import { strategyOf } from "../../src/cli/strategy-options.ts";
import { defineGraphStrategy } from "../../src/losses/graph-strategy.ts";
import { strategyParts } from "../../src/strategies/combined.ts";
import {
  type AnyStrategy,
  CenteredKernelAlignmentStrategy,
  type CombinedDistillationStrategy,
  IntermediateActivations,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import { taskNamed } from "../../src/tasks/index.ts";
import { describeStrategy } from "../../src/train/describe-strategy.ts";
import { defaultStrategy } from "../../src/train/task-strategy.ts";
import { cli, refusal, trainArgs, world } from "./helpers.ts";

const teacher = "t.onnx";

describe("parseLoss", () => {
  it.each([
    ["kd", { name: "kd", options: {} }],
    [
      "dkd:non-target-weight=2,standardize",
      { name: "dkd", options: { nonTargetWeight: 2, standardize: true } },
    ],
    [
      "dist:weight=3,warmup=1,decay=cosine,end=5,final=0.1,unit=steps",
      {
        name: "dist",
        options: { weight: 3 },
        schedule: { warmup: 1, decay: "cosine", end: 5, final: 0.1, unit: "steps" },
      },
    ],
  ])("%s", (text, wanted) => {
    expect(parseLoss(text)).toEqual(wanted);
  });

  it.each([
    [
      "dk",
      '--loss dk: there is no loss "dk". Did you mean "dkd"? Known: kd, standardized-kd, dkd, dist, wttm, ttm.',
    ],
    [
      "dkd:alpha=1",
      '--loss dkd:alpha=1: dkd has no option "alpha". Its options: weight, target-weight, non-target-weight, standardize, start, warmup, decay, end, final, unit.',
    ],
    ["wttm:teacher-weight=x", '--loss wttm:teacher-weight=x: "teacher-weight=x" should be a number'],
  ])("refuses %s", (text, message) => {
    expect(() => parseLoss(text)).toThrow(message);
  });

  it("every loss makes a strategy with every option that help lists and at the temperature that help tells", () => {
    for (const name of outputLossNames) {
      const { summary, options } = outputLosses[name];
      const made = outputStrategy(name, parseLoss(name), {}) as unknown as Record<string, unknown>;
      const told = /temperature (\d)/.exec(summary)?.[1];
      if (told !== undefined) expect(made.temperature).toBe(Number(told));
      const weights = /weights? (\d)(?: and (\d))?$/
        .exec(summary)
        ?.slice(1)
        .flatMap((w) => (w === undefined ? [] : Number(w)));
      const keys = Object.keys(options).map((k) => k.replace(/-(.)/g, (_, c) => c.toUpperCase()));
      for (const key of keys) expect(made, `${name}: ${key}`).toHaveProperty(key);
      if (weights) expect(weights).toEqual(keys.filter((k) => k.endsWith("Weight")).map((k) => made[k]));
    }
  });

  it("the strategy's own refusals say which option was meant", () => {
    expect(() => outputStrategy("kd:divergence=l2", parseLoss("kd:divergence=l2"), {})).toThrow(
      '--loss kd:divergence=l2: ResponseDistillationStrategy: divergence is one of "forward-kl", "reverse-kl", "jeffreys", "jensen-shannon", got "l2".',
    );
  });
});

describe("strategyOf", () => {
  it.each([
    [{}, { name: "ResponseDistillationStrategy", temperature: 3, alpha: 0.3, standardize: false }],
    [
      { loss: "standardized-kd", alpha: 0.1 },
      { name: "ResponseDistillationStrategy", standardize: true, alpha: 0.1 },
    ],
    [
      { loss: "dkd", temperature: 2 },
      { name: "DecoupledDistillationStrategy", temperature: 2, nonTargetWeight: 2 },
    ],
    [{ loss: "dist:intra-class-weight=2" }, { name: "CorrelationDistillationStrategy", intraClassWeight: 2 }],
    [
      { loss: "ttm:teacher-weight=5" },
      { name: "TransformedTeacherDistillationStrategy", teacherWeight: 5, weighted: false },
    ],
  ])("%j", (flags, wanted) => {
    expect(describeStrategy(strategyOf({ teacher, ...flags })!)).toMatchObject(wanted);
  });

  it("sums --loss and --intermediate, with their weights over the run", () => {
    const strategy = strategyOf({
      teacher,
      loss: "dkd:weight=2,decay=linear",
      tap: ["features"],
      intermediate: ["cka:weight=3,warmup=2"],
    });
    expect(describeStrategy(strategy!)).toMatchObject({
      name: "CombinedDistillationStrategy",
      strategies: [
        {
          part: "all",
          weight: 2,
          schedule: [{ decay: "linear" }],
          strategy: { name: "DecoupledDistillationStrategy" },
        },
        {
          part: "intermediate",
          weight: 1,
          schedule: [{ warmup: 2 }],
          strategy: { name: "CenteredKernelAlignmentStrategy", weight: 3 },
        },
      ],
    });
  });

  it("keeps the class that has both losses only for plain selectivity beside the usual loss", () => {
    const of = (flags: object) => strategyOf({ teacher, tap: ["features"], ...flags })!.constructor.name;
    expect(of({ intermediate: ["selectivity"] })).toBe("NeuronSelectivityDistillationStrategy");
    expect(of({ metric: "variance" })).toBe("NeuronSelectivityDistillationStrategy");
    expect(of({ loss: "dkd" })).toBe("CombinedDistillationStrategy");
    expect(of({ intermediate: ["selectivity:warmup=1"] })).toBe("CombinedDistillationStrategy");
  });

  it("compares taps by what measured best where nothing says how, as distill() does", () => {
    const strategy = strategyOf({ teacher, tap: ["features"] });
    const described = (s?: AnyStrategy) => describeStrategy(s as AnyStrategy);
    expect(described(strategy)).toEqual(described(defaultStrategy(taskNamed(), true)));
    const parts = strategyParts(strategy as AnyStrategy);
    expect(parts.map((p) => p.strategy)).toEqual([
      new ResponseDistillationStrategy(),
      new CenteredKernelAlignmentStrategy({ over: "samples-and-positions", weight: 6 }),
    ]);
    expect(parts[1]?.part).toBe("intermediate");
    expect(JSON.stringify(parts[1]?.schedule)).toContain("cosine");
    expect(strategyOf({ teacher, tap: ["features"], loss: "dkd" })?.constructor.name).toBe(
      "CombinedDistillationStrategy",
    );
  });

  const onOutputs = { temperature: 1, alpha: 0, computeLoss: () => 0, computeGradient: () => null as never };
  const onLayers = {
    computeIntermediateLoss: () => 0,
    computeIntermediateGradient: () => new IntermediateActivations(),
  };
  const graph = defineGraphStrategy({ name: "focal", loss: () => ({}) });

  it("--strategy stands for --loss where it has a loss on outputs, and takes temperature and alpha", () => {
    const own = { ...onOutputs };
    expect(strategyOf({ teacher, strategy: "m.mjs", temperature: 5, alpha: 0.5 }, undefined, own)).toBe(own);
    expect([own.temperature, own.alpha]).toEqual([5, 0.5]);
    expect(strategyOf({ teacher, strategy: "m.mjs", tap: ["features"] }, undefined, graph)).toBe(graph);
  });

  it("--strategy joins --loss where it compares taps alone, and --intermediate either", () => {
    const names = (flags: object, own: object) =>
      (
        strategyOf(
          { teacher, strategy: "m.mjs", tap: ["a"], ...flags },
          undefined,
          own as never,
        ) as CombinedDistillationStrategy
      ).parts.map((p) => p.strategy.constructor.name);
    expect(names({}, onLayers)).toEqual(["ResponseDistillationStrategy", "Object"]);
    expect(names({ loss: "dist" }, onLayers)).toEqual(["CorrelationDistillationStrategy", "Object"]);
    expect(names({ intermediate: ["nst"] }, graph)).toEqual([
      "GraphStrategy",
      "NeuronSelectivityTransferStrategy",
    ]);
  });

  it.each([
    [{ loss: "kd" }, undefined, "--loss needs a --teacher"],
    [{ strategy: "m.mjs" }, undefined, "--strategy needs a --teacher"],
    [
      { teacher, loss: "kd", strategy: "m.mjs" },
      onOutputs,
      "--loss kd: the strategy of m.mjs is a loss on outputs itself; give one of the two, or sum them in the module with CombinedDistillationStrategy",
    ],
    [
      { teacher, strategy: "m.mjs", alpha: 0.1 },
      graph,
      '--alpha: the loss "focal" of m.mjs has none that could be set; set it in the module',
    ],
    [
      { teacher, strategy: "m.mjs", tap: ["a"], metric: "variance" as const },
      graph,
      "--metric belongs to --intermediate selectivity, not to --strategy m.mjs",
    ],
    [{ teacher, strategy: "m.mjs", alpha: 2 }, undefined, "alpha must lie in [0, 1], got 2"],
  ])("refuses %j", (flags, own, message) => {
    expect(() => strategyOf(flags, undefined, own as never)).toThrow(message);
  });
});

describe("runs", () => {
  const steps = (file: string) =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((l) => l.includes('"type":"step"'))
      .map((l) => JSON.parse(l) as { losses: Record<string, number> });

  it("log every term of --loss and --intermediate, and are known again on --resume", async () => {
    const { at } = world();
    const args = [
      "--loss",
      "dkd:standardize",
      "--intermediate",
      "cka:warmup=1",
      "--epochs",
      "1",
      "--log-every",
      "1",
    ];
    const { code, err } = await cli(trainArgs(at, "a", ...args));
    expect([code, err]).toEqual([0, expect.stringContaining("top-1")]);
    expect(Object.keys(steps(at("a/metrics.jsonl"))[0]!.losses)).toEqual([
      "loss",
      "loss/hard",
      "loss/target",
      "loss/non-target",
      "loss/cka/features",
    ]);
    expect(await refusal(["train", "--resume", "--out", at("a"), "--loss", "kd"])).toBe(
      `1 error: ${at("a")} was begun with --loss dkd:standardize, now it is --loss kd; resume with the same options, or start a new run`,
    );
  });

  it("train with a strategy of one's own, from a module", async () => {
    const { at } = world();
    const index = new URL("../../src/index.ts", import.meta.url).href;
    writeFileSync(
      at("mine.mjs"),
      `import { defineGraphStrategy } from ${JSON.stringify(index)};
export default () => defineGraphStrategy({
  name: "squares",
  loss: ({ b, studentLogits, teacherLogits, rowMean }) => ({
    squares: rowMean(b.reduceSumSquare(b.sub(studentLogits, teacherLogits), [1])),
  }),
});
`,
    );
    const { code, out } = await cli(
      trainArgs(at, "a", "--strategy", at("mine.mjs"), "--epochs", "1", "--log-every", "1", "--lr", "0.01"),
    );
    expect(code).toBe(0);
    expect(out).toMatch(/^student: top-1/);
    const logged = steps(at("a/metrics.jsonl"));
    expect(Object.keys(logged[0]!.losses)).toEqual(["loss", "loss/squares"]);
    expect(logged.at(-1)!.losses.loss).toBeLessThan(logged[0]!.losses.loss!);
  });

  it.each([
    ["export default 3;", "its default export gives a value of type number"],
    ["export const strategy = 3;", "its default export gives nothing"],
    ["export default {};", "its default export gives an object without a loss"],
    ["throw new Error('no');", "the module failed: no"],
  ])("refuse a module that holds none: %s", async (code, message) => {
    const { at } = world();
    writeFileSync(at("mine.mjs"), code);
    await expect(loadStrategy(at("mine.mjs"))).rejects.toThrow(`${at("mine.mjs")}: ${message}`);
    await expect(loadStrategy(at("none.mjs"))).rejects.toThrow(`${at("none.mjs")}: no such file`);
  });

  it("take a strategy, a promise of one, or a class of one", async () => {
    const { at } = world();
    const made = "computeIntermediateLoss() { return 1; } computeIntermediateGradient() { return null; }";
    for (const [i, code] of [
      `export default new (class { ${made} })();`,
      `export default async () => new (class { ${made} })();`,
      `export default class { ${made} }`,
    ].entries()) {
      writeFileSync(at(`${i}.mjs`), code);
      expect(await loadStrategy(at(`${i}.mjs`))).toHaveProperty("computeIntermediateLoss");
    }
  });
});
