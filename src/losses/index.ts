// Strategies that can be emitted into the training step, by class. A subclass may compute something else, so only the
// very class counts; others train through their arrays (see train/array-strategy.ts).
import type { DistillationStrategy } from "../strategies/index.ts";
import { NeuronSelectivityDistillationStrategy, ResponseDistillationStrategy } from "../strategies/index.ts";
import { knowledgeDistillation } from "./knowledge-distillation.ts";
import { selectivityLoss } from "./selectivity.ts";
import type { LossContext, LossTerm } from "./terms.ts";

export type LossEmission = (c: LossContext) => LossTerm[];

const emissions = new Map<unknown, (strategy: never) => LossEmission>([
  [
    ResponseDistillationStrategy,
    (s: ResponseDistillationStrategy): LossEmission =>
      (c) =>
        knowledgeDistillation(c, s.temperature, s.alpha),
  ],
  [
    NeuronSelectivityDistillationStrategy,
    (s: NeuronSelectivityDistillationStrategy): LossEmission =>
      (c) => [
        ...knowledgeDistillation(c, s.temperature, s.alpha),
        ...(s.selectivityWeight > 0 ? tapsOf(c, s.targetLayerName) : []).map((tap) => ({
          name: `selectivity/${tap.name}`,
          value: c.b.scope(`loss/selectivity/${tap.name}`, () =>
            selectivityLoss(c.b, tap.student, tap.teacher, s.metric, s.selectivityWeight),
          ),
        })),
      ],
  ],
]);

/** The tap of that name; every tap for "default". */
function tapsOf(c: LossContext, name: string): LossContext["taps"] {
  return name === "default" ? c.taps : c.taps.filter((t) => t.name === name);
}

/** How to emit `strategy`; undefined where it exists on arrays only. */
export function emissionOf(strategy: DistillationStrategy): LossEmission | undefined {
  return emissions.get(strategy.constructor)?.(strategy as never);
}

/** Training from labels alone. */
export const supervised: LossEmission = (c) => knowledgeDistillation(c, 1, 1);
