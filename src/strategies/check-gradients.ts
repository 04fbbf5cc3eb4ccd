// Holds the gradients of a strategy to differences of its losses: the test that a loss of one's own should have.
import { DistillError } from "../base/errors.ts";
import { IntermediateActivations } from "./intermediate-activations.ts";
import { asMatrix, Matrix, type MatrixLike } from "./matrix.ts";
import { type AnyStrategy, hasIntermediateLoss, hasOutputLoss } from "./strategy.ts";

/** What to differentiate at: logits for a loss on outputs, activations for one on layers, or both. */
export interface GradientCheckInputs {
  readonly studentLogits?: MatrixLike;
  readonly teacherLogits?: MatrixLike;
  readonly labels?: MatrixLike;
  readonly student?: IntermediateActivations;
  readonly teacher?: IntermediateActivations;
}

/** Where one gradient is farthest from the differences. */
export interface GradientCheck {
  /** "studentLogits", or the name of a layer. */
  readonly what: string;
  /** |gradient − difference| there, divided by the largest difference or 1e-3, whichever is more. */
  readonly error: number;
  readonly row: number;
  readonly column: number;
  readonly gradient: number;
  readonly difference: number;
}

/**
 * Compares the gradients of a strategy on arrays with central differences of its losses, of order four in float64, one element
 * at a time. A gradient that is right has an error of about 1e-8; one that is wrong somewhere, of 1e-2 or more. Take random
 * inputs, few and small, away from kinks (ReLU's 0, ties of a maximum), where differences say nothing.
 *
 * Error: `E_OPTION` where there is nothing to check.
 *
 * @example
 * ```ts
 * import { checkGradients, Matrix, ResponseDistillationStrategy } from "onnx-distill";
 *
 * const [studentLogits, teacherLogits] = [[0.3, -1.2, 0.4], [2, 0.5, -1]].map((row) => Matrix.fromRows([row]));
 * const [check] = checkGradients(new ResponseDistillationStrategy(), { studentLogits, teacherLogits });
 * check.what; // => "studentLogits"
 * check.error < 1e-7; // => true
 * ```
 */
export function checkGradients(strategy: AnyStrategy, inputs: GradientCheckInputs): GradientCheck[] {
  const { studentLogits, teacherLogits, student, teacher } = inputs;
  const checks: GradientCheck[] = [];
  const labels = inputs.labels && float64(asMatrix("labels", inputs.labels));
  if (studentLogits && teacherLogits && hasOutputLoss(strategy)) {
    const t = float64(asMatrix("teacherLogits", teacherLogits));
    const s = float64(asMatrix("studentLogits", studentLogits));
    checks.push(
      worst("studentLogits", s, strategy.computeGradient(s, t, labels), (m) =>
        strategy.computeLoss(m, t, labels),
      ),
    );
  }
  if (student && teacher && hasIntermediateLoss(strategy)) {
    const replacing = (name: string, m: Matrix) => {
      const all = new IntermediateActivations();
      for (const other of student.names())
        all.add(other, other === name ? m : float64(student.get(other) as Matrix));
      return all;
    };
    const t = new IntermediateActivations();
    for (const name of teacher.names()) t.add(name, float64(teacher.get(name) as Matrix));
    const [first] = student.names();
    const at = replacing(first ?? "", float64(student.get(first ?? "") as Matrix));
    const gradients = strategy.computeIntermediateGradient(at, t, labels);
    for (const name of student.names()) {
      const s = float64(student.get(name) as Matrix);
      const given = gradients.get(name) ?? new Matrix(s.rows, s.columns, new Float64Array(s.data.length));
      checks.push(
        worst(name, s, given, (m) => strategy.computeIntermediateLoss(replacing(name, m), t, labels)),
      );
    }
  }
  if (checks.length === 0)
    throw new DistillError(
      "E_OPTION",
      "checkGradients: nothing to check; give studentLogits and teacherLogits for a loss on outputs, student and teacher for one on layers",
    );
  return checks;
}

const STEP = 1e-3;

function worst(what: string, at: Matrix, gradient: Matrix, loss: (m: Matrix) => number): GradientCheck {
  if (gradient.data.length !== at.data.length)
    throw new DistillError(
      "E_SHAPE",
      `checkGradients: the gradient by ${what} is [${gradient.dims}], and ${what} is [${at.dims}]; return a matrix like it`,
    );
  const data = Float64Array.from(at.data);
  const value = (i: number, offset: number): number => {
    const kept = data[i] as number;
    data[i] = kept + offset;
    const y = loss(new Matrix(at.rows, at.columns, data, at.positions));
    data[i] = kept;
    return y;
  };
  const differences = data.map(
    (_, i) =>
      (8 * (value(i, STEP) - value(i, -STEP)) - (value(i, 2 * STEP) - value(i, -2 * STEP))) / (12 * STEP),
  );
  const scale = differences.reduce((m, d) => Math.max(m, Math.abs(d)), 1e-3);
  let [found, most] = [0, -1];
  differences.forEach((d, i) => {
    const error = Math.abs(d - (gradient.data[i] as number)) / scale;
    if (error > most || Number.isNaN(error)) [found, most] = [i, Number.isNaN(error) ? Infinity : error];
  });
  return {
    what,
    error: Math.max(0, most),
    row: Math.floor(found / at.columns),
    column: found % at.columns,
    gradient: gradient.data[found] as number,
    difference: differences[found] as number,
  };
}

function float64(m: Matrix): Matrix {
  return new Matrix(m.rows, m.columns, Float64Array.from(m.data), m.positions);
}
