// A measured distillation step on our side, in the parts that it is timed by.
import { sizeOf, type Tensor, tensor } from "../src/base/tensor.ts";
import { type CompiledStep, compileStep, names } from "../src/compile/compile-step.ts";
import type { Dataset } from "../src/data/dataset.ts";
import { emissionOf } from "../src/losses/index.ts";
import { targets } from "../src/ops/target.ts";
import { sgd } from "../src/optim/sgd.ts";
import { exampleFeeds } from "../src/runtime/example-feeds.ts";
import { observe } from "../src/runtime/observe.ts";
import type { Runtime } from "../src/runtime/session.ts";
import {
  NeuronSelectivityDistillationStrategy,
  ResponseDistillationStrategy,
} from "../src/strategies/index.ts";
import { StepRunner } from "../src/train/step-runner.ts";
import { modelTeacher, type TeacherOutputs } from "../src/train/teacher.ts";
import type { WorkloadSpec } from "./workloads.ts";

export interface Workload {
  readonly compiled: CompiledStep;
  /** The feeds of one step. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** The teacher's forward pass. */
  teacher(): Promise<unknown>;
  /** The student's step, with what the teacher said before: what a step is once the teacher's outputs are kept. */
  student(): Promise<unknown>;
  /** Both, as in training. */
  whole(): Promise<unknown>;
  release(): Promise<void>;
}

const temperature = 3;
const alpha = 0.3;

export async function makeWorkload(
  spec: WorkloadSpec,
  runtime: Runtime,
  batch = spec.batch,
): Promise<Workload> {
  const { classes, tap } = spec;
  const [teacherModel, studentModel] = [spec.teacher(), spec.student()];
  const inputs = spec.inputs(batch);
  const labels = new Float32Array(batch * classes);
  for (let i = 0; i < batch; i++) labels[i * classes + (i % classes)] = 1;
  const dataset: Dataset = {
    length: batch,
    inputs: [{ dims: inputs.dims.slice(1), dtype: inputs.dtype as "float32" }],
    hasLabels: false,
    read: () => ({ inputs: [inputs] }),
  };
  const teacherTaps = tap ? [{ name: tap, teacher: tap }] : [];
  const teacher = await modelTeacher(teacherModel, runtime, dataset, teacherTaps);
  const { known, types } = await observe(studentModel, runtime, exampleFeeds(studentModel, batch));
  const tapped = tap && studentModel.graph.find(tap);
  const tapDims = (tapped && types.get(tapped)?.dims) || [];
  const strategy = tap
    ? new NeuronSelectivityDistillationStrategy({
        targetLayerName: tap,
        selectivityWeight: 0.5,
        temperature,
        alpha,
      })
    : new ResponseDistillationStrategy({ temperature, alpha });
  const compiled = compileStep({
    student: studentModel,
    known,
    teacherLogits: true,
    labels: true,
    taps: tap ? [{ name: tap, student: tap, teacher: { dtype: "float32", dims: tapDims } }] : [],
    loss: emissionOf(strategy)!,
    optimizer: sgd({ momentum: 0.9, weightDecay: 5e-4 }),
    freeze: [],
    trainStatistics: true,
    target: targets.cpu,
    convolutionBlock: await runtime.convolutionBlock?.(),
  });
  const runner = await StepRunner.load(compiled, runtime, 0);
  const input = studentModel.inputs[0]!.name;
  const feedsFor = (said: TeacherOutputs): Record<string, Tensor> => ({
    [input]: inputs,
    [names.teacherLogits]: said.logits,
    [names.labels]: tensor("float32", labels, [batch, classes]),
    ...(tap ? { [names.teacherTap(tap)]: firstNeurons(said.taps[tap]!, tapDims) } : {}),
  });
  const feeds = feedsFor(await teacher.run([inputs]));
  let step = 0;
  const train = async (given: Record<string, Tensor>): Promise<void> => {
    const { losses, accept } = await runner.run(given, { step: step++, steps: 1, stepsPerEpoch: 1 }, 0.001);
    if (!Number.isFinite(losses.loss)) throw new Error("the loss is not finite");
    accept();
  };
  return {
    compiled,
    feeds,
    teacher: () => teacher.run([inputs]),
    student: () => train(feeds),
    whole: async () => train(feedsFor(await teacher.run([inputs]))),
    release: async () => {
      await teacher.release();
      await runner.release();
    },
  };
}

/** The teacher's last map has more channels than the student's; the first ones stand for a tap of equal width. */
function firstNeurons(map: Tensor, dims: readonly number[]): Tensor {
  const batch = dims[0] as number;
  const kept = sizeOf(dims) / batch;
  const all = map.data.length / batch;
  const data = new Float32Array(batch * kept);
  for (let i = 0; i < batch; i++)
    data.set((map.data as Float32Array).subarray(i * all, i * all + kept), i * kept);
  return { dtype: "float32", dims, data };
}
