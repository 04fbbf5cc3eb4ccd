// How well each of the student's neurons answers to the same things as the teacher's neuron of the same index.
import { checkOneOf } from "./checks.ts";
import {
  centredColumns,
  columnMeans,
  DEAD_NORM,
  groupsOf,
  type LayerOver,
  layerOvers,
  unitColumns,
} from "./groups.ts";
import {
  checkSameNeurons,
  checkSamePositions,
  type LayerComparison,
  type LayerPair,
  LayerStrategyBase,
  type LayerStrategyOptions,
} from "./layer-strategy.ts";

export interface NeuronCorrelationOptions extends LayerStrategyOptions {
  /** What is a sample; default "samples-and-positions". */
  readonly over?: LayerOver;
}

/** A standard deviation that is this small beside the mean is rounding of it. */
export const CONSTANT_RATIO = 1e-5;

/**
 * The mean over the neurons of 1 − ρ, with ρ Pearson's correlation of the responses of the student's neuron and the
 * teacher's neuron of the same index; in [0, 2], whatever the scale and the offset of either neuron. A neuron whose
 * responses are constant (their distance from the mean has length 1e-6 or less, or a standard deviation of 1e-5 of the
 * mean or less) has ρ = 0 and gets no gradient.
 *
 * Both sides need the same number of neurons: project the student where they differ. Weight: default 0.5.
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
  readonly over: LayerOver;

  constructor(options: NeuronCorrelationOptions = {}) {
    super(options, ["over"], 0.5);
    this.over = checkOneOf(new.target.name, "over", options.over ?? "samples-and-positions", layerOvers);
  }

  compareLayer(pair: LayerPair): LayerComparison {
    checkSameNeurons(pair);
    if (this.over !== "samples") checkSamePositions(pair);
    const student = groupsOf(pair.whatStudent, pair.student, this.over);
    const teacher = groupsOf(pair.whatTeacher, pair.teacher, this.over);
    const { neurons } = student;
    const own = student.groups.map((x) => standardized(x, neurons));
    const other = teacher.groups.map((y) => standardized(y, neurons).data);
    const count = own.length * neurons;
    let sum = 0;
    for (const [g, { data }] of own.entries())
      for (let i = 0; i < data.length; i++) sum += data[i]! * other[g]![i]!;
    return {
      loss: 1 - sum / count,
      gradient: () =>
        student.backward(
          own.map(({ backward }, g) => centredColumns(backward(other[g]!.map((y) => -y / count)), neurons)),
        ),
    };
  }
}

/** Centred, and of length 1. */
function standardized(x: Float64Array, neurons: number) {
  const rows = x.length / neurons;
  const floor = columnMeans(x, neurons).map((m) =>
    Math.max(DEAD_NORM, CONSTANT_RATIO * Math.abs(m) * Math.sqrt(rows)),
  );
  return unitColumns(centredColumns(x, neurons), neurons, floor);
}
