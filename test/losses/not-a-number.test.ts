// NaN in what a loss compares is NaN in the loss: ONNX Runtime's ReduceMax and TopK pass NaN over, and no comparison with it holds.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import * as strategies from "../../src/strategies/index.ts";
import { correlationMatches } from "../../src/strategies/layers/neuron-correlation.ts";
import { transferKernels } from "../../src/strategies/layers/neuron-selectivity-transfer.ts";

import { testRandom } from "../gradient-checker.ts";
import { emitted, Variables } from "./emitted.ts";

const layers: [string, strategies.AnyStrategy][] = [
  ["attention", new strategies.AttentionTransferStrategy()],
  ...([false, true] as const).map((debiased): [string, strategies.AnyStrategy] => [
    `kernel alignment, debiased ${debiased}`,
    new strategies.CenteredKernelAlignmentStrategy({ debiased, over: "samples-and-positions" }),
  ]),
  ["channel statistics", new strategies.ChannelStatisticsStrategy()],
  ["hint", new strategies.HintStrategy()],
  ...correlationMatches.map((match): [string, strategies.AnyStrategy] => [
    `neuron correlation, ${match}`,
    new strategies.NeuronCorrelationStrategy({ match }),
  ]),
  ...transferKernels.map((kernel): [string, strategies.AnyStrategy] => [
    `selectivity transfer, ${kernel}`,
    new strategies.NeuronSelectivityTransferStrategy({ kernel }),
  ]),
  ["similarity", new strategies.SimilarityPreservingStrategy()],
];
const selective = Object.values(strategies.SelectivityMetric).flatMap((metric) =>
  (["index", "rank", "assignment"] as const)
    .filter((match) => match !== "rank" || metric !== "class-response")
    .filter((match) => match !== "assignment" || metric !== "population-sparseness")
    .map(
      (match) =>
        [
          `${metric}, ${match}`,
          new strategies.NeuronSelectivityDistillationStrategy({ metric, match, alpha: 0 } as object),
        ] as const,
    ),
);
const all = [...layers, ...selective];

const random = testRandom(5);
const numbers = () => Float64Array.from({ length: 6 * 4 }, () => random() + 0.1);
const logits = () =>
  tensor(
    "float64",
    Float64Array.from({ length: 9 }, () => random()),
    [3, 3],
  );

describe("NaN at either side, wherever it lies", () => {
  it.each(all)("%s", async (_, strategy) => {
    const inputs = { student: logits(), teacher: logits() };
    for (const at of [0, 9, 23])
      for (const side of ["studentTap", "teacherTap"] as const) {
        const taps = { studentTap: numbers(), teacherTap: numbers() };
        taps[side][at] = Number.NaN;
        const t = (x: Float64Array) => tensor("float64", x, [3, 2, 4]);
        const feeds = { ...inputs, studentTap: t(taps.studentTap), teacherTap: t(taps.teacherTap) };
        const made = await emitted(strategy, feeds, "float32", "cpu", new Variables());
        expect(made.values.reduce((a, v) => a + v, 0)).toBeNaN();
      }
  });
});

it("by assignment, also in a neuron of the student's that has no partner; the teacher's is not looked at", async () => {
  const strategy = new strategies.NeuronSelectivityDistillationStrategy({ match: "assignment" });
  for (const [side, expected] of [
    ["studentTap", true],
    ["teacherTap", false],
  ] as const) {
    const taps = { studentTap: numbers(), teacherTap: numbers() };
    taps[side][3] = Number.NaN;
    const t = (x: Float64Array) => tensor("float64", x, [3, 2, 4]);
    const variables = new Variables();
    variables.values.set(
      "selectivity/layer/variance/samples-and-positions/assignment/assignment",
      Float32Array.of(0, 2, 1, -1),
    );
    const feeds = {
      student: logits(),
      teacher: logits(),
      studentTap: t(taps.studentTap),
      teacherTap: t(taps.teacherTap),
    };
    const made = await emitted(strategy, feeds, "float32", "cpu", variables);
    expect(Number.isNaN(made.values.at(-1))).toBe(expected);
  }
});
