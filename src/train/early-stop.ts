// A run that ends before its last epoch: after so many evaluations in a row that gain nothing worth a gain.
import { DistillError } from "../base/errors.ts";
import type { DistillOptions, Resolved } from "./options.ts";
import type { Schedule } from "./prepare-run.ts";
import type { Checkpoint } from "./run-folder.ts";

/** Of equal shares, sums of which differ by their rounding, none is a gain. */
const rounding = 1e-9;

/** `patience` and `minDelta`, where the run has them. Errors: E_ARGUMENT, E_OPTION. */
export function earlyStop({ patience, minDelta, evaluation }: DistillOptions): {
  readonly patience?: number;
  readonly minDelta?: number;
} {
  if (patience === undefined) {
    if (minDelta === undefined) return {};
    throw new DistillError("E_OPTION", "distill: minDelta (--min-delta) belongs to patience; give both");
  }
  if (!Number.isInteger(patience) || patience < 1)
    throw new DistillError("E_ARGUMENT", `distill: patience must be a whole number >= 1, got ${patience}`);
  if (minDelta !== undefined && !(Number.isFinite(minDelta) && minDelta >= 0))
    throw new DistillError("E_ARGUMENT", `distill: minDelta must be a finite number >= 0, got ${minDelta}`);
  if (!evaluation)
    throw new DistillError(
      "E_OPTION",
      "distill: patience (--patience) counts evaluations, and there is nothing to evaluate on; give evaluation (--eval-data), or leave it out",
    );
  return { patience, minDelta: minDelta ?? 0 };
}

/** Counts evaluations since the last gain. */
export class EarlyStop {
  /** The last evaluation that counted as a gain, and after which step it was. */
  gain: Checkpoint["gain"];
  readonly #o: Pick<Resolved, "patience" | "minDelta">;
  readonly #schedule: Pick<Schedule, "stepsPerEpoch" | "steps">;

  constructor(
    o: Pick<Resolved, "patience" | "minDelta">,
    schedule: Pick<Schedule, "stepsPerEpoch" | "steps">,
    checkpoint: Checkpoint | undefined,
  ) {
    this.#o = o;
    this.#schedule = schedule;
    this.gain = checkpoint?.gain;
  }

  /** What the student of that step measures by the monitored metric. */
  see(value: number, better: "higher" | "lower", step: number): void {
    if (this.#o.patience === undefined) return;
    const by = this.gain && (better === "lower" ? this.gain.value - value : value - this.gain.value);
    // What is no number is no gain, and loses to every other; nor is one that is as infinite as the last.
    if (this.gain && (Number.isNaN(value) || value === this.gain.value)) return;
    if (by === undefined || Number.isNaN(by) || by > (this.#o.minDelta ?? 0) + rounding)
      this.gain = { value, step };
  }

  /** Whether the run ends after that step. */
  isDue(step: number): boolean {
    const { patience } = this.#o;
    if (patience === undefined || !this.gain) return false;
    return Math.floor((step - this.gain.step) / this.#schedule.stepsPerEpoch) >= patience;
  }

  /** For a person, at the end; undefined where the run went to its last epoch. */
  tell(step: number): string | undefined {
    if (!this.gain || step >= this.#schedule.steps || !this.isDue(step)) return undefined;
    const { stepsPerEpoch, steps } = this.#schedule;
    const { patience, minDelta } = this.#o;
    const least = minDelta ? ` of more than ${minDelta}` : "";
    return `ended after epoch ${step / stepsPerEpoch} of ${steps / stepsPerEpoch}: ${patience} evaluations in a row without a gain${least} on epoch ${this.gain.step / stepsPerEpoch}`;
  }
}
