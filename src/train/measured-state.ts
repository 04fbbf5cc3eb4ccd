// State of the loss that is measured outside the step: the teacher's over its whole training set, once; what compares both
// sides, now and then. Knows no loss; what is measured, and how, is each variable's own business.
import type { Tensor } from "../base/tensor.ts";
import { names } from "../compile/compile-step.ts";
import type { MeasuredVariable, Measurement } from "../losses/terms.ts";
import { Matrix } from "../strategies/index.ts";
import { sampleClasses } from "./sample-classes.ts";
import type { TeacherOutputs } from "./teacher.ts";

/** Samples that both sides are compared on; fewer where a batch of them is larger. */
const comparedSamples = 1024;

/** Takes the teacher's outputs for the training set, batch by batch and each sample once. */
export class TeacherMeasure {
  readonly #running: readonly { variable: MeasuredVariable; measurement: Measurement }[];

  constructor(variables: readonly MeasuredVariable[]) {
    this.#running = variables
      .filter((v) => v.every === undefined)
      .map((variable) => ({ variable, measurement: variable.begin() }));
  }

  /** Whether there is anything to measure. */
  get wanted(): boolean {
    return this.#running.length > 0;
  }

  add(said: TeacherOutputs, feeds: Readonly<Record<string, Tensor>>): void {
    const classes = sampleClasses(said.logits, feeds);
    for (const { variable, measurement } of this.#running)
      measurement.add({ teacher: tapOf(said, variable), ...(classes && { classes }) });
  }

  /** The variables' values by name. */
  results(): [string, Float32Array][] {
    return this.#running.map(({ variable, measurement }) => [variable.name, measurement.result()]);
  }
}

/**
 * The taps whose teacher's values are needed step after step: what the step takes, and what both sides are measured on. A
 * loss that was given the teacher's scores needs none of its activations, and nobody need keep them.
 */
export function neededTaps(
  taps: readonly string[],
  inputs: readonly { readonly name: string }[],
  variables: readonly MeasuredVariable[],
): string[] {
  return taps.filter(
    (tap) =>
      inputs.some((i) => i.name === names.teacherTap(tap)) ||
      variables.some((v) => v.tap === tap && v.every !== undefined),
  );
}

/** One batch of both sides. */
export interface BothSides {
  readonly student: TeacherOutputs;
  readonly teacher: TeacherOutputs;
}

/**
 * What is due before step `step` (counted from 0), measured on some of the batches that `batchesOf` gives, which are asked for one by one. The values
 * are the same wherever a run is continued, because they are part of the state that is continued.
 */
export async function measureBoth(
  variables: readonly MeasuredVariable[],
  step: number,
  batchesOf: () => readonly Uint32Array[],
  ask: (samples: Uint32Array) => Promise<BothSides>,
): Promise<[string, Float32Array][]> {
  const due = variables.filter((v) => v.every !== undefined && step % v.every === 0);
  if (due.length === 0) return [];
  const running = due.map((variable) => ({ variable, measurement: variable.begin() }));
  const batches = batchesOf();
  const each = batches[0]?.length ?? 1;
  for (const samples of batches.slice(0, Math.max(1, Math.floor(comparedSamples / each)))) {
    const { student, teacher } = await ask(samples);
    for (const { variable, measurement } of running)
      measurement.add({ student: tapOf(student, variable), teacher: tapOf(teacher, variable) });
  }
  return running.map(({ variable, measurement }) => [variable.name, measurement.result()]);
}

function tapOf(outputs: TeacherOutputs, { tap }: MeasuredVariable): Matrix {
  const { data, dims } = outputs.taps[tap] as Tensor;
  return Matrix.fromTensor({ data: data as Float32Array, dims });
}
