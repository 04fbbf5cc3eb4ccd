// Losses between layers in training: each falls, with layers of unequal width; and a subclass, which trains through its
// arrays, takes the same steps.
import { beforeAll, describe, expect, it } from "vitest";
import { buildModel, nn } from "../../src/index.ts";
import {
  CombinedDistillationStrategy,
  NeuronSelectivityTransferStrategy,
  ResponseDistillationStrategy,
  SimilarityPreservingStrategy,
} from "../../src/strategies/index.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { type LayerLoss, layerStrategies, layerStrategy } from "../strategies/layer-cases.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const data = bars(256, 1);
let teacher: Uint8Array;
beforeAll(async () => {
  const events = await collect({ student: cnn, data, batch: 32, epochs: 6, learningRate: 0.1 });
  teacher = only(events, "done")[0]!.student;
});

/** Three channels at the tap; the teacher has six there. */
const student = buildModel(
  { input: { name: "input", dims: ["batch", 1, 16, 16] }, seed: 5 },
  nn.sequential(
    nn.maxPool(2),
    nn.conv(3, 3, { stride: 2 }),
    nn.relu({ name: "maps" }),
    nn.flatten(),
    nn.linear(5),
  ),
);
const base = { student, data, batch: 32, learningRate: 0.05, seed: 3 } satisfies DistillOptions;
const tap = { name: "features", teacher: "/Clip_output_0", student: "maps" };
const output = { strategy: new ResponseDistillationStrategy({ alpha: 0 }) };
const matched: readonly LayerLoss[] = ["hint", "correlation", "statistics"];
/** So that each counts about as much as the loss on outputs. */
const weights: Partial<Record<LayerLoss, number>> = { nst: 20, sp: 100, at: 30 };

describe("in training", () => {
  it.each(Object.keys(layerStrategies) as LayerLoss[])("%s falls", async (loss) => {
    const strategy = new CombinedDistillationStrategy([
      output,
      { strategy: layerStrategy(loss, { weight: weights[loss] ?? 1 }) },
    ]);
    const taps = [{ ...tap, project: matched.includes(loss) }];
    const steps = only(await collect({ ...base, teacher, epochs: 6, taps, strategy }), "step");
    expect(Object.keys(steps[0]!.losses)).toEqual(["loss", "loss/soft", `loss/${loss}/features`]);
    const mean = (part: typeof steps) =>
      part.reduce((sum, s) => sum + s.losses[`loss/${loss}/features`]!, 0) / part.length;
    expect(mean(steps.slice(-8))).toBeLessThan(0.8 * mean(steps.slice(0, 2)));
  });

  it("can be all there is: a hint without a loss on outputs", async () => {
    const events = await collect({
      ...base,
      teacher,
      epochs: 4,
      taps: [{ ...tap, project: true }],
      strategy: layerStrategy("hint", { weight: 1 }),
    });
    const steps = only(events, "step");
    expect(Object.keys(steps[0]!.losses)).toEqual(["loss", "loss/hint/features"]);
    expect(steps.at(-1)!.losses.loss).toBeLessThan(0.7 * steps[0]!.losses.loss!);
  });

  it("is refused for layers of other width where it needs a match, which names both ways out", async () => {
    const strategy = new CombinedDistillationStrategy([output, { strategy: layerStrategy("hint") }]);
    await expect(collect({ ...base, teacher, epochs: 1, taps: [tap], strategy })).rejects.toThrow(
      /they have 3 and 6 neurons; .* a loss that needs no match \(--intermediate nst, cka, sp or at\) or a learned projection \(project: true; --project features\)$/,
    );
  });

  it("goes the same way through its arrays", async () => {
    class Transfer extends NeuronSelectivityTransferStrategy {}
    class Similarity extends SimilarityPreservingStrategy {}
    const options = { weight: 3, targetLayerName: "features" };
    for (const [own, mine] of [
      [new NeuronSelectivityTransferStrategy(options), new Transfer(options)],
      [new SimilarityPreservingStrategy(options), new Similarity(options)],
    ] as const) {
      const stepsOf = async (strategy: typeof own) => {
        const sum = new CombinedDistillationStrategy([output, { strategy }]);
        return only(
          await collect({ ...base, teacher, epochs: 1, learningRate: 0.01, taps: [tap], strategy: sum }),
          "step",
        );
      };
      const [emitted, onArrays] = [await stepsOf(own), await stepsOf(mine)];
      emitted.forEach((e, i) => {
        expect(onArrays[i]!.losses.loss! / e.losses.loss!, `step ${i + 1}`).toBeCloseTo(1, 4);
      });
    }
  });
});
