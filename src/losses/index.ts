// Strategies that can be emitted into the training step, by class. A subclass may compute something else, so only the
// very class counts; others train through their arrays (see train/array-strategy.ts).
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { strategyParts } from "../strategies/combined.ts";
import type { AnyStrategy, LayerStrategyBase, StrategyPart } from "../strategies/index.ts";
import {
  AttentionTransferStrategy,
  CenteredKernelAlignmentStrategy,
  ChannelStatisticsStrategy,
  CorrelationDistillationStrategy,
  DecoupledDistillationStrategy,
  HintStrategy,
  MultiLabelDistillationStrategy,
  NeuronCorrelationStrategy,
  NeuronSelectivityDistillationStrategy,
  NeuronSelectivityTransferStrategy,
  RegressionDistillationStrategy,
  ResponseDistillationStrategy,
  SimilarityPreservingStrategy,
  TransformedTeacherDistillationStrategy,
} from "../strategies/index.ts";
import { correlationDistillation } from "./correlation.ts";
import { decoupledDistillation } from "./decoupled.ts";
import { GraphStrategy, graphLoss } from "./graph-strategy.ts";
import { knowledgeDistillation } from "./knowledge-distillation.ts";
import { attentionTransfer } from "./layers/attention-transfer.ts";
import { channelStatistics } from "./layers/channel-statistics.ts";
import { hint } from "./layers/hint.ts";
import { kernelAlignment } from "./layers/kernel-alignment.ts";
import { neuronCorrelation } from "./layers/neuron-correlation.ts";
import { neuronSelectivityTransfer } from "./layers/neuron-selectivity-transfer.ts";
import { similarityPreserving } from "./layers/similarity-preserving.ts";
import { multiLabel } from "./multi-label.ts";
import { regression } from "./regression.ts";
import { measuredVariables } from "./selectivity/measured.ts";
import { selectivityLoss } from "./selectivity.ts";
import type { LossContext, LossState, LossTerm, MeasuredVariable, TapPair } from "./terms.ts";
import { transformedTeacher } from "./transformed-teacher.ts";

export interface LossEmission {
  /** Whether that tap may have other numbers of neurons in the student than in the teacher. Its samples are always equal. */
  readonly unequalNeurons: (tap: string) => boolean;
  readonly emit: (c: LossContext) => LossTerm[];
  /** What the training loop has to measure for it, with these taps; undefined: nothing. */
  readonly measured?: (taps: readonly string[]) => MeasuredVariable[];
}

/** One strategy's row of the table: its loss in two parts, so that a sum of strategies can take either. */
interface Row<S> {
  /** As in `LossEmission`; a function where it depends on the strategy's options. A tap that it does not look at is no matter. */
  readonly unequalNeurons: boolean | ((strategy: S, tap: string) => boolean);
  /** What to ask for so that unequal numbers are accepted, as an error advises it: `matching: "rank"`. */
  readonly unequalNeuronsBy?: string;
  /** The loss on outputs, if it has one. */
  readonly output?: (c: LossContext, strategy: S) => LossTerm[];
  /** The loss on taps, if it has one. */
  readonly intermediate?: (c: LossContext, strategy: S) => LossTerm[];
  /** What the loss on taps wants measured outside the step; undefined: nothing. */
  readonly measured?: (strategy: S, taps: readonly string[]) => MeasuredVariable[];
}

const rows = new Map<unknown, Row<never>>();

function row<S extends AnyStrategy>(strategy: new (...options: never[]) => S, r: Row<S>): void {
  rows.set(strategy, r as Row<never>);
}

row(ResponseDistillationStrategy, {
  unequalNeurons: true, // It looks at no tap.
  output: (c, s) => knowledgeDistillation(c, s.alpha, s),
});

row(DecoupledDistillationStrategy, { unequalNeurons: true, output: decoupledDistillation });
row(CorrelationDistillationStrategy, { unequalNeurons: true, output: correlationDistillation });
row(TransformedTeacherDistillationStrategy, { unequalNeurons: true, output: transformedTeacher });

row(GraphStrategy, { unequalNeurons: true, output: graphLoss }); // It sees both sides as they are.

row(MultiLabelDistillationStrategy, {
  unequalNeurons: true,
  output: (c, s) => multiLabel(c, s.temperature, s.alpha),
});

row(RegressionDistillationStrategy, {
  unequalNeurons: true,
  output: (c, s) => regression(c, s.alpha, s.huberDelta),
});

row(NeuronSelectivityDistillationStrategy, {
  unequalNeurons: (s, tap) =>
    !looksAt(s.targetLayerName, tap) || s.match !== "index" || s.metric === "population-sparseness",
  unequalNeuronsBy: 'scores matched by rank (match: "rank"; --match rank)',
  output: (c, s) => knowledgeDistillation(c, s.alpha, s),
  intermediate: (c, s) =>
    (s.selectivityWeight > 0 ? tapsOf(c, s.targetLayerName) : []).map((tap) => ({
      name: `selectivity/${tap.name}`,
      value: c.b.scope(`loss/selectivity/${tap.name}`, () => selectivityLoss(c, tap, s)),
    })),
  measured: (s, taps) =>
    measuredVariables(
      s,
      taps.filter((t) => looksAt(s.targetLayerName, t)),
    ),
});

/** The row of a loss between layers: a term `<name>/<tap>` for each tap that it looks at. */
function layerRow<S extends LayerStrategyBase>(
  strategy: new (...options: never[]) => S,
  r: {
    readonly name: string;
    readonly unequalNeurons: boolean | ((strategy: S) => boolean);
    readonly unequalNeuronsBy?: string;
    /** Before the weight. */
    readonly loss: (b: Builder, tap: TapPair, strategy: S) => Value;
  },
): void {
  const { name, loss, unequalNeurons, ...rest } = r;
  row(strategy, {
    ...rest,
    unequalNeurons: (s, tap) =>
      (typeof unequalNeurons === "function" ? unequalNeurons(s) : unequalNeurons) ||
      !looksAt(s.targetLayerName, tap),
    intermediate: (c, s) =>
      (s.weight > 0 ? tapsOf(c, s.targetLayerName) : []).map((tap) => ({
        name: `${name}/${tap.name}`,
        value: c.b.scope(`loss/${name}/${tap.name}`, () => c.b.scale(loss(c.b, tap, s), s.weight)),
      })),
  });
}

layerRow(NeuronSelectivityTransferStrategy, {
  name: "nst",
  unequalNeurons: true,
  unequalNeuronsBy: "a loss that needs no match (--intermediate nst, cka, sp or at)",
  loss: neuronSelectivityTransfer,
});
layerRow(CenteredKernelAlignmentStrategy, { name: "cka", unequalNeurons: true, loss: kernelAlignment });
layerRow(SimilarityPreservingStrategy, { name: "sp", unequalNeurons: true, loss: similarityPreserving });
layerRow(AttentionTransferStrategy, { name: "at", unequalNeurons: true, loss: attentionTransfer });
layerRow(HintStrategy, { name: "hint", unequalNeurons: false, loss: hint });
layerRow(NeuronCorrelationStrategy, {
  name: "correlation",
  unequalNeurons: (s) => s.match === "best",
  loss: neuronCorrelation,
});
layerRow(ChannelStatisticsStrategy, { name: "statistics", unequalNeurons: false, loss: channelStatistics });

/** The tap of that name; every tap for "default". */
function tapsOf(c: LossContext, name: string): LossContext["taps"] {
  return c.taps.filter((t) => looksAt(name, t.name));
}

function looksAt(target: string, tap: string): boolean {
  return target === "default" || target === tap;
}

/** A strategy as the training step has it: what goes into its graph, and what exists on arrays only. */
export interface SplitStrategy {
  /** Undefined where nothing of it can be emitted. */
  readonly emission: LossEmission | undefined;
  readonly onArrays: readonly StrategyPart[];
}

/** Takes a sum apart: each of its strategies is emitted where the table has it, and left for arrays where not. */
export function splitStrategy(strategy: AnyStrategy): SplitStrategy {
  const emitted: { part: StrategyPart; row: Row<never> }[] = [];
  const onArrays: StrategyPart[] = [];
  for (const part of strategyParts(strategy)) {
    const row = rows.get(part.strategy.constructor);
    if (row) emitted.push({ part, row });
    else onArrays.push(part);
  }
  if (emitted.length === 0) return { emission: undefined, onArrays };
  const emission: LossEmission = {
    unequalNeurons: (tap) =>
      emitted.every(
        ({ part: { strategy: s, part }, row: { unequalNeurons: unequal } }) =>
          part === "output" || (typeof unequal === "function" ? unequal(s as never, tap) : unequal),
      ),
    emit: (c) => uniquelyNamed(emitted.flatMap(({ part, row }, i) => emitPart(withStateOf(c, i), part, row))),
    measured: (taps) =>
      emitted.flatMap(({ part, row }, i) =>
        part.part === "output" || part.weight === 0
          ? []
          : (row.measured?.(part.strategy as never, taps) ?? []).map((v) => ({
              ...v,
              name: ownName(v.name, i),
            })),
      ),
  };
  return { emission, onArrays };
}

/** How to emit the whole of `strategy`; undefined where some of it exists on arrays only. */
export function emissionOf(strategy: AnyStrategy): LossEmission | undefined {
  const { emission, onArrays } = splitStrategy(strategy);
  return onArrays.length > 0 ? undefined : emission;
}

const ownName = (name: string, index: number): string => (index === 0 ? name : `${index}/${name}`);

/** Two strategies of a sum may call their state the same; each after the first gets names of its own. */
function withStateOf(c: LossContext, index: number): LossContext {
  if (index === 0) return c;
  const own = (name: string) => ownName(name, index);
  const state: LossState = {
    parameter: (name, initial) => c.state.parameter(own(name), initial),
    variable: (name, initial) => c.state.variable(own(name), initial),
  };
  return Object.create(c, { state: { value: state } }) as LossContext;
}

function emitPart(c: LossContext, { strategy, part, name, weight, factor }: StrategyPart, row: Row<never>) {
  if (weight === 0) return [];
  const s = strategy as never;
  const terms = [
    ...(part === "intermediate" ? [] : (row.output?.(c, s) ?? [])),
    ...(part === "output" ? [] : (row.intermediate?.(c, s) ?? [])),
  ];
  return terms.map(
    (t): LossTerm => ({
      name: name === undefined ? t.name : `${name}/${t.name}`,
      value: c.b.scale(t.value, weight),
      factor,
    }),
  );
}

/** `soft`, `soft-2`, `soft-3`: two terms of one name would be one line in the log. */
function uniquelyNamed(terms: readonly LossTerm[]): LossTerm[] {
  const taken = new Set<string>();
  return terms.map((t) => {
    let name = t.name;
    for (let n = 2; taken.has(name); n++) name = `${t.name}-${n}`;
    taken.add(name);
    return { ...t, name };
  });
}

/** Everything that accepts unequal numbers of neurons, as an error advises it. */
export function waysToUnequalNeurons(): string[] {
  return [...rows.values()].flatMap((r) => r.unequalNeuronsBy ?? []);
}
