// Trains the demo's teacher from labels, with distill() itself, and writes it beside the demo data.
//
//   npx tsx scripts/train-demo-teacher.ts [folder of the full Fashion-MNIST] [epochs] [seed]
//
// The folder holds the four IDX files, as Debian's package dataset-fashion-mnist installs them.
import { writeFileSync } from "node:fs";
import { openDataset } from "../src/data/open-dataset.ts";
import { demoTeacher } from "../src/nn/demo-models.ts";
import { distill } from "../src/train/distill.ts";

const [folder = "/usr/share/datasets/fashion-mnist", epochs = "8", seed = "0"] = process.argv.slice(2);
const scaling = { mean: 0.286, std: 0.353 };
const recipe = {
  epochs: Number(epochs),
  seed: Number(seed),
  batch: 128,
  learningRate: 0.1,
  schedule: { schedule: "cosine" },
  optimizer: { name: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
  augment: { flip: true },
} as const;
const began = Date.now();
for await (const e of distill({
  student: demoTeacher(recipe.seed),
  data: await openDataset(folder, { split: "train", ...scaling }),
  evaluation: await openDataset(folder, { split: "test", ...scaling }),
  ...recipe,
})) {
  if (e.type === "step" && e.step % 100 === 0)
    console.log(`step ${e.step}  loss ${e.losses.loss?.toFixed(4)}`);
  if (e.type === "evaluation")
    console.log(`epoch ${e.epoch}  top-1 ${((e.metrics.top1 ?? 0) * 100).toFixed(2)} %`);
  if (e.type === "done") {
    const { top1, top5, loss } = e.metrics;
    writeFileSync("assets/fashion-mnist/teacher.onnx", e.student);
    const made = { by: "scripts/train-demo-teacher.ts", testSamples: 10_000, top1, top5, loss, recipe };
    writeFileSync("assets/fashion-mnist/teacher.json", `${JSON.stringify(made, null, 2)}\n`);
    console.log(
      `${e.student.length} bytes, ${((top1 ?? 0) * 100).toFixed(2)} % on the full test set, ${((Date.now() - began) / 1000).toFixed(0)} s`,
    );
  }
}
