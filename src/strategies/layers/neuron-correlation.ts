// How well neurons of the student answer to the same things as neurons of the teacher.
import { checkOneOf } from "../checks.ts";
import { type SelectivityOver, selectivityOvers } from "../selectivity-words.ts";
import { centredColumns, columnMeans, DEAD_NORM, groupsOf, unitColumns } from "./groups.ts";
import {
  checkSameNeurons,
  checkSamePositions,
  type LayerComparison,
  type LayerPair,
  LayerStrategyBase,
  type LayerStrategyOptions,
} from "./layer-strategy.ts";
import { product, productTN } from "./products.ts";

/** Which neuron of the student stands beside one of the teacher's: the one of its index, or that which answers most like it. */
export type CorrelationMatch = "index" | "best";

export const correlationMatches = ["index", "best"] as const;

export interface NeuronCorrelationOptions extends LayerStrategyOptions {
  /**
   * Default "index". "best": each of the teacher's neurons with that of the student whose correlation with it is the
   * greatest at the time (of several equals, each in equal parts), which may be the best for others, too.
   */
  readonly match?: CorrelationMatch;
  /** What is a sample; default "samples-and-positions". */
  readonly over?: SelectivityOver;
}

/** A standard deviation that is this small beside the mean is rounding of it. */
export const CONSTANT_RATIO = 1e-5;

/**
 * The mean over the teacher's neurons of 1 − ρ, with ρ Pearson's correlation of its responses with those of the student's
 * neuron that is matched with it; in [0, 2], whatever the scale and the offset of either neuron. A neuron whose
 * responses are constant (their distance from the mean has length 1e-6 or less, or a standard deviation of 1e-5 of the
 * mean or less) has ρ = 0 and gets no gradient.
 *
 * Matched by index both sides need the same number of neurons: project the student where they differ, or match by
 * "best". Weight: default 0.5.
 *
 * Source: correlation in place of distance between student and teacher is T. Huang et al.'s, "Knowledge Distillation from
 * a Stronger Teacher", 2022, arXiv:2205.10536, who ask it of the outputs; of neurons it is ours.
 *
 * @example
 * ```ts
 * import { IntermediateActivations, Matrix, NeuronCorrelationStrategy } from "onnx-distill";
 *
 * const layer = (rows: number[][]) => new IntermediateActivations().add("l", Matrix.fromRows(rows));
 * const teacher = layer([[1], [3]]);
 * const strategy = new NeuronCorrelationStrategy({ weight: 1 });
 * Math.round(strategy.computeIntermediateLoss(layer([[10], [50]]), teacher)); // => 0
 * Math.round(strategy.computeIntermediateLoss(layer([[0], [-1]]), teacher)); // => 2
 * ```
 */
export class NeuronCorrelationStrategy extends LayerStrategyBase {
  readonly match: CorrelationMatch;
  readonly over: SelectivityOver;

  constructor(options: NeuronCorrelationOptions = {}) {
    super(options, ["match", "over"], 0.5);
    const { match = "index", over = "samples-and-positions" } = options;
    this.match = checkOneOf(new.target.name, "match", match, correlationMatches);
    this.over = checkOneOf(new.target.name, "over", over, selectivityOvers);
  }

  compareLayer(pair: LayerPair): LayerComparison {
    if (this.match === "index") checkSameNeurons(pair);
    if (this.over !== "samples") checkSamePositions(pair);
    const student = groupsOf(pair.whatStudent, pair.student, this.over);
    const teacher = groupsOf(pair.whatTeacher, pair.teacher, this.over);
    const { rows, neurons } = student;
    const own = student.groups.map((x) => standardized(x, neurons));
    const other = teacher.groups.map((y) => standardized(y, teacher.neurons).data);
    const compared = own.map(({ data }, g) =>
      this.match === "index"
        ? byIndex(data, other[g]!)
        : byBest(data, neurons, other[g]!, teacher.neurons, rows),
    );
    const count = own.length * teacher.neurons;
    return {
      loss: 1 - compared.reduce((sum, c) => sum + c.sum, 0) / count,
      gradient: () =>
        student.backward(
          own.map(({ backward }, g) =>
            centredColumns(backward(compared[g]!.slope().map((v) => -v / count)), neurons),
          ),
        ),
    };
  }
}

/** The sum of correlations, and its derivative by the student's standardized responses. */
interface Correlated {
  readonly sum: number;
  slope(): Float64Array;
}

function byIndex(x: Float64Array, y: Float64Array): Correlated {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return { sum, slope: () => y.slice() };
}

/** For each column of y the column of x whose product with it is the greatest. */
function byBest(x: Float64Array, c: number, y: Float64Array, d: number, rows: number): Correlated {
  const all = productTN(y, x, d, rows, c);
  const chosen = new Float64Array(all.length);
  let sum = 0;
  for (let j = 0; j < d; j++) {
    const row = all.subarray(j * c, (j + 1) * c);
    const best = row.reduce((a, v) => Math.max(a, v), -Infinity);
    const ties = row.reduce((n, v) => n + (v === best ? 1 : 0), 0);
    row.forEach((v, i) => {
      if (v === best) chosen[j * c + i] = 1 / ties;
    });
    sum += best;
  }
  return { sum, slope: () => product(y, chosen, rows, d, c) };
}

/** Centred, and of length 1. */
function standardized(x: Float64Array, neurons: number) {
  const rows = x.length / neurons;
  const floor = columnMeans(x, neurons).map((m) =>
    Math.max(DEAD_NORM, CONSTANT_RATIO * Math.abs(m) * Math.sqrt(rows)),
  );
  return unitColumns(centredColumns(x, neurons), neurons, floor);
}
