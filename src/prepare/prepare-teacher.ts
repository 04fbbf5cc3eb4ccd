// The form in which a teacher is asked: its logits before a final activation, and in the batches of the run where the model
// allows them. Whatever does not work is left to the teacher's own file, run as it is.
import { DistillError } from "../base/errors.ts";
import type { Model } from "../onnx/model.ts";
import type { Runtime, Tensors } from "../runtime/session.ts";
import type { OutputKind } from "../strategies/index.ts";
import { fixedBatchOf } from "./fixed-batch.ts";
import { describeChoice, describeLogits, type Logits, logitsOf, refuseSorted, withLogits } from "./logits.ts";
import { rebatch } from "./rebatch.ts";

export interface PrepareTeacherOptions {
  readonly runtime: Runtime;
  readonly batch: number;
  /** A batch of samples by input name. */
  readonly feeds: Tensors;
  /** The output that was asked for; default: the first of floats. */
  readonly logits?: string | undefined;
  readonly activation: OutputKind;
  /** Names of tapped values. */
  readonly taps: readonly string[];
}

export interface PreparedTeacher {
  readonly model: Model;
  readonly logits: Logits;
  readonly notes: readonly string[];
}

/**
 * A teacher made for another batch size than the run's is rebatched where that gives the same results (see `rebatch`), and
 * otherwise kept, to be run in batches of its own.
 *
 * Errors: E_NAME for logits that do not exist; E_MODEL for those of `refuseSorted`.
 */
export async function prepareTeacher(model: Model, o: PrepareTeacherOptions): Promise<PreparedTeacher> {
  const logits = logitsOf(model, o.logits, o.activation, "the teacher");
  if (o.activation !== "identity") refuseSorted(model, logits, "the teacher");
  const notes = [
    describeChoice(model, o.logits, logits, o.activation, "the teacher", "--teacher-logits"),
    describeLogits(logits, "the teacher"),
  ].filter((note) => note !== undefined);
  const asked = withLogits(model, logits);
  const fixed = fixedBatchOf(asked);
  const wanted = [...new Set([logits.value, ...o.taps])];
  // A tap that does not exist has an error of its own, later.
  if (fixed === undefined || fixed === o.batch || !wanted.every((name) => asked.graph.find(name)?.producer))
    return { model: asked, logits, notes };
  try {
    const { runtime, batch, feeds } = o;
    const rebatched = await rebatch(asked, { runtime, fixed, batch, feeds, wanted });
    return { model: rebatched, logits, notes: [...notes, describeRebatched("the teacher", fixed, batch)] };
  } catch (error) {
    if (!(error instanceof DistillError)) throw error;
    const kept = `the teacher runs in batches of ${fixed}, as it was made for: ${error.message}`;
    return { model: asked, logits, notes: [...notes, kept] };
  }
}

export function describeRebatched(who: string, fixed: number, batch: number): string {
  return `${who} was made for a batch of ${fixed} and runs in batches of ${batch} here; its results were compared on ${2 * fixed} samples and are the same`;
}
