// Hints: the student's activations shall be the teacher's, number by number.
import {
  checkSameNeurons,
  checkSamePositions,
  type LayerComparison,
  type LayerPair,
  LayerStrategyBase,
  type LayerStrategyOptions,
} from "./layer-strategy.ts";

/**
 * The mean over all activations of (student − teacher)². Both sides need the same samples, positions and neurons; a
 * student of other width is projected first (`project: true` of the tap), which is how hints are meant. Weight:
 * default 0.5.
 *
 * Source: A. Romero et al., "FitNets: Hints for Thin Deep Nets", 2015, arXiv:1412.6550.
 *
 * @example
 * ```ts
 * import { HintStrategy, IntermediateActivations, Matrix } from "onnx-distill";
 *
 * const layer = (rows: number[][]) => new IntermediateActivations().add("l", Matrix.fromRows(rows));
 * new HintStrategy({ weight: 1 }).computeIntermediateLoss(layer([[1, 2]]), layer([[1, 4]])); // => 2
 * ```
 */
export class HintStrategy extends LayerStrategyBase {
  constructor(options: LayerStrategyOptions = {}) {
    super(options, [], 0.5);
  }

  compareLayer(pair: LayerPair): LayerComparison {
    checkSamePositions(pair);
    checkSameNeurons(pair);
    const [s, t] = [pair.student.data, pair.teacher.data];
    const count = s.length;
    let sum = 0;
    for (let i = 0; i < count; i++) sum += (s[i]! - t[i]!) * (s[i]! - t[i]!);
    return {
      loss: sum / count,
      gradient: () => Float64Array.from(s, (v, i) => (2 * (v - t[i]!)) / count),
    };
  }
}
