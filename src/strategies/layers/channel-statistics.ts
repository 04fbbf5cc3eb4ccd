// Mean and spread of each neuron's responses, matched with those of the teacher's neuron of the same index: the distance
// between layers taken for Gaussians.
import { checkOneOf, checkWeight } from "../checks.ts";
import { type SelectivityOver, selectivityOvers } from "../selectivity-words.ts";
import { centredColumns, columnMeans, groupsOf } from "./groups.ts";
import {
  checkSameNeurons,
  checkSamePositions,
  type LayerComparison,
  type LayerPair,
  LayerStrategyBase,
  type LayerStrategyOptions,
} from "./layer-strategy.ts";

export interface ChannelStatisticsOptions extends LayerStrategyOptions {
  /** What the statistics are taken over; default "positions": sample by sample. */
  readonly over?: SelectivityOver;
  /** γ, the weight of the standard deviations against the means; finite, 0 or more; default 1. */
  readonly deviationWeight?: number;
}

/**
 * The mean over neurons (and, over "positions", over samples) of (μ_s − μ_t)² + γ·(σ_s − σ_t)², where μ and σ are mean and
 * standard deviation (1/n) of a neuron's responses: with γ = 1 the squared 2-Wasserstein distance of two Gaussians with
 * diagonal covariance, divided by the number of neurons. Where σ_s is 0 nothing flows back through it.
 *
 * Both sides need the same number of neurons: project the student where they differ. Weight: default 0.5.
 *
 * Source: J. Lv, H. Yang, P. Li, "Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge Distillation"
 * (WKD-F), 2024, arXiv:2412.08139; they sum over neurons.
 *
 * @example
 * ```ts
 * import { ChannelStatisticsStrategy, IntermediateActivations, Matrix } from "onnx-distill";
 *
 * const layer = (rows: number[][]) => new IntermediateActivations().add("l", Matrix.fromRows(rows));
 * const strategy = new ChannelStatisticsStrategy({ weight: 1, over: "samples" });
 * strategy.computeIntermediateLoss(layer([[0], [4]]), layer([[1], [3]])); // => 1
 * ```
 */
export class ChannelStatisticsStrategy extends LayerStrategyBase {
  readonly over: SelectivityOver;
  readonly deviationWeight: number;

  constructor(options: ChannelStatisticsOptions = {}) {
    super(options, ["over", "deviationWeight"], 0.5);
    const { over = "positions", deviationWeight = 1 } = options;
    this.over = checkOneOf(new.target.name, "over", over, selectivityOvers);
    this.deviationWeight = checkWeight(new.target.name, "deviationWeight", deviationWeight);
  }

  compareLayer(pair: LayerPair): LayerComparison {
    checkSameNeurons(pair);
    if (this.over === "samples-and-positions") checkSamePositions(pair);
    const student = groupsOf(pair.whatStudent, pair.student, this.over);
    const teacher = groupsOf(pair.whatTeacher, pair.teacher, this.over);
    const { neurons, rows } = student;
    const own = student.groups.map((x) => statistics(x, neurons));
    const other = teacher.groups.map((y) => statistics(y, neurons));
    const count = own.length * neurons;
    let sum = 0;
    for (const [g, s] of own.entries())
      for (let c = 0; c < neurons; c++) {
        const t = other[g]!;
        sum +=
          (s.mean[c]! - t.mean[c]!) ** 2 + this.deviationWeight * (s.deviation[c]! - t.deviation[c]!) ** 2;
      }
    return {
      loss: sum / count,
      gradient: () =>
        student.backward(
          own.map((s, g) => {
            const t = other[g]!;
            return s.centred.map((v, i) => {
              const c = i % neurons;
              const deviation = s.deviation[c]!;
              const bySpread =
                deviation > 0 ? (this.deviationWeight * (deviation - t.deviation[c]!) * v) / deviation : 0;
              return (2 * (s.mean[c]! - t.mean[c]! + bySpread)) / (count * rows);
            });
          }),
        ),
    };
  }
}

function statistics(x: Float64Array, neurons: number) {
  const rows = x.length / neurons;
  const centred = centredColumns(x, neurons);
  const deviation = new Float64Array(neurons);
  for (let i = 0; i < x.length; i++) deviation[i % neurons]! += (centred[i]! * centred[i]!) / rows;
  return { mean: columnMeans(x, neurons), centred, deviation: deviation.map(Math.sqrt) };
}
