// A measured distillation step on our side, in the parts that it is timed by.
import { sizeOf, type Tensor, tensor } from "../src/base/tensor.ts";
import { type CompiledStep, compileStep, names } from "../src/compile/compile-step.ts";
import { arrayDataset } from "../src/data/array-dataset.ts";
import type { SampleBatch } from "../src/data/dataset.ts";
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
import { fillCache, type TeacherCache } from "../src/train/teacher-cache.ts";
import type { WorkloadSpec } from "./workloads.ts";

export interface Workload {
  readonly compiled: CompiledStep;
  /** The feeds of one step. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** The teacher's forward pass. */
  teacher(): Promise<unknown>;
  /** The student's step, with what the teacher said before, on the same batch again and again. */
  student(): Promise<unknown>;
  /** Everything, as in training: a batch read, the teacher asked, the step done. */
  whole(): Promise<unknown>;
  /** The same in a later epoch, the teacher's outputs gathered from where they are kept. */
  kept(): Promise<unknown>;
  release(): Promise<void>;
}

/** How many batches the data set holds. */
const poolBatches = 4;

const temperature = 3;
const alpha = 0.3;

export async function makeWorkload(
  spec: WorkloadSpec,
  runtime: Runtime,
  batch = spec.batch,
): Promise<Workload> {
  const { classes, tap } = spec;
  const [teacherModel, studentModel] = [spec.teacher(), spec.student()];
  const samples = poolBatches * batch;
  const dataset = arrayDataset({ inputs: [spec.inputs(samples)] });
  const first = Uint32Array.from({ length: batch }, (_, i) => i);
  const inputs = (await dataset.read(first)).inputs[0]!;
  const labels = new Float32Array(batch * classes);
  for (let i = 0; i < batch; i++) labels[i * classes + (i % classes)] = 1;
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
  const ask = async (x: readonly Tensor[]): Promise<TeacherOutputs> => {
    const { logits, taps } = await teacher.run(x);
    return { logits, taps: tap ? { [tap]: firstNeurons(taps[tap]!, tapDims) } : {} };
  };
  const feedsFor = (x: Tensor, said: TeacherOutputs): Record<string, Tensor> => ({
    [input]: x,
    [names.teacherLogits]: said.logits,
    [names.labels]: tensor("float32", labels, [batch, classes]),
    ...(tap ? { [names.teacherTap(tap)]: said.taps[tap]! } : {}),
  });
  const feeds = feedsFor(inputs, await ask([inputs]));
  let turn = 0;
  /** A scattered batch, another one each time. */
  const scattered = (): Uint32Array => {
    turn++;
    return Uint32Array.from({ length: batch }, (_, i) => (37 * i + turn) % samples);
  };
  let cache: TeacherCache | undefined;
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
    whole: async () => {
      const { inputs: x } = (await dataset.read(scattered())) as SampleBatch;
      await train(feedsFor(x[0]!, await ask(x)));
    },
    kept: async () => {
      cache ??= await filled(samples, batch, async (chosen) => ask((await dataset.read(chosen)).inputs));
      const chosen = scattered();
      const { inputs: x } = (await dataset.read(chosen)) as SampleBatch;
      await train(feedsFor(x[0]!, cache.gather(chosen)));
    },
    release: async () => {
      cache?.close();
      await teacher.release();
      await runner.release();
    },
  };
}

/** The teacher's outputs for all samples, in memory. */
async function filled(
  samples: number,
  batch: number,
  ask: (samples: Uint32Array) => Promise<TeacherOutputs>,
): Promise<TeacherCache> {
  const plan = { place: "memory", type: "float32", bytes: 0, folder: "" } as const;
  const filling = fillCache({ plan, samples, variants: 1, batch, ask });
  for (;;) {
    const { done, value } = await filling.next();
    if (done) return value;
  }
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
