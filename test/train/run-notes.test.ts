// What a run says before it begins, of losses that cannot work as they were asked for.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { buildModel, nn } from "../../src/index.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import {
  type AnyStrategy,
  CenteredKernelAlignmentStrategy,
  CombinedDistillationStrategy,
  CorrelationDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import { collect, only } from "./helpers.ts";

const model = (classes: number, seed: number) =>
  modelBytes(
    buildModel(
      { input: { name: "x", dims: ["batch", 4] }, seed },
      nn.sequential(nn.linear(3), nn.relu({ name: "hidden" }), nn.linear(classes)),
    ),
  );
const values = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i));
const data = arrayDataset({ inputs: [tensor("float32", values, [8, 4])], labels: [0, 1, 0, 1, 0, 1, 0, 1] });

async function notes(strategy: AnyStrategy, classes: number): Promise<string> {
  const run = {
    student: model(classes, 1),
    teacher: model(classes, 2),
    data,
    strategy,
    taps: [{ teacher: "hidden" }],
    epochs: 1,
    batch: 8,
  };
  return only(await collect(run), "start")[0]!.notes.join("\n");
}

describe("DIST", () => {
  const dist = (alpha: number) => new CorrelationDistillationStrategy({ alpha });
  const open = /between two classes DIST leaves open where one ends/;
  it("between two classes says that nothing tells the threshold, unless labels or another loss do", async () => {
    expect(await notes(dist(0), 2)).toMatch(open);
    expect(await notes(dist(0.3), 2)).not.toMatch(open);
    expect(await notes(dist(0), 3)).not.toMatch(open);
    const both = new CombinedDistillationStrategy([
      { strategy: dist(0) },
      { strategy: new ResponseDistillationStrategy({ alpha: 0 }) },
    ]);
    expect(await notes(both, 2)).not.toMatch(open);
  });

  it("is told apart from strategies without a loss on outputs, beside it and alone", async () => {
    const layers = new CenteredKernelAlignmentStrategy();
    const beside = new CombinedDistillationStrategy([{ strategy: dist(0) }, { strategy: layers }]);
    expect(await notes(beside, 2)).toMatch(open);
    expect(await notes(layers, 2)).not.toMatch(open);
  });
});
