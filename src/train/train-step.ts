// One step of a run on a batch that was read: losses on arrays taken where there are any, then the step itself.
import type { Tensor } from "../base/tensor.ts";
import { exactLoss } from "../losses/infinite.ts";
import { allLosses, arrayLoss } from "./array-strategy.ts";
import type { PreparedRun } from "./prepare-run.ts";
import type { StepBatch } from "./step-batch.ts";
import type { StepRunner } from "./step-runner.ts";
import type { TeacherOutputs } from "./teacher.ts";

export interface TrainedStep {
  /** `loss` and its terms. */
  readonly losses: Record<string, number>;
  readonly learningRate: number;
  /** Which of its batches was the first whose loss is not finite; 0 where all are. */
  readonly worst: number;
  /** Takes the next state over. */
  accept(): void;
}

/** Runs step `step` (counted from 0) of `run` on its batches. `meanwhile` is called once the last has been handed over. */
export async function trainStep(
  run: PreparedRun,
  runner: StepRunner,
  step: number,
  batches: readonly StepBatch[],
  meanwhile: () => void,
): Promise<TrainedStep> {
  const { onArrays, schedule, o } = run;
  const { stepsPerEpoch, steps } = schedule;
  const progress = { step, steps, stepsPerEpoch };
  const learningRate = schedule.rate(step);
  const each: Record<string, number>[] = [];
  let accept = (): void => {};
  for (const [i, { feeds, teacher, shaped }] of batches.entries()) {
    const on = await run.steps.at(shaped);
    // Dropout draws anew for each batch.
    const draw = step * o.accumulate + i;
    const arrays =
      onArrays.length > 0
        ? arrayLoss(onArrays, {
            student: await runner.forward(feeds, draw, on.sessions),
            teacher: teacher as TeacherOutputs,
            feeds,
            progress,
          })
        : undefined;
    const taken = usedBy(on.sessions.session.inputs, { ...feeds, ...arrays?.seeds });
    const running =
      o.accumulate > 1
        ? runner.accumulate(taken, progress, draw, { at: i, of: batches.length }, on.sessions)
        : runner.run(taken, progress, learningRate, on.sessions);
    if (i === batches.length - 1) meanwhile();
    const ran = await running;
    if (ran.accept) accept = ran.accept;
    each.push(allLosses(ran.losses, arrays));
  }
  if (o.accumulate > 1) accept = await runner.apply(progress, learningRate);
  const losses = meanOf(each);
  // Of real numbers a loss may be as large as it likes; of distributions it is infinite from somewhere on.
  if (o.task.outputs !== "identity")
    for (const [name, value] of Object.entries(losses)) losses[name] = exactLoss(value);
  const worst = Math.max(
    0,
    each.findIndex((l) => !Number.isFinite(l.loss)),
  );
  return { losses, learningRate, worst, accept };
}

function meanOf(each: readonly Record<string, number>[]): Record<string, number> {
  const [first] = each as [Record<string, number>];
  if (each.length === 1) return first;
  return Object.fromEntries(
    Object.keys(first).map((term) => [term, each.reduce((sum, l) => sum + (l[term] ?? 0), 0) / each.length]),
  );
}

/** Only what the step's graph takes: a loss at weight 0 asks for no labels. */
function usedBy(
  inputs: readonly { readonly name: string }[],
  feeds: Record<string, Tensor>,
): Record<string, Tensor> {
  return Object.fromEntries(
    inputs.filter((i) => i.name in feeds).map((i) => [i.name, feeds[i.name] as Tensor]),
  );
}
