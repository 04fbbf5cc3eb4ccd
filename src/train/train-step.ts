// One step of a run: the batch read and fed, the teacher heard, losses on arrays taken where there are any.
import { DistillError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { names } from "../compile/compile-step.ts";
import { allLosses, arrayLoss } from "./array-strategy.ts";
import { augmented, augments } from "./batch-inputs.ts";
import { labelFeeds } from "./labels.ts";
import type { PreparedRun } from "./prepare-run.ts";
import type { StepRunner } from "./step-runner.ts";
import type { TeacherOutputs } from "./teacher.ts";
import type { TeacherAnswers } from "./teacher-answers.ts";

export interface TrainedStep {
  /** `loss` and its terms. */
  readonly losses: Record<string, number>;
  readonly learningRate: number;
  /** Takes the next state over. */
  accept(): void;
}

/** Runs step `step` (counted from 0) of `run` on these samples. */
export async function trainStep(
  run: PreparedRun,
  runner: StepRunner,
  answers: TeacherAnswers,
  step: number,
  samples: Uint32Array,
): Promise<TrainedStep> {
  const { o, options, compiled, onArrays, schedule } = run;
  const { stepsPerEpoch, steps } = schedule;
  const epoch = Math.floor(step / stepsPerEpoch);
  await answers.measureBoth(runner, step);
  const batch = await options.data.read(samples);
  const inputs = augments(o) ? augmented(batch.inputs, options.data, o, epoch, samples) : batch.inputs;
  const feeds: Record<string, Tensor> = { ...run.feedStudent(inputs) };
  const raw = await answers.of(samples, inputs, epoch);
  // An axis of one more or less than the student's makes no difference.
  const said = raw && { ...raw, logits: { ...raw.logits, dims: compiled.logitsShape } };
  if (said) {
    feeds[names.teacherLogits] = said.logits;
    for (const tap of answers.kept) feeds[names.teacherTap(tap)] = said.taps[tap] as Tensor;
  }
  Object.assign(feeds, labelFeeds(run.labels, batch.labels, compiled.logitsShape, samples));
  const progress = { step, steps, stepsPerEpoch };
  const arrays =
    onArrays.length > 0
      ? arrayLoss(onArrays, {
          student: await runner.forward(feeds, step),
          teacher: said as TeacherOutputs,
          feeds,
          progress,
        })
      : undefined;
  const learningRate = schedule.rate(step);
  const taken = usedBy(compiled.step.inputs, { ...feeds, ...arrays?.seeds });
  const ran = await runner.run(taken, progress, learningRate);
  return { losses: allLosses(ran.losses, arrays), learningRate, accept: () => ran.accept() };
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

export function diverged(
  step: number,
  losses: Record<string, number>,
  learningRate: number,
  path: string | undefined,
): DistillError {
  const culprit = Object.entries(losses).find(([name, v]) => name !== "loss" && !Number.isFinite(v));
  const where = culprit ? ` (${culprit[0]})` : "";
  const kept = path ? ` The state before it is saved in ${path}.` : "";
  return new DistillError(
    "E_DIVERGED",
    `the loss is ${losses.loss}${where} at step ${step + 1}, learning rate ${learningRate.toPrecision(3)}: lower the learning rate, clip gradients (--clip-norm), or look for NaN in the data.${kept}`,
  );
}
