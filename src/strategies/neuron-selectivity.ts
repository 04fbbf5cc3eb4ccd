// Neuron selectivity: besides the outputs, the student learns how each of the teacher's neurons responds over the
// samples of a batch. The loss on outputs is inherited; the scores live in metrics/.
import { checkLayerName, checkSameShape, checkTwoSamples, checkWeight } from "./checks.ts";
import { IntermediateActivations } from "./intermediate-activations.ts";
import { type FloatArray, type Matrix, matrixFromRows, zerosLike } from "./matrix.ts";
import type { Measure, Measured } from "./metrics/metric.ts";
import { ResponseDistillationStrategy } from "./response-strategy.ts";
import { measureFor, SelectivityMetric } from "./selectivity-metric.ts";
import type { IntermediateActivationStrategy } from "./strategy.ts";
import type { DistillationStrategyOptions } from "./strategy-base.ts";

export interface NeuronSelectivityOptions extends DistillationStrategyOptions {
  /** The layer to compare, by its name in the activations; not blank; default "default". */
  readonly targetLayerName?: string;
  /** The weight of the selectivity loss; finite, 0 or more; default 0.5. 0 switches it off. */
  readonly selectivityWeight?: number;
  /** How a neuron is scored; default "variance". */
  readonly metric?: SelectivityMetric;
}

/**
 * Distillation of outputs and of neuron selectivity.
 *
 * On outputs: the loss of {@link ResponseDistillationStrategy}. On the activations `[B, N]` of one layer of
 * student and teacher, both with the same number of samples B ≥ 2 and of neurons N:
 *
 *   weight · (1/N) Σ (score_student − score_teacher)²
 *
 * with one score per neuron over the samples, by {@link SelectivityMetric}. Gradients are exact for variance and
 * peak-to-average; for sparsity, whose score counts, they go through the smooth count σ(100·(|a| − 0.01)). The
 * teacher is a constant. float32 and float64 are both summed in float64.
 *
 * A target layer that either side lacks gives the loss 0 and no gradients. So does not a batch of one, nor NaN:
 * they are errors.
 *
 * Source: the idea of matching how selective neurons are is Z. Huang and N. Wang's, "Like What You Like: Knowledge
 * Distill via Neuron Selectivity Transfer", 2017, arXiv:1707.01219. They match distributions of activation
 * patterns by maximum mean discrepancy; the per-neuron scores here are a simpler loss of the same intent, not
 * theirs, and follow the class of this name in the .NET library AiDotNet with its errors mended.
 *
 * @example
 * ```ts
 * import { IntermediateActivations, Matrix, NeuronSelectivityDistillationStrategy } from "onnx-distill";
 *
 * const strategy = new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer3", metric: "variance" });
 * const student = new IntermediateActivations().add("layer3", Matrix.fromRows([[0, 1], [2, 1]]));
 * const teacher = new IntermediateActivations().add("layer3", Matrix.fromRows([[0, 0], [4, 2]]));
 * strategy.computeIntermediateLoss(student, teacher); // => 2.5
 * [...strategy.computeIntermediateGradient(student, teacher).get("layer3")!.data]; // => [1.5, 0, -1.5, 0]
 * ```
 */
export class NeuronSelectivityDistillationStrategy
  extends ResponseDistillationStrategy
  implements IntermediateActivationStrategy
{
  readonly targetLayerName: string;
  readonly selectivityWeight: number;
  readonly metric: SelectivityMetric;
  readonly #measure: Measure;

  /**
   * Defaults: targetLayerName "default", selectivityWeight 0.5, metric "variance", temperature 3, alpha 0.3.
   *
   * Errors: `E_ARGUMENT` for a value out of range or an unknown metric, `E_OPTION` for an unknown option.
   */
  constructor(options: NeuronSelectivityOptions = {}) {
    super(options, ["targetLayerName", "selectivityWeight", "metric"]);
    const {
      targetLayerName = "default",
      selectivityWeight = 0.5,
      metric = SelectivityMetric.Variance,
    } = options;
    const owner = new.target.name;
    this.targetLayerName = checkLayerName(`${owner}: targetLayerName`, targetLayerName);
    this.selectivityWeight = checkWeight(owner, "selectivityWeight", selectivityWeight);
    this.metric = metric;
    this.#measure = measureFor(owner, metric);
  }

  /**
   * The weighted selectivity loss of two sets of rows, each an array of B samples of N neurons; what
   * {@link computeIntermediateLoss} gives for a layer of these activations.
   *
   * Errors: `E_SHAPE` for ragged rows, fewer than two samples, or counts of rows or columns that differ;
   * `E_NOT_FINITE` with argument, row and column.
   */
  computeSelectivityLoss(studentRows: readonly FloatArray[], teacherRows: readonly FloatArray[]): number {
    return this.#compare(
      "studentRows",
      matrixFromRows("studentRows", studentRows),
      "teacherRows",
      matrixFromRows("teacherRows", teacherRows),
    ).loss;
  }

  /**
   * The weighted selectivity loss of the target layer; 0 when either side lacks it. With selectivityWeight 0
   * shapes are still checked but values are not looked at.
   *
   * Errors: `E_SHAPE` for fewer than two samples or shapes that differ, `E_NOT_FINITE` with side, row and column.
   */
  computeIntermediateLoss(student: IntermediateActivations, teacher: IntermediateActivations): number {
    return this.#compareLayer(student, teacher)?.loss ?? 0;
  }

  /**
   * The derivative of {@link computeIntermediateLoss} by the student's activations: one matrix, under the target
   * layer's name, of their shape and element type; empty when either side lacks the layer; zeros when
   * selectivityWeight is 0. Errors as {@link computeIntermediateLoss}.
   *
   * With d = 2·weight·(score_s − score_t)/N for each neuron, the gradient at a is d times
   *
   * - variance: (2/B)·(a − μ);
   * - sparsity: (1/B)·100·σ′(100·(|a| − 0.01))·sign(a), where the scores in d are the hard counts;
   * - peak-to-average, with P = max|a|, M = mean|a|, n samples at the peak:
   *   sign(a)·([|a| = P]/(n·M) − P/(B·M²)); 0 for a dead neuron.
   */
  computeIntermediateGradient(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
  ): IntermediateActivations {
    return this.computeIntermediateLossAndGradient(student, teacher).gradient;
  }

  /**
   * Both at once, in one pass over each side for the scores and one over the student for the gradient; the two
   * methods above would take the first pass twice.
   */
  computeIntermediateLossAndGradient(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
  ): { readonly loss: number; readonly gradient: IntermediateActivations } {
    const gradient = new IntermediateActivations();
    const compared = this.#compareLayer(student, teacher);
    if (compared === undefined) return { loss: 0, gradient };
    gradient.add(this.targetLayerName, compared.gradient());
    return { loss: compared.loss, gradient };
  }

  #compareLayer(student: IntermediateActivations, teacher: IntermediateActivations): Compared | undefined {
    const name = this.targetLayerName;
    const s = student.get(name);
    const t = teacher.get(name);
    if (s === undefined || t === undefined) return undefined;
    return this.#compare(`student activations "${name}"`, s, `teacher activations "${name}"`, t);
  }

  #compare(whatStudent: string, student: Matrix, whatTeacher: string, teacher: Matrix): Compared {
    checkSameShape(whatStudent, student, whatTeacher, teacher);
    checkTwoSamples(whatStudent, student);
    if (this.selectivityWeight === 0) return { loss: 0, gradient: () => zerosLike(student) };
    const measured = this.#measure(whatStudent, student);
    const target = this.#measure(whatTeacher, teacher);
    const upstream = new Float64Array(student.columns);
    const loss = squaredDistance(measured, target, this.selectivityWeight, upstream);
    return {
      loss: this.checkLoss(loss),
      gradient: () => {
        const gradient = zerosLike(student);
        measured.backward(upstream, gradient.data);
        return gradient;
      },
    };
  }
}

interface Compared {
  readonly loss: number;
  readonly gradient: () => Matrix;
}

/** weight · (1/N) Σ (s − t)²; leaves its derivative by s in `upstream`. */
function squaredDistance(
  { scores: s }: Measured,
  { scores: t }: Measured,
  weight: number,
  upstream: Float64Array,
): number {
  const n = s.length;
  let sum = 0;
  for (let c = 0; c < n; c++) {
    const difference = s[c]! - t[c]!;
    sum += difference * difference;
    upstream[c] = (2 * weight * difference) / n;
  }
  return (weight * sum) / n;
}
