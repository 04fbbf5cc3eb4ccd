// A tiny learnable problem and a runner that collects events, for the tests of the training loop.

import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { distill } from "../../src/train/distill.ts";
import type { DistillEvent } from "../../src/train/events.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { fixturePath } from "../fixtures/models.ts";
import { testRandom } from "../gradient-checker.ts";

export const cnn = fixturePath("cnn-torchscript.onnx");

/** Images [1, 16, 16] of five classes: a bright bar at one of five heights, under noise. */
export function bars(samples: number, seed: number, options: { labels?: boolean } = {}): Dataset {
  const random = testRandom(seed);
  const data = new Float32Array(samples * 256);
  const labels = Int32Array.from({ length: samples }, () => Math.floor(random() * 5));
  for (let i = 0; i < samples; i++)
    for (let p = 0; p < 256; p++)
      data[i * 256 + p] = (random() - 0.5) * 0.5 + (Math.floor(p / 48) === labels[i] ? 1 : 0);
  return arrayDataset({
    inputs: [tensor("float32", data, [samples, 1, 16, 16])],
    ...(options.labels === false ? {} : { labels, classes: 5 }),
  });
}

export async function collect(options: DistillOptions): Promise<DistillEvent[]> {
  const events: DistillEvent[] = [];
  for await (const event of distill(options)) events.push(event);
  return events;
}

export function only<T extends DistillEvent["type"]>(
  events: readonly DistillEvent[],
  type: T,
): Extract<DistillEvent, { type: T }>[] {
  return events.filter((e): e is Extract<DistillEvent, { type: T }> => e.type === type);
}
