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
  /** Takes the next state over. */
  accept(): void;
}

/** Runs step `step` (counted from 0) of `run` on its batch. `meanwhile` is called once the step has been handed over. */
export async function trainStep(
  run: PreparedRun,
  runner: StepRunner,
  step: number,
  { feeds, teacher, shaped }: StepBatch,
  meanwhile: () => void,
): Promise<TrainedStep> {
  const { onArrays, schedule } = run;
  const on = await run.steps.at(shaped);
  const { stepsPerEpoch, steps } = schedule;
  const progress = { step, steps, stepsPerEpoch };
  const arrays =
    onArrays.length > 0
      ? arrayLoss(onArrays, {
          student: await runner.forward(feeds, step, on.sessions),
          teacher: teacher as TeacherOutputs,
          feeds,
          progress,
        })
      : undefined;
  const learningRate = schedule.rate(step);
  const taken = usedBy(on.compiled.step.inputs, { ...feeds, ...arrays?.seeds });
  const running = runner.run(taken, progress, learningRate, on.sessions);
  meanwhile();
  const ran = await running;
  const losses = allLosses(ran.losses, arrays);
  // Of real numbers a loss may be as large as it likes; of distributions it is infinite from somewhere on.
  if (run.o.task.outputs !== "identity")
    for (const [name, value] of Object.entries(losses)) losses[name] = exactLoss(value);
  return { losses, learningRate, accept: () => ran.accept() };
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
