// Transformed teacher matching: the temperature softens the teacher alone; what the student learns is its own output.
import { checkSwitch, checkWeight } from "../checks.ts";
import type { CheckedLogits, DistillationStrategyOptions } from "../strategy-base.ts";
import { ResponseStrategyBase } from "./response-base.ts";
import { klDivergence, logSumExp, TemperedRow } from "./tempered-row.ts";

export interface TransformedTeacherOptions extends DistillationStrategyOptions {
  /** The weight of the loss against the teacher (the paper's β), inside the (1−α) of it; finite, 0 or more; default 3. */
  readonly teacherWeight?: number;
  /** Whether each row is weighed by how smooth the teacher is there (WTTM), or all alike (TTM); default true. */
  readonly weighted?: boolean;
}

/**
 * Weighted transformed teacher matching (WTTM). With p = softmax(t), q = softmax(s) without a temperature, and
 * γ = 1/T:
 *
 *   L = teacherWeight · Z·KL(p^γ/Z ‖ q),  Z = Σ p^γ
 *
 * the mean over rows; with labels α·CE(y, q) + (1−α)·L. p^γ/Z is softmax(t/T); Z lies between 1 for a teacher that is
 * certain and C^(1−γ) for one that knows nothing, so rows where the teacher is unsure count more. With `weighted: false`
 * Z stands for 1 in front of KL (TTM). There is no T² before it: the student's logits are not divided by T. (The paper
 * adds CE + β·L: alpha 0.5 and teacherWeight β, half as large.)
 *
 * Logits of ±1e4 give finite numbers: Z is taken by log-sum-exp.
 *
 * Source: K. Zheng, E.-H. Yang, "Knowledge Distillation Based on Transformed Teacher Matching", ICLR 2024,
 * arXiv:2402.11148.
 *
 * @example
 * ```ts
 * import { Matrix, TransformedTeacherDistillationStrategy } from "onnx-distill";
 *
 * const strategy = new TransformedTeacherDistillationStrategy({ temperature: 2 });
 * const teacher = Matrix.fromRows([[Math.log(16), 0]]);
 * const student = Matrix.fromRows([[Math.log(4), 0]]); // what the teacher is at T = 2
 * strategy.computeLoss(student, teacher).toFixed(9); // => "0.000000000"
 * ```
 */
export class TransformedTeacherDistillationStrategy extends ResponseStrategyBase {
  readonly teacherWeight: number;
  readonly weighted: boolean;

  /**
   * Defaults: temperature 4, alpha 0.3, teacherWeight 3, weighted true.
   *
   * Errors: `E_ARGUMENT` for a value out of range, `E_OPTION` for an unknown option.
   */
  constructor(options: TransformedTeacherOptions = {}) {
    super({ temperature: 4, ...options }, ["teacherWeight", "weighted"]);
    const { teacherWeight = 3, weighted = true } = options;
    const owner = new.target.name;
    this.teacherWeight = checkWeight(owner, "teacherWeight", teacherWeight);
    this.weighted = checkSwitch(owner, "weighted", weighted);
  }

  protected override teacherLoss({ student, teacher }: CheckedLogits, gradient?: Float64Array): number {
    const { rows, columns } = student;
    const own = new TemperedRow(columns, 1, false);
    const plain = new TemperedRow(columns, 1, false);
    const powered = new Float64Array(columns);
    const g = new Float64Array(columns);
    let sum = 0;
    for (let r = 0; r < rows; r++) {
      const from = r * columns;
      const logQ = own.read(student.data, from);
      const logP = plain.read(teacher.data, from);
      for (let c = 0; c < columns; c++) powered[c] = logP[c]! / this.temperature;
      const logZ = logSumExp(powered);
      for (let c = 0; c < columns; c++) powered[c]! -= logZ;
      const weight = (this.teacherWeight * (this.weighted ? Math.exp(logZ) : 1)) / rows;
      sum += weight * klDivergence(powered, logQ);
      if (!gradient) continue;
      for (let c = 0; c < columns; c++) g[c] = Math.exp(logQ[c]!) - Math.exp(powered[c]!);
      own.addGradient(g, weight, gradient, from);
    }
    return sum;
  }
}
