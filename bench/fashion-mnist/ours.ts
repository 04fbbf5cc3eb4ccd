// Students on full Fashion-MNIST by distill(): from labels alone, distilled, and distilled with neuron selectivity.
//
//   npx tsx bench/fashion-mnist/ours.ts [--data <folder>] [--teacher <teacher.onnx>] [--seeds 0,1,2] [--epochs 3]
//     [--kinds labels,kd,kd+variance] [--limit <training images>] [--out ours.json] [--save-teacher <folder>]
//
// --save-teacher writes what the teacher says of the training images as logits.npy and features.npy (750 MB for the full
// set), from which torch_recipe.py distils, so that both sides learn from the same teacher; with --seeds "" nothing is trained.
// The recipe stands in recipe.ts; accuracy is that of the last step on the full test set.
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { demoStudent } from "../../src/nn/index.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import {
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { writeWhole } from "../../src/train/run-folder.ts";
import { modelTeacher } from "../../src/train/teacher.ts";
import { NpyFile } from "./npy-file.ts";
import {
  common,
  debianFolder,
  evaluateBytes,
  openFashionMnist,
  percent,
  recipe,
  trainToTheEnd,
} from "./recipe.ts";

const { values } = parseArgs({
  options: {
    data: { type: "string", default: debianFolder },
    teacher: {
      type: "string",
      default: fileURLToPath(new URL("../../assets/fashion-mnist/teacher.onnx", import.meta.url)),
    },
    seeds: { type: "string", default: "0,1,2" },
    kinds: { type: "string", default: "labels,kd,kd+variance" },
    epochs: { type: "string", default: String(recipe.studentEpochs) },
    limit: { type: "string" },
    out: { type: "string" },
    "save-teacher": { type: "string" },
  },
});
const list = (text: string): string[] => text.split(",").filter((s) => s !== "");
const limit = values.limit === undefined ? undefined : Number(values.limit);
const [train, test] = await openFashionMnist(values.data, limit);
const teacherBytes = new Uint8Array(readFileSync(values.teacher));

if (values["save-teacher"] !== undefined) await saveTeacher(values["save-teacher"]);

const { temperature, alpha, selectivityWeight } = recipe;
const kinds: Record<string, Partial<DistillOptions>> = {
  labels: {},
  kd: { teacher: teacherBytes, strategy: new ResponseDistillationStrategy({ temperature, alpha }) },
  "kd+variance": {
    teacher: teacherBytes,
    taps: [{ teacher: "features" }],
    strategy: new NeuronSelectivityDistillationStrategy({
      targetLayerName: "features",
      selectivityWeight,
      temperature,
      alpha,
    }),
  },
};
const rows: { kind: string; seed: number; top1: number; loss: number; seconds: number }[] = [];
for (const seed of list(values.seeds).map(Number))
  for (const kind of list(values.kinds)) {
    const special = kinds[kind];
    if (!special) throw new Error(`unknown kind "${kind}"; known: ${Object.keys(kinds).join(", ")}`);
    const what = `${kind}, seed ${seed}`;
    const { bytes, seconds } = await trainToTheEnd(
      { ...common, ...special, student: demoStudent(seed), data: train, epochs: Number(values.epochs), seed },
      what,
    );
    const { top1 = 0, loss = 0 } = (await evaluateBytes(bytes, test)).metrics;
    rows.push({ kind, seed, top1, loss, seconds });
    console.log(`${what}: ${percent(top1)}, ${seconds.toFixed(0)} s`);
  }

const teacher = (await evaluateBytes(teacherBytes, test)).metrics;
console.log(`teacher: ${percent(teacher.top1)}`);
const means = Object.fromEntries(
  list(values.kinds).map((kind) => {
    const own = rows.filter((r) => r.kind === kind).map((r) => r.top1);
    return [kind, own.reduce((a, v) => a + v, 0) / own.length];
  }),
);
if (rows.length > 0)
  for (const [kind, mean] of Object.entries(means)) console.log(`${kind}: mean ${percent(mean)}`);
if (values.out !== undefined)
  writeWhole(
    values.out,
    `${JSON.stringify(
      {
        side: "onnx-distill",
        runtime: nodeRuntime.name,
        machine: { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version },
        trainingImages: train.length,
        epochs: Number(values.epochs),
        recipe,
        teacher: teacher.top1,
        means,
        rows,
      },
      null,
      2,
    )}\n`,
  );

async function saveTeacher(folder: string): Promise<void> {
  const taps = [{ name: "features", teacher: "features" }];
  const said = await modelTeacher(readModel(teacherBytes), nodeRuntime, train, taps);
  const files: Record<string, NpyFile> = {};
  for (let from = 0; from < train.length; from += 250) {
    const samples = Array.from({ length: Math.min(250, train.length - from) }, (_, i) => from + i);
    const { logits, taps } = await said.run((await train.read(samples)).inputs);
    for (const [name, t] of Object.entries({ logits, features: taps.features! })) {
      files[name] ??= new NpyFile(join(folder, `${name}.npy`), [train.length, ...t.dims.slice(1)]);
      files[name].append(t.data as Float32Array);
    }
  }
  for (const file of Object.values(files)) file.close();
  await said.release();
}
