import { describe, expect, it } from "vitest";
import {
  checkGradients,
  DistillationStrategyBase,
  IntermediateActivations,
  Matrix,
  type MatrixLike,
  NeuronSelectivityDistillationStrategy,
} from "../../src/strategies/index.ts";
import { float32, randomMatrix } from "./helpers.ts";

const [studentLogits, teacherLogits] = [randomMatrix(1, 3, 4), randomMatrix(2, 3, 4)];
const labels = Matrix.fromRows([
  [1, 0, 0, 0],
  [0, 0, 1, 0],
  [0, 1, 0, 0],
]);
const layers = (seed: number) =>
  new IntermediateActivations()
    .add("a", randomMatrix(seed, 6, 3))
    .add("b", float32(randomMatrix(seed + 1, 4, 2)));

describe("checkGradients", () => {
  it("finds the package's own right, on outputs and layers, also of float32 inputs", () => {
    const strategy = new NeuronSelectivityDistillationStrategy({
      targetLayerName: "b",
      selectivityWeight: 2,
    });
    const checks = checkGradients(strategy, {
      studentLogits: float32(studentLogits),
      teacherLogits,
      labels,
      student: layers(3),
      teacher: layers(5),
    });
    expect(checks.map((c) => c.what)).toEqual(["studentLogits", "a", "b"]);
    for (const { error } of checks) expect(error).toBeLessThan(1e-8);
    expect(checks[1]).toMatchObject({ gradient: 0, difference: 0 });
  });

  it("finds a wrong element and where it is", () => {
    class Wrong extends DistillationStrategyBase {
      computeLoss(s: MatrixLike, t: MatrixLike): number {
        const { student, teacher } = this.checkLogits(s, t);
        let sum = 0;
        student.data.forEach((v, i) => {
          sum += (v - teacher.data[i]!) ** 2;
        });
        return sum;
      }
      computeGradient(s: MatrixLike, t: MatrixLike): Matrix {
        const { student, teacher } = this.checkLogits(s, t);
        const data = Float64Array.from(
          student.data,
          (v, i) => 2 * (v - teacher.data[i]!) * (i === 6 ? -1 : 1),
        );
        return new Matrix(student.rows, student.columns, data);
      }
    }
    const [check] = checkGradients(new Wrong(), { studentLogits, teacherLogits });
    expect(check).toMatchObject({ what: "studentLogits", row: 1, column: 2 });
    expect(check!.error).toBeGreaterThan(0.1);
    expect(check!.gradient).toBeCloseTo(-check!.difference, 8);
  });

  it("refuses to check nothing, and gradients of another shape", () => {
    expect(() => checkGradients(new NeuronSelectivityDistillationStrategy(), {})).toThrow(
      "checkGradients: nothing to check; give studentLogits and teacherLogits for a loss on outputs, student and teacher for one on layers",
    );
    const short = {
      temperature: 1,
      alpha: 0,
      computeLoss: () => 0,
      computeGradient: () => new Matrix(1, 1, new Float64Array(1)),
    };
    expect(() => checkGradients(short, { studentLogits, teacherLogits })).toThrow(
      "checkGradients: the gradient by studentLogits is [1,1], and studentLogits is [3,4]; return a matrix like it",
    );
  });
});
