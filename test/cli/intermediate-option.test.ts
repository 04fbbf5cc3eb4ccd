// --intermediate as text -> strategies, alone and beside the loss on outputs; and a run with them.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { intermediateLosses, intermediateNames } from "../../src/cli/intermediate-losses.ts";
import { intermediateStrategy, parseIntermediate } from "../../src/cli/intermediate-option.ts";
import { strategyOf } from "../../src/cli/strategy-options.ts";
import {
  CombinedDistillationStrategy,
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import { describeStrategy } from "../../src/train/describe-strategy.ts";
import { cli, trainArgs, world } from "./helpers.ts";

const error = (code: string, message: string) => expect.objectContaining({ code, message });

describe("parseIntermediate", () => {
  it.each([
    ["nst", { name: "nst", options: {} }],
    ["nst:weight=20,kernel=gaussian,bandwidth=0.5", { weight: 20, kernel: "gaussian", bandwidth: 0.5 }],
    ["nst:kernel=gaussian,bandwidth=mean", { kernel: "gaussian", bandwidth: "mean" }],
    [
      "cka:debiased,over=samples,tap=/layer3/relu:0",
      { debiased: true, over: "samples", targetLayerName: "/layer3/relu:0" },
    ],
    ["cka:debiased=false", { debiased: false }],
    ["statistics:deviation-weight=0.5", { deviationWeight: 0.5 }],
    ["hint:tap=a=b", { targetLayerName: "a=b" }],
    ["selectivity:metric=sparsity,weight=1", { metric: "sparsity", weight: 1 }],
  ])("%s", (text, wanted) => {
    expect(parseIntermediate(text)).toEqual(
      "options" in wanted ? wanted : { name: text.split(":")[0], options: wanted },
    );
  });

  it.each([
    [
      "nts",
      '--intermediate nts: there is no loss "nts". Known: selectivity, nst, cka, sp, at, hint, correlation, statistics.',
    ],
    [
      "nst:kernl=linear",
      '--intermediate nst:kernl=linear: nst has no option "kernl". Did you mean "kernel"? Its options: weight, tap, kernel, over, bandwidth, start, warmup, decay, end, final, unit.',
    ],
    ["sp:weight", '--intermediate sp:weight: "weight" should be name=value'],
    ["sp:weight=much", '--intermediate sp:weight=much: "weight=much" should be a number'],
    [
      "cka:debiased=1",
      '--intermediate cka:debiased=1: "debiased=1" should be a switch: alone, or with =true or =false',
    ],
    [
      "sp:",
      '--intermediate sp:: sp has no option "". Its options: weight, tap, start, warmup, decay, end, final, unit.',
    ],
    [
      "sp:__proto__=1",
      '--intermediate sp:__proto__=1: sp has no option "__proto__". Its options: weight, tap, start, warmup, decay, end, final, unit.',
    ],
  ])("refuses %s", (text, message) => {
    expect(() => parseIntermediate(text)).toThrowError(error("E_OPTION", message));
  });

  it("the strategy's own refusals say which option was meant", () => {
    const text = "nst:kernel=cubic";
    expect(() => intermediateStrategy(text, parseIntermediate(text))).toThrowError(
      error(
        "E_ARGUMENT",
        '--intermediate nst:kernel=cubic: NeuronSelectivityTransferStrategy: kernel is one of "linear", "polynomial", "gaussian", got "cubic".',
      ),
    );
  });

  it("every loss makes a strategy with every option that help lists, at the weight that help tells", () => {
    for (const name of intermediateNames) {
      const { summary, options } = intermediateLosses[name];
      const made = intermediateStrategy(name, parseIntermediate(name)) as unknown as Record<string, unknown>;
      expect(`${summary}`).toMatch(new RegExp(`weight ${made.weight ?? made.selectivityWeight}$`));
      for (const key of Object.keys(options))
        expect(made, `${name}: ${key}`).toHaveProperty(key.replace(/-(.)/g, (_, c) => c.toUpperCase()));
    }
  });
});

describe("strategyOf", () => {
  const flags = { teacher: "t.onnx", tap: ["features"] };
  it("selectivity alone is the class of that name, as before", () => {
    for (const intermediate of [undefined, ["selectivity"], ["selectivity:weight=0.5,metric=sparsity"]])
      expect(
        describeStrategy(
          strategyOf({
            ...flags,
            metric: "sparsity",
            temperature: 2,
            ...(intermediate && { intermediate }),
          })!,
        ),
      ).toMatchObject({
        name: "NeuronSelectivityDistillationStrategy",
        temperature: 2,
        alpha: 0.3,
        targetLayerName: "default",
        selectivityWeight: 0.5,
        metric: "sparsity",
      });
  });

  it("the flags of selectivity are its options, which those after the colon replace", () => {
    const made = (intermediate?: string[]) =>
      strategyOf({
        ...flags,
        metric: "kurtosis",
        over: "samples",
        match: "rank",
        target: "dataset",
        distance: "relative",
        selectivityMomentum: 0.9,
        ...(intermediate && { intermediate }),
      });
    const wanted = {
      metric: "kurtosis",
      over: "samples",
      match: "rank",
      target: "dataset",
      distance: "relative",
      momentum: 0.9,
    };
    expect(made()).toMatchObject(wanted);
    expect(made(["selectivity:over=positions,momentum=0"])).toMatchObject({
      ...wanted,
      over: "positions",
      momentum: 0,
    });
    const two = made(["selectivity", "selectivity:metric=variance"]) as CombinedDistillationStrategy;
    expect(two.parts.slice(1).map((p) => p.strategy)).toMatchObject([
      wanted,
      { ...wanted, metric: "variance" },
    ]);
  });

  it("others stand beside the loss on outputs, in their order, selectivity with its layers alone", () => {
    const strategy = strategyOf({
      ...flags,
      intermediate: ["cka:weight=2", "selectivity", "hint:tap=features"],
      selectivityWeight: 0.1,
      alpha: 0.2,
    });
    expect(strategy).toBeInstanceOf(CombinedDistillationStrategy);
    const { parts } = strategy as CombinedDistillationStrategy;
    expect(parts.map((p) => [p.strategy.constructor.name, p.part])).toEqual([
      ["ResponseDistillationStrategy", "all"],
      ["CenteredKernelAlignmentStrategy", "intermediate"],
      ["NeuronSelectivityDistillationStrategy", "intermediate"],
      ["HintStrategy", "intermediate"],
    ]);
    expect(parts[0]!.strategy).toMatchObject({ alpha: 0.2 });
    expect(parts[1]!.strategy).toMatchObject({ weight: 2 });
    expect(parts[2]!.strategy).toMatchObject({ selectivityWeight: 0.1 });
    expect(parts[3]!.strategy).toMatchObject({ targetLayerName: "features" });
  });

  it("any option that compares layers asks for taps, which are chosen where none is named", () => {
    const teacher = "t.onnx";
    expect(strategyOf({ teacher, intermediate: ["sp"] })).toBeInstanceOf(CombinedDistillationStrategy);
    expect(strategyOf({ teacher, metric: "variance" })).toBeInstanceOf(NeuronSelectivityDistillationStrategy);
    expect(strategyOf({ teacher, alpha: 0.5 })).toBeInstanceOf(ResponseDistillationStrategy);
  });

  it.each([
    [{ intermediate: ["sp"] }, "--intermediate needs a --teacher"],
    [
      { ...flags, intermediate: ["sp", "at"], metric: "variance" as const },
      "--metric belongs to --intermediate selectivity, not to --intermediate sp --intermediate at",
    ],
    [
      { ...flags, intermediate: ["sp"], selectivityMomentum: 0.5 },
      "--selectivity-momentum belongs to --intermediate selectivity, not to --intermediate sp",
    ],
  ])("refuses %j", (given, message) => {
    expect(() => strategyOf(given)).toThrowError(error("E_OPTION", message));
  });
});

it("a run by rank, against the teacher's scores over the training set, resumes with its options", async () => {
  const { at } = world();
  const args = ["--metric", "lifetime-sparseness", "--match", "rank", "--target", "dataset"];
  const { code, err } = await cli(
    trainArgs(at, "rank", "--epochs", "1", ...args, "--selectivity-momentum", "0.5", "--over", "samples"),
  );
  expect([code, err]).toEqual([0, expect.stringContaining("top-1")]);
  const { config } = JSON.parse(readFileSync(at("rank/run.json"), "utf8")) as {
    config: { strategy: object };
  };
  expect(config.strategy).toMatchObject({
    metric: "lifetime-sparseness",
    over: "samples",
    match: "rank",
    target: "dataset",
    momentum: 0.5,
  });
  const refused = await cli(["train", "--resume", "--out", at("rank"), "--match", "index"]);
  expect(refused.err).toContain("was begun with --match rank, now it is --match index");
  const html = readFileSync(at("rank/report.html"), "utf8");
  expect(html).toContain("features</code>, lifetime-sparseness");
});

it("a run: every term is logged, and it is known again on --resume", async () => {
  const { at } = world();
  const args = ["--intermediate", "nst:weight=5", "--intermediate", "hint", "--project", "features"];
  const { code, err } = await cli(trainArgs(at, "a", "--epochs", "1", ...args));
  expect([code, err]).toEqual([
    0,
    expect.stringContaining("weights of projections (features) are trained too"),
  ]);
  const first = JSON.parse(readFileSync(at("a/metrics.jsonl"), "utf8").split("\n")[1]!) as { losses: object };
  expect(Object.keys(first.losses)).toEqual([
    "loss",
    "loss/hard",
    "loss/soft",
    "loss/nst/features",
    "loss/hint/features",
  ]);
  expect((await cli(["train", "--resume", "--out", at("a")])).code).toBe(0);
  expect((await cli(["train", "--resume", "--out", at("a"), "--intermediate", "nst"])).err).toContain(
    "was begun with --intermediate nst:weight=5 --intermediate hint, now it is --intermediate nst; resume with the same options",
  );
});
