// What the user should know before a run begins, one sentence each.
import type { CompiledStep } from "../compile/compile-step.ts";
import { describeUnmoved } from "../compile/gradient-ends.ts";
import type { MeasuredVariable } from "../losses/terms.ts";
import type { Resolved } from "./options.ts";

export function runNotes(
  o: Resolved,
  samples: number,
  stepsPerEpoch: number,
  measured: readonly MeasuredVariable[],
  compiled: CompiledStep,
): string[] {
  const notes: string[] = [];
  const still = new Map([...compiled.unmoved].filter(([, end]) => end));
  if (still.size > 0) notes.push(`not trained: ${describeUnmoved(still)}`);
  const left = samples - stepsPerEpoch * o.batch;
  if (left > 0)
    notes.push(
      `${left} of ${samples} samples do not fill a batch of ${o.batch}; each epoch leaves out others`,
    );
  const ofAll = measured.filter((v) => v.every === undefined).map((v) => v.tap);
  if (ofAll.length > 0)
    notes.push(
      `the teacher's scores (${[...new Set(ofAll)].join(", ")}) are measured once, over all ${samples} samples`,
    );
  const projected = o.taps.filter((t) => t.project).map((t) => t.name);
  if (projected.length > 0) {
    const learned = compiled.auxiliary.parameters
      .filter((p) => p.key.startsWith("auxiliary/projection/"))
      .reduce((n, p) => n + p.size, 0);
    notes.push(
      `${learned} weights of projections (${projected.join(", ")}) are trained too, and left out of the student`,
    );
  }
  return notes;
}
