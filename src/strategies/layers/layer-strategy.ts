// What losses between layers have in common: which layers, what weight, and the checks of what they are given. A loss itself
// is one method of a class that extends the one here.
import { checkKeys, DistillError } from "../../base/errors.ts";
import { formatShape } from "../../base/tensor.ts";
import { checkFinite, checkLayerName, checkNotEmpty, checkWeight } from "../checks.ts";
import { IntermediateActivations } from "../intermediate-activations.ts";
import { type Matrix, zerosLike } from "../matrix.ts";
import type { IntermediateActivationStrategy } from "../strategy.ts";

/** The name that means every layer. */
const EVERY_LAYER = "default";

export interface LayerStrategyOptions {
  /** The layer to compare, by its name in the activations; default "default": every layer that both sides have. */
  readonly targetLayerName?: string;
  /** The weight of the loss of each layer; finite, 0 or more. 0 switches it off. */
  readonly weight?: number;
}

/** One layer of student and teacher. `data` is finite; a row is a position of a sample, as in {@link Matrix}. */
export interface LayerPair {
  readonly student: Matrix;
  readonly teacher: Matrix;
  /** How errors call them. */
  readonly whatStudent: string;
  readonly whatTeacher: string;
}

export interface LayerComparison {
  /** Before the weight. */
  readonly loss: number;
  /** d loss / d student, row-major as the student's matrix. Asked for only when gradients are. */
  gradient(): Float64Array;
}

/**
 * The base of a loss between layers of one's own: extend it and write `compareLayer`; names, weight, sums over layers
 * and validation are there. It has no loss on outputs: put it beside one in a `CombinedDistillationStrategy`.
 *
 * @example
 * ```ts
 * import { IntermediateActivations, LayerStrategyBase, Matrix, type LayerPair } from "onnx-distill";
 *
 * // The squared difference of the mean activations.
 * class MeanMatching extends LayerStrategyBase {
 *   compareLayer({ student, teacher }: LayerPair) {
 *     const mean = ({ data }: Matrix) => Array.from(data).reduce((a, v) => a + v, 0) / data.length;
 *     const d = mean(student) - mean(teacher);
 *     return {
 *       loss: d * d,
 *       gradient: () => new Float64Array(student.data.length).fill((2 * d) / student.data.length),
 *     };
 *   }
 * }
 * const student = new IntermediateActivations().add("layer3", Matrix.fromRows([[1, 2], [3, 2]]));
 * const teacher = new IntermediateActivations().add("layer3", Matrix.fromRows([[1], [0]]));
 * const strategy = new MeanMatching({ weight: 2 });
 * strategy.computeIntermediateLoss(student, teacher); // => 4.5
 * [...strategy.computeIntermediateGradient(student, teacher).get("layer3")!.data]; // => [1.5, 1.5, 1.5, 1.5]
 * ```
 */
export abstract class LayerStrategyBase implements IntermediateActivationStrategy {
  readonly targetLayerName: string;
  readonly weight: number;

  /**
   * `ownOptions` are the keys that a subclass's options have beyond these two; `defaultWeight` is 1 unless said.
   *
   * Errors: `E_OPTION` for another key, with the nearest ones; `E_ARGUMENT` for a value out of range.
   */
  constructor(options: LayerStrategyOptions = {}, ownOptions: readonly string[] = [], defaultWeight = 1) {
    const { targetLayerName = EVERY_LAYER, weight = defaultWeight } = options;
    const owner = new.target.name;
    checkKeys(owner, options, ["targetLayerName", "weight", ...ownOptions]);
    this.targetLayerName = checkLayerName(`${owner}: targetLayerName`, targetLayerName);
    this.weight = checkWeight(owner, "weight", weight);
  }

  /** The loss of one layer, before the weight, and its derivative by the student's activations. */
  abstract compareLayer(pair: LayerPair): LayerComparison;

  /**
   * weight · the sum of the losses of the layers; 0 where no layer is on both sides.
   *
   * Errors: `E_SHAPE` for layers that do not fit each other, `E_NOT_FINITE` with side, row and column.
   */
  computeIntermediateLoss(student: IntermediateActivations, teacher: IntermediateActivations): number {
    return this.computeIntermediateLossAndGradient(student, teacher, false).loss;
  }

  /**
   * The derivative of {@link computeIntermediateLoss} by the student's activations, one matrix for each layer, of their
   * shape and element type. The teacher is a constant.
   */
  computeIntermediateGradient(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
  ): IntermediateActivations {
    return this.computeIntermediateLossAndGradient(student, teacher).gradient;
  }

  /** Both at once, for less than twice the work. */
  computeIntermediateLossAndGradient(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
    withGradient = true,
  ): { readonly loss: number; readonly gradient: IntermediateActivations } {
    const gradient = new IntermediateActivations();
    let loss = 0;
    for (const name of this.#layers(student, teacher)) {
      const pair = pairOf(name, student.get(name) as Matrix, teacher.get(name) as Matrix);
      const compared = this.compareLayer(pair);
      if (!Number.isFinite(compared.loss))
        throw new DistillError(
          "E_NOT_FINITE",
          `${this.constructor.name}: the loss of layer "${name}" is ${compared.loss} for finite activations, so they are too large; scale them down`,
        );
      loss += this.weight * compared.loss;
      if (!withGradient) continue;
      const out = zerosLike(pair.student);
      const slope = compared.gradient();
      // "+ 0" turns −0 into 0.
      for (let i = 0; i < slope.length; i++) out.data[i] = this.weight * slope[i]! + 0;
      gradient.add(name, out);
    }
    return { loss, gradient };
  }

  #layers(student: IntermediateActivations, teacher: IntermediateActivations): string[] {
    const names = this.targetLayerName === EVERY_LAYER ? student.names() : [this.targetLayerName];
    return names.filter((name) => student.has(name) && teacher.has(name));
  }
}

function pairOf(name: string, student: Matrix, teacher: Matrix): LayerPair {
  const pair: LayerPair = {
    student,
    teacher,
    whatStudent: `student activations "${name}"`,
    whatTeacher: `teacher activations "${name}"`,
  };
  checkNotEmpty(pair.whatStudent, student);
  checkNotEmpty(pair.whatTeacher, teacher);
  checkSame(pair, "samples", (m) => m.rows / m.positions, "both come from the same batch");
  checkFinite(pair.whatStudent, student);
  checkFinite(pair.whatTeacher, teacher);
  return pair;
}

/** For losses that compare position with position. */
export function checkSamePositions(pair: LayerPair): void {
  checkSame(pair, "positions a sample", (m) => m.positions, "pool the larger to the smaller");
}

/** For losses that compare the i-th neuron with the i-th. */
export function checkSameNeurons(pair: LayerPair): void {
  checkSame(pair, "neurons", (m) => m.columns, "project the student's, or use a loss that needs no match");
}

function checkSame(pair: LayerPair, what: string, of: (m: Matrix) => number, hint: string): void {
  const [s, t] = [of(pair.student), of(pair.teacher)];
  if (s !== t)
    throw new DistillError(
      "E_SHAPE",
      `${pair.whatStudent} is ${formatShape(pair.student.dims)} with ${s} ${what}, ${pair.whatTeacher} is ` +
        `${formatShape(pair.teacher.dims)} with ${t}: they must be the same; ${hint}`,
    );
}
