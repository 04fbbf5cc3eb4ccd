// The models that a run is given -> Models, and a teacher that can be asked.

import type { SampleBatch } from "../data/dataset.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read-model.ts";
import { prepareTeacher } from "../prepare/prepare-teacher.ts";
import type { Runtime } from "../runtime/session.ts";
import { feederFor } from "./feeds.ts";
import type { DistillOptions, Resolved } from "./options.ts";
import { functionTeacher, modelTeacher, type Teacher } from "./teacher.ts";

/** A teacher's weights are never looked at, so those of a large one stay in its file. */
export async function openModel(
  source: string | Uint8Array | Model,
  what: "teacher" | "student",
): Promise<Model> {
  if (typeof source === "string") {
    const { readModelFile, largeModel } = await import("../onnx/read-model-file.ts");
    return readModelFile(source, what === "teacher" ? { leaveFrom: largeModel } : {});
  }
  if (source instanceof Uint8Array) return readModel(source, { source: what });
  return source;
}

export interface OpenedTeacher {
  readonly teacher: Teacher | undefined;
  readonly notes: readonly string[];
  /** What run.json records of how it is asked. */
  readonly record: { readonly logits: string } | null;
}

export async function openTeacher(
  options: DistillOptions,
  file: Model | undefined,
  o: Resolved,
  runtime: Runtime,
  sample: SampleBatch,
): Promise<OpenedTeacher> {
  const { teacher, data } = options;
  if (typeof teacher === "function")
    return { teacher: functionTeacher(teacher, o.taps, o.task), notes: [], record: null };
  if (!file) return { teacher: undefined, notes: [], record: null };
  const { model, logits, notes } = await prepareTeacher(file, {
    runtime,
    batch: o.batch,
    feeds: feederFor(file, data)(sample.inputs),
    logits: options.teacherLogits,
    activation: o.task.outputs,
    taps: o.taps.map((t) => t.teacher),
  });
  return {
    teacher: await modelTeacher(model, runtime, data, o.taps, logits.value, o.task),
    notes,
    record: { logits: logits.value },
  };
}
