// Where a number that is none appeared first, once a loss or a weight is not finite: in the data, at the teacher, in the state,
// within the student or in the loss. Costs a forward pass that keeps all values, and only then.
import { toFloat32 } from "../base/floats.ts";
import { isFloat, type Tensor } from "../base/tensor.ts";
import { names, slotKey } from "../compile/compile-step.ts";
import type { Pack } from "../compile/state.ts";
import type { Value } from "../graph/graph.ts";
import type { PreparedRun } from "./prepare-run.ts";
import { ruledOut } from "./ruled-out.ts";
import type { StepBatch } from "./step-batch.ts";
import type { StepRunner } from "./step-runner.ts";

/** For a person: where, and what helps where nothing grew. */
export interface Found {
  readonly where: string;
  readonly advice: string;
  /** The state holds it, and is of no use any more. */
  readonly inState?: boolean;
}

/** Of step `step` (counted from 0), whose loss is not finite; `term` names the part of the loss. */
export async function findNotFinite(
  run: PreparedRun,
  runner: StepRunner,
  step: number,
  batch: StepBatch,
  term: string | undefined,
): Promise<Found> {
  const found = inData(run, batch) ?? atTeacher(run, batch) ?? inState(runner, step);
  if (found) return found;
  const { compiled } = await run.steps.at(batch.shaped);
  // Where memory does not suffice for all values at once, the rest is still worth saying.
  const values = await runner.observe(batch.feeds, step, compiled, run.runtime).catch(() => undefined);
  if (values) {
    const logits = logitsOf(run, values);
    const inside = inStudent(run, values, logits, batch) ?? (logits && ruledOut(run, logits[1], batch));
    if (inside) return inside;
  }
  return {
    where: `outputs and taps of both sides are finite, it is made of them by the loss${term ? ` (${term})` : ""}`,
    advice: "Look there for a division by 0, or a square root or logarithm of what is not above 0.",
  };
}

/** Of what step `step` (counted from 1) left behind; undefined where all is finite. */
export function inState({ compiled, state }: StepRunner, step: number): Found | undefined {
  const { weights, statistics, auxiliary, optimizer } = compiled;
  const trained = [...weights, ...auxiliary.parameters];
  const kinds: (readonly [string, string, readonly Pack[], (p: Pack) => string])[] = [
    ["weight", "gradient", trained, (p) => p.key],
    ["running statistic", "activations", statistics, (p) => p.key],
    ["variable", "value", auxiliary.variables, (p) => p.key],
    ...optimizer.slots.map((s) => [`${s} of`, "gradient", trained, (p: Pack) => slotKey(s, p)] as const),
  ];
  for (const [what, made, packs, key] of kinds) {
    const bad = packs.flatMap((pack) => {
      const data = state.get(key(pack));
      return pack.tensors.flatMap(({ name, offset, size }) => {
        const value = data?.subarray(offset, offset + size).find((x) => !Number.isFinite(x));
        return value === undefined ? [] : [{ name, value }];
      });
    });
    const [first] = bad;
    if (!first) continue;
    const more = bad.length > 1 ? ` (and ${bad.length - 1} more)` : "";
    if (step === 0)
      return {
        where: `${what} "${first.name}"${more} is ${first.value} in the student's file`,
        advice: "Repair the file, or begin with fresh weights (--init kaiming).",
        inState: true,
      };
    return {
      where: `${what} "${first.name}"${more} is ${first.value} since step ${step}, where the loss was finite and the ${made} not`,
      advice: `Look for what has no slope at 0 in student and loss: a square root, a norm, a logarithm, a division.`,
      inState: true,
    };
  }
  return undefined;
}

function inData({ options }: PreparedRun, { feeds, shaped }: StepBatch): Found | undefined {
  const inputs = shaped.inputs.map((t, i) => {
    const name = options.data.inputs[i]?.name;
    return [name ? `input "${name}" of the data is` : "the data's input is", t] as const;
  });
  const labels = feeds[names.labels];
  if (labels) inputs.push(["the labels are", labels]);
  for (const [what, t] of inputs) {
    // Infinities of a mask are meant.
    const masks = t !== labels && numbersOf(t)?.every((v) => v === 0 || v === -Infinity);
    const at = firstOf(t, shaped.samples, (v) => (masks ? Number.isNaN(v) : !Number.isFinite(v)));
    if (at) return { where: `${what} ${at}`, advice: "Repair such samples or leave them out." };
  }
  return undefined;
}

function atTeacher({ o }: PreparedRun, { teacher, shaped }: StepBatch): Found | undefined {
  if (!teacher) return undefined;
  const advice = "The teacher runs as it stands: mend it, or leave such samples out.";
  const logits = firstOf(teacher.logits, shaped.samples, meansNothing(o.task.outputs));
  if (logits) return { where: `the teacher's logits are ${logits}`, advice };
  for (const [name, t] of Object.entries(teacher.taps)) {
    const at = firstOf(t, shaped.samples, (v) => !Number.isFinite(v));
    if (at) return { where: `the teacher's tap "${name}" is ${at}`, advice };
  }
  return undefined;
}

/** Of probabilities −∞ rules a class out, and ±∞ is a certain no or yes. */
const meansNothing =
  (outputs: string) =>
  (v: number): boolean =>
    Number.isNaN(v) ||
    (outputs === "softmax" ? v === Infinity : outputs === "identity" && !Number.isFinite(v));

const logitsOf = ({ student }: PreparedRun, values: ReadonlyMap<Value, Tensor>) =>
  [...values].find(([v]) => v.name === student.logits.value);

function inStudent(
  { o, taps }: PreparedRun,
  values: ReadonlyMap<Value, Tensor>,
  logits: readonly [Value, Tensor] | undefined,
  { shaped }: StepBatch,
): Found | undefined {
  const tapped = new Set(taps.map((t) => t.student));
  const wrong = meansNothing(o.task.outputs);
  // Infinities within a student are often meant (masks of attention); in what the loss looks at they are not.
  const looks: ((value: Value) => (v: number) => boolean)[] = [
    () => Number.isNaN,
    (value) => (v) => (value === logits?.[0] ? wrong(v) : tapped.has(value.name) && !Number.isFinite(v)),
  ];
  for (const look of looks)
    for (const [value, t] of values) {
      const at = firstOf(t, shaped.samples, look(value));
      if (!at) continue;
      const infinite = value.producer?.inputs.find(
        (x) => x && values.has(x) && !allFinite(values.get(x) as Tensor),
      );
      const node = value.producer?.name ? `, node "${value.producer.name}"` : "";
      const from = infinite ? `from "${infinite.name}", which is infinite` : "from finite numbers";
      return {
        where: `the student's "${value.name}" (${value.producer?.op}${node}) is the first that is ${at}, ${from}`,
        advice: "Look at what that node does with such numbers.",
      };
    }
  return undefined;
}

const allFinite = (t: Tensor): boolean => (t.data as Float32Array).every(Number.isFinite);

/** Its numbers, also of 16 bits; undefined where they are no floats. */
const numbersOf = (t: Tensor): Float32Array | undefined =>
  t.dtype === "float64" ? (t.data as unknown as Float32Array) : isFloat(t.dtype) ? toFloat32(t) : undefined;

/** `NaN at sample 17`: which value it is and in which samples, where samples lie in front. */
function firstOf(t: Tensor, samples: Uint32Array, bad: (v: number) => boolean): string | undefined {
  const data = numbersOf(t);
  if (!data) return undefined;
  const first = data.findIndex(bad);
  if (first < 0) return undefined;
  const value = String(data[first]);
  if (t.dims[0] !== samples.length) return value;
  const each = data.length / samples.length;
  const rows = [...samples.keys()].filter((r) => data.subarray(r * each, (r + 1) * each).some(bad));
  if (rows.length === samples.length && rows.length > 1) return `${value} at every sample of the batch`;
  const more = rows.length > 1 ? ` and ${rows.length - 1} more` : "";
  return `${value} at sample ${samples[rows[0] as number]}${more}`;
}
