// Prints the table of scales in docs/selectivity.md: for each metric, on the demo's teacher and data, what the scores are, how
// far a batch's are from those of all samples, and what the loss of a fresh student would be at weight 1.
//
//   npx tsx bench/selectivity-scales.ts [over]
import { demoRecipe } from "../src/cli/demo-recipe.ts";
import { evaluationBatches } from "../src/data/batches.ts";
import { openDataset } from "../src/data/open-dataset.ts";
import { readModelFile } from "../src/onnx/read-model-file.ts";
import { nodeRuntime } from "../src/runtime/ort-node.ts";
import {
  IntermediateActivations,
  Matrix,
  NeuronSelectivityDistillationStrategy,
  SelectivityAccumulator,
  SelectivityMetric,
  type SelectivityOver,
  selectivityScores,
} from "../src/strategies/index.ts";
import { openRunner } from "../src/train/model-runner.ts";

const over = (process.argv[2] ?? "samples-and-positions") as SelectivityOver;
const { data, teacher, student, mean, std, tap, batch } = demoRecipe;
const dataset = await openDataset(data, { split: "train", mean, std });
const runners = {
  teacher: await openRunner(await readModelFile(teacher), nodeRuntime, dataset, [tap]),
  student: await openRunner(student(0), nodeRuntime, dataset, [tap]),
};
const batches: { teacher: Matrix; student: Matrix; labels: Matrix }[] = [];
for (const samples of evaluationBatches(dataset.length, batch).slice(0, 16)) {
  const { inputs, labels } = await dataset.read(samples);
  const of = async (side: "teacher" | "student") => {
    const { data, dims } = (await runners[side].run(inputs))[tap]!;
    return Matrix.fromTensor({ data: data as Float32Array, dims });
  };
  const rows = Array.from(labels as Int32Array, (y) =>
    Array.from({ length: 10 }, (_, k) => (k === y ? 1 : 0)),
  );
  batches.push({ teacher: await of("teacher"), student: await of("student"), labels: Matrix.fromRows(rows) });
}
await Promise.all(Object.values(runners).map((r) => r.release()));

const average = (x: ArrayLike<number>) => Array.from(x).reduce((a, b) => a + b, 0) / x.length;
const show = (x: number) =>
  Math.abs(x) >= 1000 || Math.abs(x) < 1e-3 ? x.toExponential(1) : x.toPrecision(2);
console.log(`over ${over}, ${batches.length} batches of ${batch}`);
console.log("metric | mean | spread | noise of a batch | loss of a fresh student | relative");
for (const metric of Object.values(SelectivityMetric)) {
  if (metric.startsWith("class") && over === "positions") continue;
  const options = { targetLayerName: "layer", selectivityWeight: 1, metric, over };
  const loss = (distance: "squared" | "relative") =>
    average(
      batches.map((b) =>
        new NeuronSelectivityDistillationStrategy({ ...options, distance }).computeIntermediateLoss(
          new IntermediateActivations().add("layer", b.student),
          new IntermediateActivations().add("layer", b.teacher),
          b.labels,
        ),
      ),
    );
  const each = batches.map((b) => selectivityScores(b.teacher, metric, { over, labels: b.labels }));
  let noise = Number.NaN;
  let scores = each[0]!;
  if (metric !== "population-sparseness") {
    const all = new SelectivityAccumulator({ metric, over });
    for (const b of batches) all.add(b.teacher, b.labels);
    scores = all.scores();
    noise = Math.sqrt(average(each.map((s) => average(s.map((v, i) => (v - scores[i]!) ** 2)))));
  }
  const spread = Math.sqrt(average(scores.map((s) => (s - average(scores)) ** 2)));
  const numbers = [average(scores), spread, noise, loss("squared"), loss("relative")].map(show);
  console.log([metric, ...numbers].join(" | "));
}
