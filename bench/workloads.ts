// The distillation steps that are measured: which teacher, which student, on what. bench/peers/step.py has the same ones.
import { sizeOf, type Tensor } from "../src/base/tensor.ts";
import {
  buildModel,
  linear,
  relu,
  resnet,
  sequential,
  textTransformer,
  visionTransformer,
} from "../src/nn/index.ts";
import type { Model } from "../src/onnx/model.ts";

export interface WorkloadSpec {
  readonly title: string;
  readonly batch: number;
  readonly classes: number;
  readonly teacher: () => Model;
  readonly student: () => Model;
  /** One batch. */
  readonly inputs: (batch: number) => Tensor;
  /** Variance selectivity of a map of this name, over the neurons that the student has; default: outputs alone. */
  readonly tap?: string;
}

const images = { classes: 10, size: 32, inputChannels: 3 } as const;
const text = { vocabulary: 30_522, length: 128, classes: 4 } as const;
const perceptron = (name: string, ...widths: readonly number[]): Model =>
  buildModel(
    { input: { name: "x", dims: ["batch", 784] }, name },
    sequential(...widths.flatMap((w) => [linear(w), relu()]), linear(10)),
  );

/** One block a stage, the first of the given width. */
export const resnetStudent = (width: number): Model =>
  resnet({ ...images, widths: [width, 2 * width, 4 * width], blocks: 1, name: "student" });

export const workloads = {
  resnet: {
    title:
      "ResNet, widths 32-64-128 × 3 blocks, to 16-32-64 × 1 block; 32×32×3, batch 64, variance of the last map",
    batch: 64,
    classes: images.classes,
    teacher: () => resnet({ ...images, widths: [32, 64, 128], blocks: 3, name: "teacher" }),
    student: () => resnetStudent(16),
    inputs: (batch) => noise([batch, 3, 32, 32]),
    tap: "features",
  },
  vit: {
    title:
      "Vision transformer, width 192 × 12 blocks, to width 96 × 12 blocks; 64 patches of 32×32×3, batch 32",
    batch: 32,
    classes: images.classes,
    teacher: () => visionTransformer({ ...images, width: 192, depth: 12, heads: 3, name: "teacher" }),
    student: () => visionTransformer({ ...images, width: 96, depth: 12, heads: 3, name: "student" }),
    inputs: (batch) => noise([batch, 3, 32, 32]),
  },
  bert: {
    title: "Text transformer, width 256 × 4 blocks, to width 256 × 2 blocks; sequences of 128, batch 16",
    batch: 16,
    classes: text.classes,
    teacher: () => textTransformer({ ...text, width: 256, depth: 4, heads: 4, name: "teacher" }),
    student: () => textTransformer({ ...text, width: 256, depth: 2, heads: 4, name: "student" }),
    inputs: (batch) => ids([batch, text.length], text.vocabulary),
  },
  mlp: {
    title: "Perceptron 784-1024-1024-10 to 784-128-10; batch 256",
    batch: 256,
    classes: 10,
    teacher: () => perceptron("teacher", 1024, 1024),
    student: () => perceptron("student", 128),
    inputs: (batch) => noise([batch, 784]),
  },
} as const satisfies Record<string, WorkloadSpec>;

export type WorkloadName = keyof typeof workloads;

/** Cheap and seeded; whole numbers of 32 bits. */
function* numbers(): Generator<number, never> {
  for (let state = 1; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state;
  }
}

/** Roughly uniform in [-1.7, 1.7]: unit variance. */
function noise(dims: readonly number[]): Tensor {
  const random = numbers();
  const data = Float32Array.from(
    { length: sizeOf(dims) },
    () => (random.next().value / 2 ** 32 - 0.5) * 3.46,
  );
  return { dtype: "float32", dims, data };
}

function ids(dims: readonly number[], count: number): Tensor {
  const random = numbers();
  const data = BigInt64Array.from({ length: sizeOf(dims) }, () =>
    BigInt((random.next().value >>> 8) % count),
  );
  return { dtype: "int64", dims, data };
}
