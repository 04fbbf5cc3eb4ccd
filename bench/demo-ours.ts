// The distilled half of the demo as one process: seconds per epoch, CPU seconds and peak memory of the whole process, as one
// line of JSON. bench/peers/demo.py is the same in PyTorch. `tsx bench/demo-ours.ts <threads> <epochs>`.
import { demoRecipe, demoStrategy } from "../src/cli/demo-recipe.ts";
import { openDataset } from "../src/data/open-dataset.ts";
import { createNodeRuntime } from "../src/runtime/ort-node.ts";
import { distill } from "../src/train/distill.ts";
import { peakMegabytes } from "./measure.ts";

const [threads, epochs] = process.argv.slice(2).map(Number) as [number, number];
const { mean, std, tap, aligned, teacherCacheBytes } = demoRecipe;
const scaling = { mean, std };
const began = performance.now();
let firstStep = Number.NaN;
const ends: number[] = [];
/** Processor seconds so far. */
const used = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const usedAtEnds: number[] = [];
for await (const event of distill({
  student: demoRecipe.student(0),
  teacher: demoRecipe.teacher,
  data: await openDataset(demoRecipe.data, { split: "train", ...scaling }),
  evaluation: await openDataset(demoRecipe.data, { split: "test", ...scaling }),
  taps: [{ name: tap, teacher: tap, student: tap }, aligned],
  strategy: demoStrategy(demoRecipe),
  teacherCacheBytes,
  epochs,
  batch: demoRecipe.batch,
  learningRate: demoRecipe.learningRate,
  optimizer: { name: "sgd", momentum: 0.9, nesterov: true, weightDecay: demoRecipe.weightDecay },
  runtime: createNodeRuntime({ threads }),
})) {
  if (event.type === "step" && Number.isNaN(firstStep)) firstStep = (performance.now() - began) / 1000;
  if (event.type === "evaluation" && event.who === "student") {
    ends.push((performance.now() - began) / 1000);
    usedAtEnds.push(used());
  }
}
const perEpoch = (at: readonly number[]): number => (at.at(-1)! - at[0]!) / (at.length - 1);
console.log(
  JSON.stringify({
    seconds: ends.at(-1),
    firstStep,
    perEpoch: perEpoch(ends),
    cpu: used(),
    cpuPerEpoch: perEpoch(usedAtEnds),
    megabytes: peakMegabytes(),
  }),
);
