// The models that a run is given -> Models, and a teacher that can be asked.

import type { SampleBatch } from "../data/dataset.ts";
import { withFloat32Inputs } from "../onnx/float32-inputs.ts";
import { inferenceForm } from "../onnx/inference-form.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read-model.ts";
import { prepareTeacher } from "../prepare/prepare-teacher.ts";
import type { Runtime } from "../runtime/session.ts";
import { withClassMap } from "./class-map.ts";
import { feederFor } from "./feeds.ts";
import type { DistillOptions, Resolved } from "./options.ts";
import { activationOf, askedOf } from "./output-options.ts";
import { functionTeacher, modelTeacher, type Teacher } from "./teacher.ts";

/** A teacher is run as it is and never delivered: its weights stay in its file where it is large. Inputs take float32. */
export async function openModel(
  source: string | Uint8Array | Model,
  what: "teacher" | "student",
): Promise<Model> {
  return withFloat32Inputs(await readAny(source, what));
}

async function readAny(source: string | Uint8Array | Model, what: "teacher" | "student"): Promise<Model> {
  if (typeof source === "string") {
    const { readModelFile, largeModel } = await import("../onnx/read-model-file.ts");
    return readModelFile(source, what === "teacher" ? { leaveFrom: largeModel } : {});
  }
  if (source instanceof Uint8Array) return readModel(source, { source: what });
  return source;
}

/** What a model is when it is evaluated and asked, and what a file in training mode says beside. */
export function asInferred(
  file: Model,
  what: "teacher" | "student",
): { readonly model: Model; readonly keptStatistics: readonly string[]; readonly notes: readonly string[] } {
  const { model, changed, kept } = inferenceForm(file);
  if (changed.size === 0) return { model, keptStatistics: [], notes: [] };
  const layers = [...changed].map(([op, n]) => `${n} ${op}`).join(" and ");
  const stays =
    what === "student" && kept.length > 0
      ? `; ${kept.length / 2} BatchNormalization in inference mode stay so in training, with their statistics (--train to let them move)`
      : "";
  const uses = what === "student" ? "evaluated and written to student.onnx" : "asked";
  return {
    model,
    keptStatistics: kept,
    notes: [`the ${what}'s file has ${layers} in training mode; it is ${uses} in inference mode${stays}`],
  };
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
  const asked = askedOf(o, "teacher");
  const mapped = (t: Teacher): Teacher => (o.classMap ? withClassMap(t, o.classMap) : t);
  if (typeof teacher === "function")
    return {
      teacher: mapped(functionTeacher(teacher, o.taps, { task: o.task, asked })),
      notes: [],
      record: null,
    };
  if (!file) return { teacher: undefined, notes: [], record: null };
  const { model, logits, notes } = await prepareTeacher(file, {
    runtime,
    batch: o.batch,
    feeds: feederFor(file, data)(sample.inputs),
    logits: options.teacherLogits,
    activation: activationOf(o.task, asked),
    taps: o.taps.map((t) => t.teacher),
  });
  const reading = { task: o.task, asked, graph: { model, logits } };
  return {
    teacher: mapped(await modelTeacher(model, runtime, data, o.taps, logits.value, reading)),
    notes,
    record: { logits: logits.value },
  };
}
