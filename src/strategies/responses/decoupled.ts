// Decoupled knowledge distillation: what the teacher says of the target class, and what of the others, weighed apart.
import { checkSwitch, checkWeight, type InfiniteLogits } from "../checks.ts";
import type { Matrix } from "../matrix.ts";
import type { CheckedLogits, DistillationStrategyOptions } from "../strategy-base.ts";
import { ResponseStrategyBase } from "./response-base.ts";
import { logSumExp, TemperedRow } from "./tempered-row.ts";

export interface DecoupledOptions extends DistillationStrategyOptions {
  /** The weight of the target class against the rest (the paper's α); finite, 0 or more; default 1. */
  readonly targetWeight?: number;
  /** The weight of the distribution over the other classes (the paper's β); finite, 0 or more; default 2. */
  readonly nonTargetWeight?: number;
  /** Whether both sides' logits are standardised first, as in `ResponseDistillationStrategy`; default false. */
  readonly standardize?: boolean;
}

/**
 * Decoupled knowledge distillation (DKD). With p = softmax(t/T), q = softmax(s/T), the target class k of each row, and
 * p̂, q̂ the distributions over the other classes alone:
 *
 *   L = T²·[targetWeight·KL((p_k, 1−p_k) ‖ (q_k, 1−q_k)) + nonTargetWeight·KL(p̂ ‖ q̂)]
 *
 * the mean over rows; with labels α·CE(y, softmax(s)) + (1−α)·L. KL divides into the same two terms with the weights 1 and
 * 1−p_k: decoupling lets the second count where the teacher is sure. (The paper adds CE + L: alpha 0.5 and a loss half
 * as large.)
 *
 * The target is the label's largest class, without labels the teacher's; of equal ones the first. Labels are used for that
 * even with alpha 0. The paper's β goes from 0.5 on ImageNet to 8 and more on CIFAR-100; with ten classes more than 2
 * has been too much. With two classes p̂ is the one other class, so the second term is 0; with one class so is the first.
 * Computed from log-odds and log-softmax: logits of ±1e4 and certain teachers give finite numbers.
 *
 * Source: B. Zhao, Q. Cui, R. Song, Y. Qiu, J. Liang, "Decoupled Knowledge Distillation", CVPR 2022, arXiv:2203.08679.
 *
 * @example
 * ```ts
 * import { DecoupledDistillationStrategy, Matrix } from "onnx-distill";
 *
 * const strategy = new DecoupledDistillationStrategy({ temperature: 1, nonTargetWeight: 2 });
 * const teacher = Matrix.fromRows([[2, 0, 0]]); // says nothing of the others
 * const student = Matrix.fromRows([[2, Math.log(1.5), Math.log(0.5)]]); // as sure, but tells the others apart
 * strategy.computeLoss(student, teacher).toFixed(9); // => Math.log(4 / 3).toFixed(9)
 * ```
 */
export class DecoupledDistillationStrategy extends ResponseStrategyBase {
  readonly targetWeight: number;
  readonly nonTargetWeight: number;
  readonly standardize: boolean;

  /**
   * Defaults: temperature 4, alpha 0.3, targetWeight 1, nonTargetWeight 2, standardize false.
   *
   * Errors: `E_ARGUMENT` for a value out of range, `E_OPTION` for an unknown option.
   */
  constructor(options: DecoupledOptions = {}) {
    super({ temperature: 4, ...options }, ["targetWeight", "nonTargetWeight", "standardize"]);
    const { targetWeight = 1, nonTargetWeight = 2, standardize = false } = options;
    const owner = new.target.name;
    this.targetWeight = checkWeight(owner, "targetWeight", targetWeight);
    this.nonTargetWeight = checkWeight(owner, "nonTargetWeight", nonTargetWeight);
    this.standardize = checkSwitch(owner, "standardize", standardize);
  }

  /** Labels say which class is the target, whatever alpha is. */
  get usesLabels(): boolean {
    return true;
  }

  protected override get infiniteLogits(): InfiniteLogits {
    return this.standardize ? "standardized" : super.infiniteLogits;
  }

  protected override teacherLoss(
    { student, teacher, labels }: CheckedLogits,
    gradient?: Float64Array,
  ): number {
    const { rows, columns } = student;
    const { temperature: t, standardize } = this;
    if (columns < 2) return 0;
    const [ofStudent, ofTeacher] = [
      new TemperedRow(columns, t, standardize),
      new TemperedRow(columns, t, standardize),
    ];
    const g = new Float64Array(columns);
    let sum = 0;
    for (let r = 0; r < rows; r++) {
      const from = r * columns;
      const target = firstLargest(labels ?? teacher, r);
      const logP = ofTeacher.read(teacher.data, from);
      const logQ = ofStudent.read(student.data, from);
      sum += this.#row(logP, logQ, target, g);
      if (gradient) ofStudent.addGradient(g, (t * t) / rows, gradient, from);
    }
    return (t * t * sum) / rows;
  }

  /** The two weighted terms of one row; their derivative by u = s/T in `g`. */
  #row(logP: Float64Array, logQ: Float64Array, target: number, g: Float64Array): number {
    const [restP, restQ] = [logSumExp(logP, target), logSumExp(logQ, target)];
    // Log-odds of the target: the pair (p_k, 1 − p_k) is (σ(a), σ(−a)).
    const [a, c] = [logP[target]! - restP, logQ[target]! - restQ];
    const [p, notP] = [Math.exp(logSigmoid(a)), Math.exp(logSigmoid(-a))];
    const ofTarget = times(p, logSigmoid(a) - logSigmoid(c)) + times(notP, logSigmoid(-a) - logSigmoid(-c));
    const pull = this.targetWeight * (Math.exp(logSigmoid(c)) - p); // d/dc
    let ofOthers = 0;
    for (let k = 0; k < g.length; k++) {
      if (k === target) {
        g[k] = pull;
        continue;
      }
      // A side that rules all others out says nothing of how they compare.
      const [logPk, logQk] = [among(logP[k]!, restP), among(logQ[k]!, restQ)];
      const [pk, qk] = [Math.exp(logPk), Math.exp(logQk)];
      if (pk > 0) ofOthers += pk * (logPk - logQk);
      g[k] = (restP === -Infinity ? 0 : this.nonTargetWeight * (qk - pk)) - pull * qk;
    }
    return this.targetWeight * Math.max(0, ofTarget) + this.nonTargetWeight * Math.max(0, ofOthers);
  }
}

/** Column of the first of the largest values in row r. */
function firstLargest({ data, columns }: Matrix, r: number): number {
  const from = r * columns;
  let best = 0;
  for (let c = 1; c < columns; c++) if (data[from + c]! > data[from + best]!) best = c;
  return best;
}

/** p·x, where p = 0 counts as 0·log 0 = 0. */
const times = (p: number, x: number): number => (p === 0 ? 0 : p * x);

/** The log-probability among others that have `rest` together. */
const among = (logP: number, rest: number): number => (rest === -Infinity ? rest : logP - rest);

/** log σ(x) = −log(1 + exp(−x)). */
function logSigmoid(x: number): number {
  return Math.min(0, x) - Math.log1p(Math.exp(-Math.abs(x)));
}
