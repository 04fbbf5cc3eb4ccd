// Neuron selectivity: besides the outputs, the student learns how each of the teacher's neurons responds over the
// samples of a batch. The loss on outputs is inherited; scores live in metrics/, what is compared with what in match.ts,
// distances in comparison.ts.
import { DistillError } from "../base/errors.ts";
import { ResponseCorrelation } from "./assignment.ts";
import { checkClasses, checkSameShape } from "./checks.ts";
import { compareProfiles, compareScores } from "./comparison.ts";
import { IntermediateActivations } from "./intermediate-activations.ts";
import { checkAssignment, pairsOf } from "./match.ts";
import { type FloatArray, type Matrix, type MatrixLike, matrixFromRows, zerosLike } from "./matrix.ts";
import type { Metric } from "./metrics/metric.ts";
import { checkComparable } from "./metrics/over.ts";
import { ResponseDistillationStrategy } from "./response-strategy.ts";
import { blend, type RunningMoments } from "./running-moments.ts";
import type { SelectivityMetric } from "./selectivity-metric.ts";
import {
  type NeuronSelectivityOptions,
  resolveSelectivity,
  selectivityOptionKeys,
} from "./selectivity-options.ts";
import type {
  SelectivityDistance,
  SelectivityMatch,
  SelectivityOver,
  SelectivityTarget,
} from "./selectivity-words.ts";
import type { IntermediateActivationStrategy } from "./strategy.ts";

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
 * By options the scores may be taken over other samples (`over`), neurons matched otherwise, also of unequal numbers
 * (`match`), the teacher's scores be those of its whole data set (`target`), the student's estimated over many batches
 * (`momentum`), and compared otherwise (`distance`); see {@link NeuronSelectivityOptions}. In training, `distill()` sees
 * to what they need; on arrays {@link teacherScores}, {@link updateRunning} and {@link computeAssignment} do. Metrics
 * that tell classes apart take labels as a third argument.
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
  readonly over: SelectivityOver;
  readonly match: SelectivityMatch;
  readonly assignmentEvery: number;
  readonly target: SelectivityTarget;
  readonly momentum: number;
  readonly distance: SelectivityDistance;
  readonly #scored: Metric;
  #teacherScores: Float64Array | undefined;
  #assignment: Int32Array | undefined;
  #running: RunningMoments | undefined;

  /**
   * Defaults: targetLayerName "default", selectivityWeight 0.5, metric "variance", over "samples-and-positions", match
   * "index", target "batch", momentum 0, distance "squared", temperature 3, alpha 0.3.
   *
   * Errors: `E_ARGUMENT` for a value out of range or an unknown metric, `E_OPTION` for an unknown option or options that
   * contradict each other.
   */
  constructor(options: NeuronSelectivityOptions = {}) {
    super(options, selectivityOptionKeys);
    const o = resolveSelectivity(new.target.name, options);
    this.targetLayerName = o.targetLayerName;
    this.selectivityWeight = o.selectivityWeight;
    this.metric = o.metric;
    this.over = o.over;
    this.match = o.match;
    this.assignmentEvery = o.assignmentEvery;
    this.target = o.target;
    this.momentum = o.momentum;
    this.distance = o.distance;
    this.#scored = o.scored;
  }

  /** True for the metrics that tell classes apart. */
  get layersUseLabels(): boolean {
    return this.#scored.needsClasses;
  }

  /**
   * The weighted selectivity loss of two sets of rows, each an array of B samples of N neurons; what
   * {@link computeIntermediateLoss} gives for a layer of these activations.
   *
   * Errors: `E_SHAPE` for ragged rows, fewer than two samples, or counts of rows or columns that differ;
   * `E_NOT_FINITE` with argument, row and column.
   */
  computeSelectivityLoss(
    studentRows: readonly FloatArray[],
    teacherRows: readonly FloatArray[],
    labels?: MatrixLike,
  ): number {
    return this.#compare(
      "studentRows",
      matrixFromRows("studentRows", studentRows),
      "teacherRows",
      matrixFromRows("teacherRows", teacherRows),
      labels,
    ).loss;
  }

  /**
   * The weighted selectivity loss of the target layer; 0 when either side lacks it. With selectivityWeight 0
   * shapes are still checked but values are not looked at. `labels` `[samples, classes]`, rows being distributions, are
   * needed by the metrics of classes and not looked at by others.
   *
   * Errors: `E_SHAPE` for fewer than two samples or shapes that differ, `E_NOT_FINITE` with side, row and column,
   * `E_ARGUMENT` for missing labels, `E_OPTION` where `teacherScores` or `assignment` are needed and not there yet.
   */
  computeIntermediateLoss(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
    labels?: MatrixLike,
  ): number {
    return this.#compareLayer(student, teacher, labels)?.loss ?? 0;
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
   *   sign(a)·([|a| = P]/(n·M) − P/(B·M²)); 0 for a dead neuron;
   * - the exact derivative of every other metric's score.
   *
   * With momentum it is the derivative that the loss would have if all samples moved as the batch's do: of the loss here by
   * the batch, times 1 / (the batch's share in the running moments).
   */
  computeIntermediateGradient(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
    labels?: MatrixLike,
  ): IntermediateActivations {
    return this.computeIntermediateLossAndGradient(student, teacher, labels).gradient;
  }

  /**
   * Both at once, in one pass over each side for the scores and one over the student for the gradient; the two
   * methods above would take the first pass twice.
   */
  computeIntermediateLossAndGradient(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
    labels?: MatrixLike,
  ): { readonly loss: number; readonly gradient: IntermediateActivations } {
    const gradient = new IntermediateActivations();
    const compared = this.#compareLayer(student, teacher, labels);
    if (compared === undefined) return { loss: 0, gradient };
    gradient.add(this.targetLayerName, compared.gradient());
    return { loss: compared.loss, gradient };
  }

  /**
   * With target "dataset": the scores of the teacher's neurons over its data set, as `SelectivityAccumulator` gives them;
   * to be set before the loss is asked for. Error: `E_NOT_FINITE` for scores that are not finite.
   */
  get teacherScores(): Float64Array | undefined {
    return this.#teacherScores;
  }
  set teacherScores(scores: ArrayLike<number> | undefined) {
    const given = scores && Float64Array.from(scores);
    const bad = given?.findIndex((s) => !Number.isFinite(s)) ?? -1;
    if (given && bad >= 0)
      throw new DistillError(
        "E_NOT_FINITE",
        `teacherScores: score ${bad} is ${given[bad]}; every score must be finite`,
      );
    this.#teacherScores = given;
  }

  /**
   * With match "assignment": for each neuron of the student the number of the teacher's neuron that it is compared with,
   * or −1 for none; stays as it is until it is set or computed anew. Error: `E_ARGUMENT` for a neuron that is assigned twice.
   */
  get assignment(): Int32Array | undefined {
    return this.#assignment;
  }
  set assignment(assignment: ArrayLike<number> | undefined) {
    this.#assignment = assignment && checkAssignment("assignment", assignment);
  }

  /**
   * Computes {@link assignment} from the responses of the target layer to the same samples: one to one, with the greatest
   * sum of correlations. For more samples than one batch, see `ResponseCorrelation`.
   *
   * Errors: `E_NAME` where either side lacks the layer, `E_SHAPE` for rows that differ, `E_NOT_FINITE`.
   */
  computeAssignment(student: IntermediateActivations, teacher: IntermediateActivations): Int32Array {
    const correlation = new ResponseCorrelation();
    correlation.add(this.#layer("student", student), this.#layer("teacher", teacher));
    this.#assignment = correlation.assignment();
    return this.#assignment;
  }

  /**
   * With momentum: takes the student's activations of a batch into the running moments, which the next batch's scores are
   * mixed with. To be called once for each batch, after its loss and gradient. Errors as {@link computeIntermediateLoss}.
   */
  updateRunning(student: IntermediateActivations, labels?: MatrixLike): void {
    const layer = this.#layer("student", student);
    const batch = this.#measure(`student activations "${this.targetLayerName}"`, layer, labels);
    this.#running = blend(this.#scored, this.#running, batch.parts, this.momentum);
  }

  /** Forgets the running moments. */
  resetRunning(): void {
    this.#running = undefined;
  }

  #layer(side: string, activations: IntermediateActivations): Matrix {
    const found = activations.get(this.targetLayerName);
    if (!found)
      throw new DistillError(
        "E_NAME",
        `the ${side} has no activations "${this.targetLayerName}"; add them, it has ${activations.names().join(", ") || "none"}`,
      );
    return found;
  }

  #compareLayer(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
    labels: MatrixLike | undefined,
  ): WithGradient | undefined {
    const name = this.targetLayerName;
    const s = student.get(name);
    const t = teacher.get(name);
    if (s === undefined || (t === undefined && this.target === "batch")) return undefined;
    return this.#compare(`student activations "${name}"`, s, `teacher activations "${name}"`, t, labels);
  }

  #compare(
    whatStudent: string,
    student: Matrix,
    whatTeacher: string,
    teacher: Matrix | undefined,
    labels: MatrixLike | undefined,
  ): WithGradient {
    if (this.target === "batch") checkSameSamples(whatStudent, student, whatTeacher, teacher!, this.#byIndex);
    checkComparable(whatStudent, student, this.over);
    if (this.selectivityWeight === 0) return { loss: 0, gradient: () => zerosLike(student) };
    const batch = this.#measure(whatStudent, student, labels);
    const { parts } =
      this.momentum > 0 ? blend(this.#scored, this.#running, batch.parts, this.momentum) : batch;
    const target =
      this.target === "dataset"
        ? this.#targetOf(student)
        : this.#scored.score(this.#measure(whatTeacher, teacher!, labels).parts);
    const scores = this.#scored.score(parts);
    const pairing = (classes: number) => pairsOf(this.match, scores, target, classes, this.#assignment);
    const { loss, upstream } = this.#scored.isProfile
      ? compareProfiles(scores, target, parts[0]!, pairing, this.distance)
      : compareScores(scores, target, pairing(1), this.distance);
    return {
      loss: this.checkLoss(this.selectivityWeight * loss),
      gradient: () => {
        const gradient = zerosLike(student);
        const weighted = new Float64Array(upstream.length);
        for (let i = 0; i < weighted.length; i++) weighted[i] = this.selectivityWeight * upstream[i]!;
        batch.backward(this.#scored.scoreGradient(parts, scores, weighted), parts, gradient.data);
        return gradient;
      },
    };
  }

  #measure(what: string, activations: Matrix, labels: MatrixLike | undefined) {
    const classes = this.#scored.needsClasses ? checkClasses("labels", labels, what, activations) : undefined;
    return this.#scored.measure(what, activations, classes);
  }

  /** Whether scores are compared one by one, so that both sides need equally many neurons. */
  get #byIndex(): boolean {
    return this.match === "index" && this.#scored.of === "neuron";
  }

  #targetOf(student: Matrix): Float64Array {
    const scores = this.#teacherScores;
    if (!scores)
      throw new DistillError(
        "E_OPTION",
        'target "dataset" needs the teacher\'s scores over its data set; set teacherScores, which SelectivityAccumulator computes',
      );
    if (this.#byIndex && !this.#scored.isProfile && scores.length !== student.columns)
      throw new DistillError(
        "E_SHAPE",
        `teacherScores holds ${scores.length} scores for ${student.columns} neurons of the student; match neurons by "rank" or "assignment"`,
      );
    return scores;
  }
}

interface WithGradient {
  readonly loss: number;
  readonly gradient: () => Matrix;
}

/** The same samples on both sides, and equally many neurons where they are compared one by one. */
function checkSameSamples(
  whatStudent: string,
  student: Matrix,
  whatTeacher: string,
  teacher: Matrix,
  sameNeurons: boolean,
): void {
  if (sameNeurons || student.rows !== teacher.rows)
    checkSameShape(whatStudent, student, whatTeacher, teacher);
}
