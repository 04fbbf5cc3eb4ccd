// Strategies that can be emitted into the training step, by class. A subclass may compute something else, so only the
// very class counts; others train through their arrays (see train/array-strategy.ts).
import type { DistillationStrategy } from "../strategies/index.ts";
import { NeuronSelectivityDistillationStrategy, ResponseDistillationStrategy } from "../strategies/index.ts";
import { knowledgeDistillation } from "./knowledge-distillation.ts";
import { selectivityLoss } from "./selectivity.ts";
import type { LossContext, LossTerm } from "./terms.ts";

export interface LossEmission {
  /** Whether a tap may have other numbers of neurons in the student than in the teacher. Their samples are always equal. */
  readonly unequalNeurons: boolean;
  readonly emit: (c: LossContext) => LossTerm[];
}

/** One strategy's row of the table: its loss in two parts, so that a sum of strategies can take either. */
interface Row<S> {
  /** As in `LossEmission`; a function where it depends on the strategy's options. */
  readonly unequalNeurons: boolean | ((strategy: S) => boolean);
  /** What to ask for so that unequal numbers are accepted, as an error advises it: `matching: "rank"`. */
  readonly unequalNeuronsBy?: string;
  /** The loss on outputs, if it has one. */
  readonly output?: (c: LossContext, strategy: S) => LossTerm[];
  /** The loss on taps, if it has one. */
  readonly intermediate?: (c: LossContext, strategy: S) => LossTerm[];
}

const rows = new Map<unknown, Row<never>>();

function row<S extends DistillationStrategy>(strategy: new (...options: never[]) => S, r: Row<S>): void {
  rows.set(strategy, r as Row<never>);
}

row(ResponseDistillationStrategy, {
  unequalNeurons: true, // It looks at no tap.
  output: (c, s) => knowledgeDistillation(c, s.temperature, s.alpha),
});

row(NeuronSelectivityDistillationStrategy, {
  unequalNeurons: false,
  output: (c, s) => knowledgeDistillation(c, s.temperature, s.alpha),
  intermediate: (c, s) =>
    (s.selectivityWeight > 0 ? tapsOf(c, s.targetLayerName) : []).map((tap) => ({
      name: `selectivity/${tap.name}`,
      value: c.b.scope(`loss/selectivity/${tap.name}`, () =>
        selectivityLoss(c.b, tap.student, tap.teacher, s.metric, s.selectivityWeight),
      ),
    })),
});

/** The tap of that name; every tap for "default". */
function tapsOf(c: LossContext, name: string): LossContext["taps"] {
  return name === "default" ? c.taps : c.taps.filter((t) => t.name === name);
}

/** How to emit `strategy`; undefined where it exists on arrays only. */
export function emissionOf(strategy: DistillationStrategy): LossEmission | undefined {
  const found = rows.get(strategy.constructor);
  if (!found) return undefined;
  const { unequalNeurons: unequal, output, intermediate } = found;
  const s = strategy as never;
  return {
    unequalNeurons: typeof unequal === "function" ? unequal(s) : unequal,
    emit: (c) => [...(output?.(c, s) ?? []), ...(intermediate?.(c, s) ?? [])],
  };
}

/** Everything that accepts unequal numbers of neurons, as an error advises it. */
export function waysToUnequalNeurons(): string[] {
  return [...rows.values()].flatMap((r) => r.unequalNeuronsBy ?? []);
}

/** Training from labels alone. */
export const supervised: LossEmission = {
  unequalNeurons: true,
  emit: (c) => knowledgeDistillation(c, 1, 1),
};
