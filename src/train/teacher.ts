// The teacher: an ONNX model as it is, or any function. Keeping its outputs is teacher-cache.ts's job.
import { DistillError, didYouMean } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import type { Runtime } from "../runtime/session.ts";
import { neuronAxisOf } from "../taps/neuron-layout.ts";
import {
  type BatchAxis,
  batchFirst,
  checkLogitsShape,
  findBatchAxis,
  type Task,
  taskNamed,
} from "../tasks/index.ts";
import { type ModelRunner, openRunner } from "./model-runner.ts";

export interface TeacherOutputs {
  /** float32, as the task takes them, samples in front: `[n, classes]` for a classification. */
  readonly logits: Tensor;
  /** By tap name. */
  readonly taps: Readonly<Record<string, Tensor>>;
}

/** A teacher that is not an ONNX file: batch inputs in the data set's order -> logits, and taps by tap name. */
export type TeacherFunction = (inputs: readonly Tensor[]) => TeacherOutputsLike | Promise<TeacherOutputsLike>;

export interface TeacherOutputsLike {
  readonly logits: Tensor;
  readonly taps?: Readonly<Record<string, Tensor>>;
}

export interface Teacher {
  run(inputs: readonly Tensor[]): Promise<TeacherOutputs>;
  /** The logits alone. */
  logits(inputs: readonly Tensor[]): Promise<Tensor>;
  /** The axis of a value of that rank that counts neurons; undefined where the teacher is no model. */
  neuronAxis(value: string, rank: number): number | undefined;
  /** Frees the model, which is loaded again where it is asked once more. */
  release(): Promise<void>;
}

export interface TeacherTap {
  readonly name: string;
  /** Name of a value of the teacher's graph (unused by teacher functions). */
  readonly teacher: string;
}

export async function modelTeacher(
  model: Model,
  runtime: Runtime,
  dataset: Dataset,
  taps: readonly TeacherTap[],
  logits = model.graph.outputs[0]?.name ?? "",
  task = taskNamed(),
): Promise<Teacher> {
  const names = [...model.graph.values()].map((v) => v.name);
  for (const { name, teacher } of [...taps, { name: "", teacher: logits }])
    if (!model.graph.has(teacher))
      throw new DistillError(
        "E_NAME",
        `${name ? `tap "${name}"` : "logits"}: the teacher ${model.source} has no value "${teacher}".${didYouMean(teacher, names)} \`onnx-distill inspect\` lists them.`,
      );
  const open = () => openRunner(model, runtime, dataset, [logits, ...taps.map((t) => t.teacher)]);
  let runner: ModelRunner | undefined = await open();
  const opened = async (): Promise<ModelRunner> => (runner ??= await open());
  const asLogits = logitsReader(task, logits);
  return {
    async run(inputs) {
      const out = await (await opened()).run(inputs);
      return {
        logits: asLogits(out[logits] as Tensor, inputs),
        taps: Object.fromEntries(taps.map((t) => [t.name, asFloat32(out[t.teacher] as Tensor, t.name)])),
      };
    },
    logits: async (inputs) =>
      asLogits((await (await opened()).run(inputs, [logits]))[logits] as Tensor, inputs),
    neuronAxis: (name, rank) => neuronAxisOf(model.graph.find(name) as Value, rank),
    async release() {
      const held = runner;
      runner = undefined;
      await held?.release();
    },
  };
}

export function functionTeacher(
  call: TeacherFunction,
  taps: readonly TeacherTap[],
  task = taskNamed(),
): Teacher {
  const asLogits = logitsReader(task, "logits");
  return {
    async run(inputs) {
      const { logits, taps: given = {} } = await call(inputs);
      const missing = taps.find((t) => !given[t.name]);
      if (missing)
        throw new DistillError(
          "E_NAME",
          `the teacher function returned no tap "${missing.name}".${didYouMean(missing.name, Object.keys(given))}`,
        );
      return { logits: asLogits(logits, inputs), taps: given };
    },
    logits: async (inputs) => asLogits((await call(inputs)).logits, inputs),
    neuronAxis: () => undefined,
    release: async () => {},
  };
}

function asFloat32(t: Tensor, name: string): Tensor {
  if (t.dtype === "float32") return t;
  if (t.dtype === "float64")
    return { dtype: "float32", dims: t.dims, data: Float32Array.from(t.data as Float64Array) };
  throw new DistillError(
    "E_MODEL",
    `the teacher's "${name}" is ${t.dtype}, expected float32; tap a float value`,
  );
}

/** Checks logits and brings their samples in front; the first batch shows where they lie. */
function logitsReader(task: Task, name: string): (t: Tensor, inputs: readonly Tensor[]) => Tensor {
  const what = `the teacher's logits "${name}"`;
  let axis: BatchAxis | undefined = task.timeFirst ? undefined : 0;
  return (t, inputs) => {
    checkLogitsShape(task, t.dims, what, "--teacher-logits");
    axis ??= findBatchAxis(t.dims, inputs[0]?.dims[0] as number, what);
    return batchFirst(asFloat32(t, name), axis);
  };
}
