// Taps where nobody named any: both models are run on a few samples, and pairs of their values chosen (taps/propose-taps.ts).

import { DistillError } from "../base/errors.ts";
import { takeSamples } from "../base/samples.ts";
import { formatShape } from "../base/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import { splitStrategy, waysToUnequalNeurons } from "../losses/index.ts";
import type { Model } from "../onnx/model.ts";
import { fixedBatchOf } from "../prepare/fixed-batch.ts";
import { observe } from "../runtime/observe.ts";
import type { Runtime } from "../runtime/session.ts";
import { type AnyStrategy, CenteredKernelAlignmentStrategy } from "../strategies/index.ts";
import { type TapCandidate, tapCandidates } from "../taps/candidates.ts";
import { onePair, proposeTaps } from "../taps/propose-taps.ts";
import { feederFor } from "./feeds.ts";
import type { ResolvedTap } from "./options.ts";
import { partsOnTaps } from "./task-strategy.ts";

/** Samples that the shapes are seen with, where the model leaves the batch open: all intermediate values are in memory. */
const observedBatch = 2;

/** No tap has a name yet; strategies for all taps answer alike for any. */
const anyTap = "default";

export interface AutomaticTaps {
  readonly taps: ResolvedTap[];
  /** The choice, a note for each pair. */
  readonly notes: string[];
}

export interface AutomaticTapsOptions {
  readonly teacher: Model;
  readonly student: Model;
  readonly data: Dataset;
  readonly runtime: Runtime;
  readonly strategy: AnyStrategy;
  readonly teacherLogits?: string | undefined;
  readonly studentLogits?: string | undefined;
}

/**
 * Chooses the pairs of values that `strategy` compares. Where it takes no unequal numbers of neurons, pairs of equal
 * numbers; a strategy on arrays alone does not tell, so equal ones are preferred. CKA by itself, which is also what taps
 * are compared by where nothing was said, is given one pair (`onePair`): what measured best.
 *
 * @throws E_OPTION where no pair fits.
 */
export async function chooseTaps(o: AutomaticTapsOptions): Promise<AutomaticTaps> {
  const [teacher, student] = [
    await candidatesOf(o.teacher, o, o.teacherLogits),
    await candidatesOf(o.student, o, o.studentLogits),
  ];
  const { emission, onArrays } = splitStrategy(o.strategy);
  const mustEqual = emission !== undefined && !emission.unequalNeurons(anyTap);
  let pairs = proposeTaps(teacher, student, { equalNeurons: mustEqual || onArrays.length > 0 });
  if (pairs.length === 0 && !mustEqual) pairs = proposeTaps(teacher, student, { equalNeurons: false });
  if (pairs.length === 0) throw noPair(o, teacher, student, mustEqual);
  if (comparesByAlignmentAlone(o.strategy)) pairs = onePair(pairs);
  return {
    taps: pairs.map((p) => ({ name: p.student.name, teacher: p.teacher.name, student: p.student.name })),
    notes: pairs.map(
      (p) =>
        `tap "${p.student.name}" was chosen (--tap names others): ${shapeOf(p.student)} of the student at depth ${p.student.depth.toFixed(2)}, beside the teacher's "${p.teacher.name}", ${shapeOf(p.teacher)} at depth ${p.teacher.depth.toFixed(2)}`,
    ),
  };
}

function comparesByAlignmentAlone(strategy: AnyStrategy): boolean {
  const parts = partsOnTaps(strategy);
  return parts.length > 0 && parts.every((p) => p.strategy instanceof CenteredKernelAlignmentStrategy);
}

async function candidatesOf(
  model: Model,
  o: AutomaticTapsOptions,
  logits: string | undefined,
): Promise<TapCandidate[]> {
  const batch = fixedBatchOf(model) ?? observedBatch;
  // One several times: two samples may be of different shapes.
  const { inputs } = await o.data.read([0]);
  const feeds = feederFor(model, o.data)(inputs.map((t) => takeSamples(t, new Array(batch).fill(0))));
  const { types, known } = await observe(model, o.runtime, feeds);
  return tapCandidates(model, { types, known, batch, logits });
}

/** Of one sample. */
const shapeOf = (c: TapCandidate): string => formatShape(c.shape.slice(1));

function noPair(
  o: AutomaticTapsOptions,
  teacher: readonly TapCandidate[],
  student: readonly TapCandidate[],
  mustEqual: boolean,
): DistillError {
  const widths = (list: readonly TapCandidate[]): string =>
    [...new Set(list.filter((c) => c.suggested).map((c) => c.neurons))].join(", ") || "none";
  const why = mustEqual
    ? `they have ${widths(teacher)} and ${widths(student)} neurons at the places worth comparing, and this strategy compares equal numbers`
    : "no values of theirs lie at like depths";
  const ways = mustEqual ? [...waysToUnequalNeurons(), "a learned projection (--project)"] : [];
  const instead = ways.length > 0 ? `, or accept unequal numbers with ${ways.join(" or ")}` : "";
  return new DistillError(
    "E_OPTION",
    `no taps could be chosen for the teacher ${o.teacher.source} and the student ${o.student.source}: ${why}; name values with --tap teacher:student (\`onnx-distill inspect\` lists them)${instead}`,
  );
}
