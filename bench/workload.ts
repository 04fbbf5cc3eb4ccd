// The distillation step that is measured, on our side: a residual teacher run at every step and a student of the same
// family, 32×32 colour images, batch 64, outputs and the variance of the last map.
import { sizeOf, type Tensor, tensor } from "../src/base/tensor.ts";
import { type CompiledStep, compileStep, names } from "../src/compile/compile-step.ts";
import type { Dataset } from "../src/data/dataset.ts";
import { emissionOf } from "../src/losses/index.ts";
import { resnet } from "../src/nn/index.ts";
import { targets } from "../src/ops/target.ts";
import { sgd } from "../src/optim/sgd.ts";
import { exampleFeeds } from "../src/runtime/example-feeds.ts";
import { observe } from "../src/runtime/observe.ts";
import type { Runtime } from "../src/runtime/session.ts";
import { NeuronSelectivityDistillationStrategy } from "../src/strategies/index.ts";
import { StepRunner } from "../src/train/step-runner.ts";
import { modelTeacher, type TeacherOutputs } from "../src/train/teacher.ts";

export const shape = { batch: 64, channels: 3, size: 32, classes: 10 } as const;

export interface Workload {
  readonly compiled: CompiledStep;
  /** The feeds of one step. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** The teacher's forward pass. */
  teacher(): Promise<unknown>;
  /** The student's step, with what the teacher said before. */
  student(): Promise<unknown>;
  /** Both, as in training. */
  whole(): Promise<unknown>;
  release(): Promise<void>;
}

export async function makeWorkload(runtime: Runtime): Promise<Workload> {
  const { batch, channels, size, classes } = shape;
  const family = { inputChannels: channels, size, classes };
  const teacherModel = resnet({ ...family, widths: [32, 64, 128], blocks: 3, name: "teacher" });
  const studentModel = resnet({ ...family, widths: [16, 32, 64], blocks: 1, name: "student" });
  const images = noise([batch, channels, size, size]);
  const labels = new Float32Array(batch * classes);
  for (let i = 0; i < batch; i++) labels[i * classes + (i % classes)] = 1;
  const dataset: Dataset = {
    length: batch,
    inputs: [{ dims: [channels, size, size], dtype: "float32" }],
    hasLabels: false,
    read: () => ({ inputs: [images] }),
  };
  const teacher = await modelTeacher(teacherModel, runtime, dataset, [{ name: "last", teacher: "features" }]);
  const tapDims = [batch, 64, 8, 8];
  const { known } = await observe(studentModel, runtime, exampleFeeds(studentModel, batch));
  const strategy = new NeuronSelectivityDistillationStrategy({
    targetLayerName: "last",
    selectivityWeight: 0.5,
    temperature: 3,
    alpha: 0.3,
  });
  const compiled = compileStep({
    student: studentModel,
    known,
    teacherLogits: true,
    labels: true,
    taps: [{ name: "last", student: "features", teacher: { dtype: "float32", dims: tapDims } }],
    loss: emissionOf(strategy)!,
    optimizer: sgd({ momentum: 0.9, weightDecay: 5e-4 }),
    freeze: [],
    trainStatistics: true,
    target: targets.cpu,
    convolutionBlock: await runtime.convolutionBlock?.(),
  });
  const runner = await StepRunner.load(compiled, runtime, 0);
  const feedsFor = (said: TeacherOutputs): Record<string, Tensor> => ({
    image: images,
    [names.teacherLogits]: said.logits,
    [names.teacherTap("last")]: firstChannels(said.taps.last!, tapDims),
    [names.labels]: tensor("float32", labels, [batch, classes]),
  });
  const feeds = feedsFor(await teacher.run([images]));
  let step = 0;
  const train = async (given: Record<string, Tensor>): Promise<void> => {
    const { losses, accept } = await runner.run(given, { step: step++, steps: 1, stepsPerEpoch: 1 }, 0.01);
    if (!Number.isFinite(losses.loss)) throw new Error("the loss is not finite");
    accept();
  };
  return {
    compiled,
    feeds,
    teacher: () => teacher.run([images]),
    student: () => train(feeds),
    whole: async () => train(feedsFor(await teacher.run([images]))),
    release: async () => {
      await teacher.release();
      await runner.release();
    },
  };
}

/** The teacher's last map has twice the student's channels; the first half stands for a tap of equal width. */
function firstChannels(map: Tensor, dims: readonly number[]): Tensor {
  const batch = dims[0] as number;
  const kept = sizeOf(dims) / batch;
  const all = map.data.length / batch;
  const data = new Float32Array(batch * kept);
  for (let i = 0; i < batch; i++)
    data.set((map.data as Float32Array).subarray(i * all, i * all + kept), i * kept);
  return { dtype: "float32", dims, data };
}

/** Cheap, seeded, roughly uniform in [-1.7, 1.7]: unit variance. */
function noise(dims: readonly number[]): Tensor {
  let state = 1;
  const data = Float32Array.from({ length: sizeOf(dims) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 3.46;
  });
  return { dtype: "float32", dims, data };
}
