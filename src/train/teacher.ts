// The teacher: an ONNX model as it is, or any function. Keeping its outputs is teacher-cache.ts's job.
import { DistillError, didYouMean } from "../base/errors.ts";
import { floatsAsFloat32 } from "../base/floats.ts";
import { isFloat, type Tensor } from "../base/tensor.ts";
import type { Dataset, Labels } from "../data/dataset.ts";
import type { Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import type { Runtime } from "../runtime/session.ts";
import { neuronAxisOf } from "../taps/neuron-layout.ts";
import { type OutputReading, taskNamed } from "../tasks/index.ts";
import { type ModelRunner, openRunner } from "./model-runner.ts";
import { OutputReader, type OutputReaderOptions } from "./output-reader.ts";

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
  /** `labels`: of the same samples; those of the first batch may tell how its output is read. */
  run(inputs: readonly Tensor[], labels?: Labels): Promise<TeacherOutputs>;
  /** The logits alone. */
  logits(inputs: readonly Tensor[]): Promise<Tensor>;
  /** How its output is read: known from the first batch on. */
  readonly reading: OutputReading | undefined;
  /** What is said of that. */
  readonly note: string | undefined;
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

/** How the output of a teacher is to be read; default: as of a classification. */
export type TeacherReading = Partial<Pick<OutputReaderOptions, "task" | "asked" | "graph">>;

export async function modelTeacher(
  model: Model,
  runtime: Runtime,
  dataset: Dataset,
  taps: readonly TeacherTap[],
  logits = model.graph.outputs[0]?.name ?? "",
  reading: TeacherReading = {},
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
  const ask = async (inputs: readonly Tensor[]) =>
    (await (await opened()).run(inputs, [logits]))[logits] as Tensor;
  const reader = readerOf(reading, logits);
  const read = (t: Tensor, inputs: readonly Tensor[], labels?: Labels) =>
    reader.read(t, {
      ...{ inputs, labels },
      again: ask,
      shapes: async () => (await opened()).observe(inputs),
    });
  return {
    async run(inputs, labels) {
      const out = await (await opened()).run(inputs);
      return {
        logits: await read(out[logits] as Tensor, inputs, labels),
        taps: Object.fromEntries(taps.map((t) => [t.name, asFloat32(out[t.teacher] as Tensor, t.name)])),
      };
    },
    logits: async (inputs) => read(await ask(inputs), inputs),
    get reading() {
      return reader.reading;
    },
    get note() {
      return reader.note;
    },
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
  reading: TeacherReading = {},
): Teacher {
  const reader = readerOf(reading, "logits");
  const again = async (inputs: readonly Tensor[]) => (await call(inputs)).logits;
  return {
    async run(inputs, labels) {
      const { logits, taps: given = {} } = await call(inputs);
      const missing = taps.find((t) => !given[t.name]);
      if (missing)
        throw new DistillError(
          "E_NAME",
          `the teacher function returned no tap "${missing.name}".${didYouMean(missing.name, Object.keys(given))}`,
        );
      return { logits: await reader.read(logits, { inputs, labels, again }), taps: given };
    },
    logits: async (inputs) => reader.read(await again(inputs), { inputs, again }),
    get reading() {
      return reader.reading;
    },
    get note() {
      return reader.note;
    },
    neuronAxis: () => undefined,
    release: async () => {},
  };
}

function asFloat32(t: Tensor, name: string): Tensor {
  if (isFloat(t.dtype)) return floatsAsFloat32(t);
  throw new DistillError(
    "E_MODEL",
    `the teacher's "${name}" is ${t.dtype}, expected float32; tap a float value`,
  );
}

const readerOf = ({ task = taskNamed(), asked, graph }: TeacherReading, name: string): OutputReader =>
  new OutputReader({
    ...{ task, asked, graph },
    who: `the teacher's {} "${name}"`,
    flags: { logits: "--teacher-logits", gives: "--teacher-gives" },
  });
