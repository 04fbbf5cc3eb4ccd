// Which strategies fit a task: the one that is taken where none is given, and the refusal of one that was made for other
// outputs.
import { DistillError } from "../base/errors.ts";
import {
  CombinedDistillationStrategy,
  type StrategyPart,
  strategyParts,
  type WeightedStrategy,
} from "../strategies/combined.ts";
import { type AnyStrategy, CenteredKernelAlignmentStrategy } from "../strategies/index.ts";
import { hasIntermediateLoss, hasOutputLoss } from "../strategies/strategy.ts";
import type { Task } from "../tasks/index.ts";

/** The task's loss on outputs; and, `withTaps`, how taps are compared where nothing else was said. */
export function defaultStrategy(task: Task, withTaps: boolean): AnyStrategy {
  const output = task.strategy({});
  return withTaps ? new CombinedDistillationStrategy([{ strategy: output }, defaultTapLoss()]) : output;
}

/**
 * What measured best (docs/quality.md): CKA over samples and positions, which leads at first and leaves the end to the outputs. Of
 * one tap, or of all.
 */
export function defaultTapLoss(targetLayerName?: string): WeightedStrategy {
  return {
    strategy: new CenteredKernelAlignmentStrategy({
      over: "samples-and-positions",
      weight: 6,
      ...(targetLayerName !== undefined && { targetLayerName }),
    }),
    part: "intermediate",
    schedule: { decay: "cosine" },
  };
}

/** Refuses (E_OPTION) a strategy whose loss on outputs was made for others than the task has. */
export function checkOutputs(strategy: AnyStrategy, task: Task): void {
  for (const { strategy: s, part } of strategyParts(strategy)) {
    if (part === "intermediate" || !hasOutputLoss(s) || s.outputs === undefined || s.outputs === task.outputs)
      continue;
    throw new DistillError(
      "E_OPTION",
      `task ${task.name} has outputs "${task.outputs}", ${s.constructor.name} is made for "${s.outputs}"; take ${task.strategy({}).constructor.name}, or override outputs in a class of your own`,
    );
  }
}

/** The parts of the strategy that compare values inside the models; where there are any, it is no use without taps. */
export function partsOnTaps(strategy: AnyStrategy): StrategyPart[] {
  return strategyParts(strategy).filter((p) => p.part !== "output" && hasIntermediateLoss(p.strategy));
}
