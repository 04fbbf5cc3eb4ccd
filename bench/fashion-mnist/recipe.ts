// The recipe for the full Fashion-MNIST set, as both sides follow it: ours.ts and scripts/train-demo-teacher.ts through
// this file, torch_recipe.py with the same numbers written once more.
import { subset } from "../../src/data/array-dataset.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { openDataset } from "../../src/data/open-dataset.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { distill } from "../../src/train/distill.ts";
import { type Evaluation, evaluate } from "../../src/train/evaluate.ts";
import type { DistillOptions } from "../../src/train/options.ts";

/** Where Debian's package dataset-fashion-mnist puts the four files. */
export const debianFolder = "/usr/share/datasets/fashion-mnist";

export const recipe = {
  mean: 0.286,
  std: 0.353,
  batch: 128,
  learningRate: 0.1,
  optimizer: { name: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
  schedule: { schedule: "cosine" },
  teacherEpochs: 8,
  studentEpochs: 3,
  temperature: 3,
  alpha: 0.3,
  selectivityWeight: 0.5,
} as const;

/** The training options that teacher and students share. */
export const common = {
  batch: recipe.batch,
  learningRate: recipe.learningRate,
  optimizer: recipe.optimizer,
  schedule: recipe.schedule,
  logEvery: 1_000_000,
} as const satisfies Partial<DistillOptions>;

/** Training and test set, the former cut to its first `limit` samples (the order of the files is mixed). */
export async function openFashionMnist(folder: string, limit?: number): Promise<[Dataset, Dataset]> {
  const scaling = { mean: recipe.mean, std: recipe.std };
  const train = await openDataset(folder, { split: "train", ...scaling });
  const test = await openDataset(folder, { split: "test", ...scaling });
  if (limit === undefined || limit >= train.length) return [train, test];
  return [
    subset(
      train,
      Array.from({ length: limit }, (_, i) => i),
    ),
    test,
  ];
}

/**
 * Trains to the last step and returns that student: nothing is chosen by looking at the test set. Prints a line every
 * ten seconds.
 */
export async function trainToTheEnd(
  options: DistillOptions,
  what: string,
): Promise<{ bytes: Uint8Array; seconds: number }> {
  let steps = 0;
  let last = performance.now();
  for await (const event of distill(options)) {
    if (event.type === "start") steps = event.steps;
    if (event.type === "step" && performance.now() - last > 10_000) {
      last = performance.now();
      console.error(`${what}: step ${event.step} of ${steps}, loss ${event.losses.loss?.toFixed(4)}`);
    }
    if (event.type === "done") return { bytes: event.student, seconds: event.seconds };
  }
  throw new Error(`${what}: training ended without a student`);
}

/** Accuracy of an exported model that takes one image input and gives logits. */
export async function evaluateBytes(bytes: Uint8Array, dataset: Dataset): Promise<Evaluation> {
  const session = await nodeRuntime.load(bytes);
  try {
    const [input, output] = [session.inputs[0]!.name, session.outputs[0]!.name];
    return await evaluate(
      async ([images]) => (await session.run({ [input]: images! }, [output]))[output]!,
      dataset,
      { batch: 250 },
    );
  } finally {
    await session.release();
  }
}

export const percent = (share: number | undefined): string => `${(100 * (share ?? Number.NaN)).toFixed(2)} %`;
