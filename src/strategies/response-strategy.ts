// Distillation from outputs alone: Hinton, Vinyals and Dean's loss, and its variants by standardised logits and by other
// divergences. Knows nothing of intermediate layers.
import { checkSwitch, type InfiniteLogits } from "./checks.ts";
import { Divergence, type DivergenceOf, divergenceNamed } from "./responses/divergence.ts";
import { ResponseStrategyBase } from "./responses/response-base.ts";
import { TemperedRow } from "./responses/tempered-row.ts";
import type { CheckedLogits, DistillationStrategyOptions } from "./strategy-base.ts";

export interface ResponseOptions extends DistillationStrategyOptions {
  /** Whether both sides' logits are standardised, row by row, before they are compared; default false. */
  readonly standardize?: boolean;
  /** How the two distributions are compared; default "forward-kl". */
  readonly divergence?: Divergence;
}

/**
 * The usual loss on outputs. For logits s, t `[B, C]` of student and teacher and labels y `[B, C]`, in means over
 * the batch:
 *
 * - without labels: T²·KL(softmax(t/T) ‖ softmax(s/T)), whatever alpha is;
 * - with labels: α·CE(y, softmax(s)) + (1−α)·T²·KL, where CE(y, q) = −Σ y log q.
 *
 * T² keeps the gradient's size independent of T. Everything is computed by log-softmax in float64: logits of
 * ±1e4 give a finite loss, and a probability of zero contributes 0·log 0 = 0. The loss is never negative.
 *
 * With `standardize`, (z − mean(z)) / (std(z) + 1e-7) takes the place of z in the KL term, for each row of either side
 * (std with n − 1, as its authors compute it); the gradient goes through the student's mean and std. So the
 * student need not match the size of the teacher's logits. A row in which the student's logits are all equal counts as
 * zeros and has no gradient (the true one grows as 1/std), so a student that begins so needs labels beside it.
 * With `divergence`, another one takes the place of KL.
 *
 * Sources: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531;
 * S. Sun, W. Ren, J. Li, R. Wang, X. Cao, "Logit Standardization in Knowledge Distillation", CVPR 2024,
 * arXiv:2403.01427. Other divergences: see {@link Divergence}.
 *
 * @example
 * ```ts
 * import { Matrix, ResponseDistillationStrategy } from "onnx-distill";
 *
 * const strategy = new ResponseDistillationStrategy({ temperature: 4, alpha: 0.1 });
 * const teacher = Matrix.fromRows([[3, 1, -2]]);
 * strategy.computeLoss(teacher, teacher); // => 0
 * [...strategy.computeGradient(teacher, teacher).data]; // => [0, 0, 0]
 * ```
 */
export class ResponseDistillationStrategy extends ResponseStrategyBase {
  readonly standardize: boolean;
  readonly divergence: Divergence;
  readonly #divergence: DivergenceOf;

  /**
   * Defaults: temperature 3, alpha 0.3, standardize false, divergence "forward-kl". `ownOptions` are the keys that a
   * subclass's options have beyond these.
   *
   * Errors: `E_ARGUMENT` for a value out of range or an unknown divergence, `E_OPTION` for an unknown option.
   */
  constructor(options: ResponseOptions = {}, ownOptions: readonly string[] = []) {
    super(options, ["standardize", "divergence", ...ownOptions]);
    const { standardize = false, divergence = Divergence.ForwardKl } = options;
    this.standardize = checkSwitch(new.target.name, "standardize", standardize);
    this.#divergence = divergenceNamed(new.target.name, divergence);
    this.divergence = divergence;
  }

  protected override get infiniteLogits(): InfiniteLogits {
    return this.standardize ? "standardized" : super.infiniteLogits;
  }

  protected override teacherLoss({ student, teacher }: CheckedLogits, gradient?: Float64Array): number {
    const { rows, columns } = student;
    const { temperature: t, standardize } = this;
    const [ofStudent, ofTeacher] = [
      new TemperedRow(columns, t, standardize),
      new TemperedRow(columns, t, standardize),
    ];
    const g = gradient && new Float64Array(columns);
    let sum = 0;
    for (let r = 0; r < rows; r++) {
      const from = r * columns;
      const logP = ofTeacher.read(teacher.data, from);
      const logQ = ofStudent.read(student.data, from);
      g?.fill(0);
      sum += this.#divergence(logP, logQ, g);
      if (g && gradient) ofStudent.addGradient(g, (t * t) / rows, gradient, from);
    }
    return (t * t * sum) / rows;
  }
}
