// The end of a run whose loss or state is not finite: what is said of it.
import { DistillError } from "../base/errors.ts";
import { findNotFinite, inState } from "./not-finite.ts";
import type { PreparedRun } from "./prepare-run.ts";
import type { StepBatch } from "./step-batch.ts";
import type { StepRunner } from "./step-runner.ts";
import type { TrainedStep } from "./train-step.ts";

/** A loss this many times the least one, or weights this many times the largest of the start, have grown. */
const growth = 4;

export class Divergence {
  readonly #run: PreparedRun;
  readonly #runner: StepRunner;
  #least = Infinity;
  #last = 0;

  constructor(run: PreparedRun, runner: StepRunner) {
    this.#run = run;
    this.#runner = runner;
  }

  /** A loss that was finite. */
  watch(loss: number): void {
    this.#last = Math.abs(loss);
    this.#least = Math.min(this.#least, this.#last);
  }

  /**
   * Why step `step` (counted from 0) failed, by its losses or by what a loss on arrays threw; `batch` is read anew, for a
   * worker may have taken the first. `save` keeps the state before it and returns where; it is called where that is of use.
   */
  async error(
    trained: TrainedStep | DistillError,
    step: number,
    batch: StepBatch,
    save: () => string | undefined,
  ): Promise<DistillError> {
    const losses = trained instanceof DistillError ? {} : trained.losses;
    const term = Object.entries(losses).find(([name, v]) => name !== "loss" && !Number.isFinite(v))?.[0];
    const found = await findNotFinite(this.#run, this.#runner, step, batch, term);
    const help = this.#grown(step) ?? found.advice;
    const folder = found.inState ? undefined : save();
    const kept = folder ? ` The state before it is saved in ${folder}.` : "";
    const [code, what] =
      trained instanceof DistillError
        ? [trained.code, `${trained.message} (step ${step + 1})`]
        : ([
            "E_DIVERGED",
            `the loss is ${losses.loss}${term ? ` (${term})` : ""} at step ${step + 1}`,
          ] as const);
    return new DistillError(code, `${what}: ${found.where}. ${help}${kept}`);
  }

  /** Error: E_DIVERGED where the state is not finite after `step` steps, though every loss was. */
  checkState(step: number): void {
    const found = inState(this.#runner, step);
    if (!found) return;
    throw new DistillError("E_DIVERGED", `${found.where}. ${this.#grown(step - 1) ?? found.advice}`);
  }

  /** What has grown as it does where steps are too long, and what helps; undefined: nothing has. */
  #grown(step: number): string | undefined {
    const { compiled, state } = this.#runner;
    const largest = (of: ReadonlyMap<string, Float32Array>): number =>
      compiled.weights.reduce(
        (top, { key }) => (of.get(key) as Float32Array).reduce((a, v) => Math.max(a, Math.abs(v)), top),
        0,
      );
    const rate = this.#run.schedule.rate(Math.max(0, step - 1)).toPrecision(3);
    const help = `lower the learning rate (${rate}), or clip gradients (--clip-norm).`;
    const [before, now] = [largest(compiled.initial), largest(state)];
    if (now > growth * Math.max(before, 1))
      return `The largest weight has grown from ${before.toPrecision(3)} to ${now.toPrecision(3)}: ${help}`;
    if (this.#last > growth * this.#least)
      return `The loss had grown from ${this.#least.toPrecision(3)} to ${this.#last.toPrecision(3)}: ${help}`;
    return undefined;
  }
}
