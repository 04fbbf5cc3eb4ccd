// Weights of classes, held to torch's cross_entropy(weight=…): class indices, ignored ones, distributions; and what is refused.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import {
  CombinedDistillationStrategy,
  CorrelationDistillationStrategy,
  DecoupledDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { collect, only } from "./helpers.ts";
import { expectAsTorch, facts, net, plainSgd, torchData, wholeBatches } from "./torch-run.ts";

const base: DistillOptions = { ...wholeBatches, ...plainSgd };
const { weights: classWeights } = facts;

describe("as torch", () => {
  it.each([
    ["weighted-index", { classWeights }],
    ["weighted-index", { classWeights, worker: true }],
    ["weighted-ignored", { classWeights, data: torchData("ignored"), ignoreIndex: -100 }],
    ["weighted-soft", { classWeights, data: torchData("soft") }],
  ] as const)("%s", (name, options) => expectAsTorch(name, { ...base, ...options }));

  it.each([
    new ResponseDistillationStrategy({ alpha: 0.5 }),
    new DecoupledDistillationStrategy({ alpha: 0.5 }),
    new CorrelationDistillationStrategy({ alpha: 0.5 }),
    new CombinedDistillationStrategy([{ strategy: new ResponseDistillationStrategy({ alpha: 0.5 }) }]),
  ])("beside a teacher only what is learned from labels is weighted: %o", async (strategy) => {
    const losses = async (more: object) =>
      only(await collect({ ...base, teacher: net, strategy, epochs: 1, ...more }), "step")[0]!.losses;
    const [plain, weighted] = [await losses({}), await losses({ classWeights })];
    for (const term of Object.keys(plain).filter((t) => t !== "loss")) {
      if (!term.endsWith("hard")) expect(weighted[term]).toBe(plain[term]);
      else expect(weighted[term]).toBeCloseTo(0.5 * facts.cases["weighted-index"]!.losses![0]!, 5);
    }
  });
});

it("balanced weights are n / (classes · n of the class), told at the start and kept with the run", async () => {
  const counts = [0, 1, 2].map((c) => facts.labels.filter((l) => l === c).length);
  const balanced = counts.map((n) => facts.labels.length / (3 * n));
  const run = async (w: DistillOptions["classWeights"]) => collect({ ...base, epochs: 1, classWeights: w });
  const [auto, given] = [await run("balanced"), await run(balanced)];
  expect(only(auto, "step")).toEqual(only(given, "step"));
  const [start] = only(auto, "start");
  const short = balanced.map((w) => String(Number(w.toPrecision(4))));
  expect(start!.notes).toEqual([
    `classes weigh ${short.join(", ")} in the loss on labels (hard); metrics count all alike`,
  ]);
});

describe("refused", () => {
  it.each<[Partial<DistillOptions>, string]>([
    [
      { classWeights: [1, 2] },
      `classWeights (--class-weights) has 2 weights, the student ${net} gives 3 logits; give one for each class`,
    ],
    [{ classWeights: [1, -2, 1] }, "distill: classWeights[1] must be a finite number >= 0, got -2"],
    [{ classWeights: [0, 0, 0] }, "distill: classWeights are all 0; give one class a weight above 0"],
    [
      { classWeights: "even" as never },
      'distill: classWeights must be "balanced" or an array with a number for each class, got "even"',
    ],
    [
      { classWeights, task: "multi-label" },
      "distill: task multi-label has no option classWeights; it belongs to tasks whose rows choose one class",
    ],
    [
      {
        classWeights,
        teacher: net,
        data: arrayDataset({ inputs: [tensor("float32", facts.x, facts.dims)] }),
      },
      "distill: classWeights weigh the loss on labels, but the data has none; leave them out, or give labels",
    ],
    [
      { classWeights: "balanced", data: torchData("soft") },
      'distill: classWeights "balanced" counts class indices, but the labels are distributions; give the weights as numbers',
    ],
    [
      { classWeights, teacher: net, strategy: new ResponseDistillationStrategy({ alpha: 0 }) },
      "distill: classWeights (--class-weights) weigh the loss on labels, but this one (loss/soft) has none that they reach; let labels help (--alpha above 0) with a loss of this package, or leave them out",
    ],
  ])("%#", async (options, message) => {
    await expect(collect({ ...base, ...options })).rejects.toThrow(message);
  });
});
