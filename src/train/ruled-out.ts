// Which class, ruled out by a logit of −∞ (or, of yes-or-no answers, ±∞) on one side alone, makes a loss infinite.
import type { Tensor } from "../base/tensor.ts";
import { names } from "../compile/compile-step.ts";
import { readLogits, rowsOfTensor } from "../tasks/index.ts";
import type { Found } from "./not-finite.ts";
import type { PreparedRun } from "./prepare-run.ts";
import type { StepBatch } from "./step-batch.ts";

/** `logits`: the student's, of one batch. */
export function ruledOut(
  { compiled, o }: PreparedRun,
  logits: Tensor,
  { teacher, feeds, shaped: { samples } }: StepBatch,
): Found | undefined {
  const own = rowsOfTensor(readLogits(logits, compiled.reading, o.task));
  const [rows, columns] = own.dims as [number, number];
  const s = own.data as Float32Array;
  const t = teacher && (rowsOfTensor(teacher.logits).data as Float32Array);
  const y = labelsOf(feeds[names.labels], columns);
  for (let i = 0; i < s.length; i++) {
    const [a, b] = [s[i] as number, t?.[i] ?? s[i]];
    const label = y?.(i);
    const contradicted = !Number.isFinite(a) && label !== undefined && label === (a > 0 ? 0 : 1);
    if (!contradicted && a === b) continue;
    if (!contradicted && Number.isFinite(a) === Number.isFinite(b)) continue;
    const [who, value, other] = Number.isFinite(a)
      ? ["teacher", b, `the student's is ${a}`]
      : ["student", a, contradicted ? `the label is ${label}` : `the teacher's is ${b}`];
    const sample = samples[Math.floor(Math.floor(i / columns) / (rows / samples.length))];
    return {
      where: `the ${who}'s logit ${i % columns} is ${value} at sample ${sample} where ${other}, so the loss is infinite`,
      advice: "Rule a class out on both sides, or give it a finite logit.",
    };
  }
  return undefined;
}

/** The label (0, 1 or between) of an element of the rows. */
function labelsOf(labels: Tensor | undefined, columns: number): ((i: number) => number) | undefined {
  if (!labels) return undefined;
  const data = labels.data as Int32Array;
  if (labels.dtype === "int32") return (i) => (data[Math.floor(i / columns)] === i % columns ? 1 : 0);
  const soft = rowsOfTensor(labels).data as Float32Array;
  return (i) => soft[i] as number;
}
