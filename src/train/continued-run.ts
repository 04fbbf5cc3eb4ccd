// A run that goes on in its folder: from which checkpoint, and what is different when it goes on for another number of epochs.
// Everything that follows from the number of steps is computed anew from then on; what was done stays as it is.
import { DistillError } from "../base/errors.ts";
import { learningRateSchedule } from "../optim/schedules.ts";
import type { PreparedRun } from "./prepare-run.ts";
import type { Checkpoint, RunFolder } from "./run-folder.ts";
import { beginningOf } from "./run-identity.ts";

/** One line of run.json's history of a run that was given other epochs than it had. */
interface Continued {
  /** Steps done by then. */
  readonly step: number;
  readonly epochs: number;
  readonly epochsBefore: number;
  readonly at: string;
}

interface RunRecord {
  readonly continued?: readonly Continued[];
  /** Told at the end of a run, so not of one that goes on. */
  readonly finished?: unknown;
}

/**
 * The checkpoint to go on from, if there is a whole one, and what the user should know.
 *
 * Errors: E_RUN where the run was begun with something else, or is longer already than it shall be.
 */
export function continueRun(
  run: PreparedRun,
  folder: RunFolder,
): { checkpoint: Checkpoint | undefined; notes: string[] } {
  const { identity, schedule, o } = run;
  const { epochs: before = o.epochs } = beginningOf(folder, identity);
  const checkpoint = folder.loadCheckpoint();
  if (before === o.epochs) return { checkpoint, notes: [] };
  const step = checkpoint?.step ?? 0;
  if (step > schedule.steps)
    throw new DistillError(
      "E_RUN",
      `${folder.path} has done ${step} steps, epochs ${o.epochs} would end after ${schedule.steps}; resume with more (--epochs), or start a new run`,
    );
  const { continued = [], finished: _, ...record } = folder.readJson<RunRecord>("run.json");
  const entry: Continued = { step, epochs: o.epochs, epochsBefore: before, at: new Date().toISOString() };
  folder.writeJson("run.json", { ...record, config: identity.config, continued: [...continued, entry] });
  return {
    checkpoint,
    notes: [`goes on to ${o.epochs} epochs, begun with ${before}`, ...jumps(run, before, step)],
  };
}

/** What moves over a run and would have moved otherwise in the steps that are done: its values before and from now on. */
function jumps({ o, schedule, compiled }: PreparedRun, epochsBefore: number, done: number): string[] {
  const { stepsPerEpoch, steps } = schedule;
  if (done === 0 || done === steps) return [];
  const stepsBefore = stepsPerEpoch * epochsBefore;
  const rateBefore = learningRateSchedule(o.learningRate, stepsBefore, o.schedule);
  const moving = [
    {
      what: `the learning rate (${o.schedule.schedule ?? "cosine"})`,
      before: rateBefore,
      now: schedule.rate,
    },
    ...compiled.scheduled.map(({ term, at }) => ({
      what: `the factor of ${term}`,
      before: (step: number) => at({ step, steps: stepsBefore, stepsPerEpoch }),
      now: (step: number) => at({ step, steps, stepsPerEpoch }),
    })),
  ];
  const number = (v: number): string => String(Number(v.toPrecision(3)));
  return moving.flatMap(({ what, before, now }) => {
    for (let step = 0; step < done; step++)
      if (before(step) !== now(step))
        return [
          `${what} is that of ${o.epochs} epochs from step ${done + 1} on: from ${number(before(done - 1))} to ${number(now(Math.min(done, steps - 1)))}`,
        ];
    return [];
  });
}
