// How the student's output is read, as the first batch shows it.
import type { Tensor } from "../base/tensor.ts";
import type { Dataset, SampleBatch } from "../data/dataset.ts";
import type { PreparedStudent } from "../prepare/prepare-student.ts";
import { type OutputReading, usualLayout } from "../tasks/index.ts";
import { openRunner } from "./model-runner.ts";
import { askedOf } from "./output-options.ts";
import { OutputReader } from "./output-reader.ts";
import type { StepSource } from "./shaped-step.ts";

/** `student`: as it was observed on `batch`. */
export async function readingOfStudent(
  { o, runtime }: Pick<StepSource, "o" | "runtime">,
  student: PreparedStudent,
  data: Dataset,
  batch: SampleBatch,
): Promise<{ readonly reading: OutputReading; readonly note: string | undefined }> {
  const { logits, own, model, observation } = student;
  const reader = new OutputReader({
    task: o.task,
    who: `the student's {} "${logits.value}"`,
    source: own.source,
    flags: { logits: "--student-logits", gives: "--student-gives" },
    asked: askedOf(o, "student"),
    graph: { model, logits },
  });
  const again = async (inputs: readonly Tensor[]): Promise<Tensor> => {
    const runner = await openRunner(model, runtime, data, [logits.value]);
    try {
      return (await runner.run(inputs))[logits.value] as Tensor;
    } finally {
      await runner.release();
    }
  };
  const seen = observation.seen[logits.value] as Tensor;
  await reader.read(seen, { inputs: batch.inputs, labels: batch.labels, again });
  return { reading: reader.reading as OutputReading, note: reader.note };
}

/** What run.json records of a reading: nothing where it is the usual one. */
export function recordOf(reading: OutputReading | undefined): object {
  if (!reading) return {};
  const { rank, ...read } = reading;
  const usual = { ...usualLayout(rank), gives: "logits" };
  const other = Object.entries(read).filter(([key, value]) => usual[key as keyof typeof usual] !== value);
  return other.length === 0 ? {} : { read: Object.fromEntries(other) };
}
