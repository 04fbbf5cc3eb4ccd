// What the user should know before a run begins, one sentence each.
import type { CompiledStep } from "../compile/compile-step.ts";
import { describeUnmoved } from "../compile/gradient-ends.ts";
import type { Node } from "../graph/graph.ts";
import type { MeasuredVariable } from "../losses/terms.ts";
import { strategyParts } from "../strategies/combined.ts";
import { type AnyStrategy, CorrelationDistillationStrategy } from "../strategies/index.ts";
import { hasOutputLoss, isGraphOnly } from "../strategies/strategy.ts";
import { accumulateNote } from "./accumulation.ts";
import { classMapNotes } from "./class-map.ts";
import { weightNotes } from "./class-weights.ts";
import type { Resolved } from "./options.ts";
import { groupNotes } from "./parameter-groups.ts";

export interface AboutRun {
  readonly o: Resolved;
  readonly samples: number;
  readonly stepsPerEpoch: number;
  readonly batchesPerEpoch: number;
  readonly strategy: AnyStrategy | undefined;
  /** Labels are part of the loss. */
  readonly labelled: boolean;
  readonly classWeights?: readonly number[] | undefined;
  readonly measured: readonly MeasuredVariable[];
  readonly compiled: CompiledStep;
}

export function runNotes(run: AboutRun): string[] {
  const { o, samples, stepsPerEpoch, measured, compiled } = run;
  const notes: string[] = [];
  if (leavesThresholdFree(run))
    notes.push(
      "between two classes DIST leaves open where one ends and the other begins, for correlations know neither scale nor offset; let labels help (--alpha above 0), or take another loss",
    );
  const still = new Map([...compiled.unmoved].filter(([, end]) => end));
  if (still.size > 0) notes.push(`not trained: ${describeUnmoved(still)}`);
  if (compiled.front.asTheyStand.length > 0)
    notes.push(
      `before each step, as the file has it and without training: ${listNodes(compiled.front.asTheyStand)}`,
    );
  notes.push(...groupNotes(compiled, o), ...weightNotes(run.classWeights), ...classMapNotes(o.classMap));
  if (o.averageWeights !== undefined) notes.push(averageNote(o.averageWeights, stepsPerEpoch * o.epochs));
  if (o.accumulate > 1) notes.push(accumulateNote(o.accumulate, o.batch, run.batchesPerEpoch));
  const left = samples - run.batchesPerEpoch * o.batch;
  if (left > 0)
    notes.push(
      `${left} of ${samples} samples do not fill a batch of ${o.batch}; each epoch leaves out others`,
    );
  const ofAll = measured.filter((v) => v.every === undefined).map((v) => v.tap);
  if (ofAll.length > 0)
    notes.push(
      `the teacher's scores (${[...new Set(ofAll)].join(", ")}) are measured once, over all ${samples} samples`,
    );
  const projected = o.taps.filter((t) => t.project).map((t) => t.name);
  if (projected.length > 0) {
    const learned = compiled.auxiliary.parameters
      .filter((p) => p.key.startsWith("auxiliary/projection/"))
      .reduce((n, p) => n + p.size, 0);
    notes.push(
      `${learned} weights of projections (${projected.join(", ")}) are trained too, and left out of the student`,
    );
  }
  return notes;
}

function listNodes(nodes: readonly Node[]): string {
  const shown = nodes.slice(0, 5).map(({ op, name }) => `${op} at node "${name}"`);
  return nodes.length > 5 ? `${shown.join(", ")} and ${nodes.length - 5} more` : shown.join(", ");
}

/** With two classes the correlation within a sample is ±1 and has no gradient; that over the samples knows no offset. */
function leavesThresholdFree({ strategy, labelled, compiled }: AboutRun): boolean {
  if (!strategy || labelled || compiled.logitsShape.at(-1) !== 2) return false;
  const parts = strategyParts(strategy).filter(
    (p) => p.part !== "intermediate" && (hasOutputLoss(p.strategy) || isGraphOnly(p.strategy)),
  );
  return parts.length > 0 && parts.every((p) => p.strategy instanceof CorrelationDistillationStrategy);
}

function averageNote(decay: number, steps: number): string {
  const reach = Math.round(1 / (1 - decay));
  const early =
    steps < 2 * reach
      ? `; the run has ${steps} steps, so its beginning still counts: a lower decay forgets it`
      : "";
  return `evaluated and written is the moving average of weights and running statistics, decay ${decay} (about the last ${reach} steps)${early}`;
}
