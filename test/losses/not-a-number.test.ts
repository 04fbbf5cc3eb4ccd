// NaN in what a loss compares is NaN in the loss: ONNX Runtime's ReduceMax and TopK pass NaN over, and no comparison with it holds.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import * as strategies from "../../src/strategies/index.ts";

import { testRandom } from "../gradient-checker.ts";
import { emitted } from "./emitted.ts";

const layers = [
  new strategies.AttentionTransferStrategy(),
  new strategies.CenteredKernelAlignmentStrategy(),
  new strategies.ChannelStatisticsStrategy(),
  new strategies.HintStrategy(),
  new strategies.NeuronCorrelationStrategy(),
  new strategies.NeuronSelectivityTransferStrategy(),
  new strategies.SimilarityPreservingStrategy(),
];
const selective = Object.values(strategies.SelectivityMetric).flatMap((metric) =>
  (metric === "class-response" ? (["index"] as const) : (["index", "rank"] as const)).map(
    (match) =>
      [
        `${metric}, ${match}`,
        new strategies.NeuronSelectivityDistillationStrategy({ metric, match, alpha: 0 } as object),
      ] as const,
  ),
);
const all = [...layers.map((s) => [s.constructor.name, s] as const), ...selective];

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
        const made = await emitted(strategy, feeds, "float32");
        expect(made.values.reduce((a, v) => a + v, 0)).toBeNaN();
      }
  });
});
