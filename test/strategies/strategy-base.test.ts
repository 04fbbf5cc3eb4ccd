import { describe, expect, it } from "vitest";
import {
  DistillationStrategyBase,
  Matrix,
  type MatrixLike,
  NeuronSelectivityDistillationStrategy,
  type NeuronSelectivityOptions,
  ResponseDistillationStrategy,
  SelectivityMetric,
} from "../../src/strategies/index.ts";

const error = (code: string, message: string) => expect.objectContaining({ code, message });

/** What a user would write: only what is new. */
class LogitMatching extends DistillationStrategyBase {
  computeLoss(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): number {
    const { student, teacher } = this.checkLogits(studentLogits, teacherLogits, labels);
    let sum = 0;
    for (let i = 0; i < student.data.length; i++) sum += (student.data[i]! - teacher.data[i]!) ** 2;
    return sum / this.temperature;
  }
  computeGradient(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): Matrix {
    const { student, teacher } = this.checkLogits(studentLogits, teacherLogits, labels);
    const data = student.data.map((s, i) => (2 * (s - teacher.data[i]!)) / this.temperature);
    return new Matrix(student.rows, student.columns, data);
  }
}

describe("options", () => {
  it("have the documented defaults", () => {
    const s = new NeuronSelectivityDistillationStrategy();
    expect([s.temperature, s.alpha, s.targetLayerName, s.selectivityWeight, s.metric]).toEqual([
      3,
      0.3,
      "default",
      0.5,
      "variance",
    ]);
    expect([s.over, s.match, s.target, s.momentum, s.distance, s.assignmentEvery]).toEqual([
      "samples-and-positions",
      "index",
      "batch",
      0,
      "squared",
      100,
    ]);
    expect(SelectivityMetric).toEqual({
      Variance: "variance",
      Sparsity: "sparsity",
      PeakToAverage: "peak-to-average",
      RelativeDeviation: "relative-deviation",
      LogVariance: "log-variance",
      RelativeSparsity: "relative-sparsity",
      LifetimeSparseness: "lifetime-sparseness",
      PopulationSparseness: "population-sparseness",
      Kurtosis: "kurtosis",
      SoftPeak: "soft-peak",
      ClassSelectivity: "class-selectivity",
      ClassResponse: "class-response",
    });
  });

  it("are what was asked for", () => {
    const given = {
      targetLayerName: "a",
      selectivityWeight: 0,
      metric: "sparsity",
      temperature: 1,
      alpha: 1,
    };
    expect(new NeuronSelectivityDistillationStrategy(given as NeuronSelectivityOptions)).toMatchObject(given);
  });

  it("are refused out of range or unknown", () => {
    const owner = "NeuronSelectivityDistillationStrategy";
    const temperature = (v: number) =>
      `${owner}: temperature must be finite and greater than 0, got ${v}; 1 leaves the logits as they are`;
    const alpha = (v: number) =>
      `${owner}: alpha must lie in [0, 1], got ${v}; it is the weight of the labels, 0 for the teacher alone`;
    const weight = (v: number) =>
      `${owner}: selectivityWeight must be finite and 0 or more, got ${v}; 0 switches the term off`;
    const cases: [object, string, string][] = [
      ...[0, -1, Infinity, NaN].map((v): [object, string, string] => [
        { temperature: v },
        "E_ARGUMENT",
        temperature(v),
      ]),
      ...[-0.1, 1.1, NaN].map((v): [object, string, string] => [{ alpha: v }, "E_ARGUMENT", alpha(v)]),
      ...[-1, Infinity, NaN].map((v): [object, string, string] => [
        { selectivityWeight: v },
        "E_ARGUMENT",
        weight(v),
      ]),
      ...["", " \t"].map((v): [object, string, string] => [
        { targetLayerName: v },
        "E_ARGUMENT",
        `${owner}: targetLayerName must not be empty, got ${JSON.stringify(v)}; name the layer as in IntermediateActivations.add`,
      ]),
      [
        { metric: "varience" },
        "E_ARGUMENT",
        `${owner}: unknown metric "varience", known are variance, sparsity, peak-to-average, relative-deviation, log-variance, relative-sparsity, lifetime-sparseness, population-sparseness, kurtosis, soft-peak, class-selectivity, class-response. Did you mean "variance"?`,
      ],
      [{ metric: "toString" }, "E_ARGUMENT", expect.stringContaining('unknown metric "toString"')],
      [{ tempreature: 2 }, "E_OPTION", `${owner}: unknown option "tempreature". Did you mean "temperature"?`],
    ];
    for (const [options, code, message] of cases)
      expect(() => new NeuronSelectivityDistillationStrategy(options)).toThrowError(error(code, message));
    expect(() => new ResponseDistillationStrategy({ metric: "variance" } as object)).toThrowError(
      error("E_OPTION", 'ResponseDistillationStrategy: unknown option "metric".'),
    );
  });

  it("temperature and alpha can be set, with the same checks, and a refused value changes nothing", () => {
    const s = new NeuronSelectivityDistillationStrategy({ temperature: 2, alpha: 0.5 });
    expect(() => {
      s.temperature = -1;
    }).toThrow("temperature must be finite and greater than 0, got -1");
    expect(() => {
      s.alpha = 2;
    }).toThrow("alpha must lie in [0, 1], got 2");
    expect([s.temperature, s.alpha]).toEqual([2, 0.5]);
    const [student, teacher] = [Matrix.fromRows([[1, 0]]), Matrix.fromRows([[0, 1]])];
    const before = s.computeLoss(student, teacher);
    s.temperature = 4;
    s.alpha = 1;
    expect([s.temperature, s.alpha]).toEqual([4, 1]);
    expect(s.computeLoss(student, teacher)).not.toBe(before);
  });
});

describe("DistillationStrategyBase extended by a user", () => {
  const s = Matrix.fromRows([[1, 2]]);
  const t = Matrix.fromRows([[1, 0]]);

  it("needs only the loss and its gradient", () => {
    const strategy = new LogitMatching({ temperature: 2 });
    expect(strategy.computeLoss(s, t)).toBe(2);
    expect([...strategy.computeGradient(s, t).data]).toEqual([0, 2]);
    expect(strategy).toBeInstanceOf(DistillationStrategyBase);
  });

  it("is checked under its own name", () => {
    expect(() => new LogitMatching({ alpha: -1 })).toThrow(/^LogitMatching: alpha must lie/);
    expect(() => new LogitMatching({ beta: 1 } as object)).toThrowError(
      error("E_OPTION", 'LogitMatching: unknown option "beta".'),
    );
  });
});

describe("logits and labels", () => {
  const strategies = [new ResponseDistillationStrategy(), new LogitMatching()];
  const m = (...rows: number[][]) => Matrix.fromRows(rows);
  const good = m([1, 2], [3, 4]);
  const cases: [string, [MatrixLike, MatrixLike, MatrixLike?], string, string][] = [
    [
      "rows differ",
      [good, m([1, 2])],
      "E_SHAPE",
      "studentLogits is [2,2] and teacherLogits is [1,2]: the number of rows must be the same, one for each sample of the same batch",
    ],
    [
      "columns differ",
      [good, m([1, 2, 3], [4, 5, 6])],
      "E_SHAPE",
      "studentLogits is [2,2] and teacherLogits is [2,3]: the number of columns must be the same",
    ],
    [
      "labels of another shape",
      [good, good, m([1], [1])],
      "E_SHAPE",
      "labels is [2,1] and studentLogits is [2,2]: the number of columns must be the same",
    ],
    [
      "an empty batch",
      [new Matrix(0, 2, new Float32Array(0)), new Matrix(0, 2, new Float32Array(0))],
      "E_SHAPE",
      "studentLogits is [0,2]; at least one row and one column are needed",
    ],
    [
      "NaN in the student",
      [m([1, 2], [3, NaN]), good],
      "E_NOT_FINITE",
      "studentLogits is NaN at row 1, column 1; every value must be finite: look at that sample and what computes it",
    ],
    [
      "infinity in the teacher",
      [good, m([1, Infinity], [3, 4])],
      "E_NOT_FINITE",
      "teacherLogits is Infinity at row 0, column 1; every value must be finite: look at that sample and what computes it",
    ],
    [
      "NaN in the labels",
      [good, good, m([NaN, 1], [0, 1])],
      "E_NOT_FINITE",
      "labels is NaN at row 0, column 0; every value must be finite: look at that sample and what computes it",
    ],
    [
      "a negative label",
      [good, good, m([0, 1], [-0.5, 1.5])],
      "E_ARGUMENT",
      "labels is -0.5 at row 1, column 0; a row is a distribution, so none of it is negative",
    ],
    [
      "labels that do not sum to 1",
      [good, good, m([0, 1], [0.25, 0.5])],
      "E_ARGUMENT",
      "labels row 1 sums to 0.75; a row must be one-hot or a soft distribution that sums to 1",
    ],
    [
      "class indices for labels",
      [good, good, { data: new BigInt64Array([0n, 1n]), dims: [2] }],
      "E_ARGUMENT",
      "labels must be held in a Float32Array or a Float64Array, got BigInt64Array; convert it first",
    ],
    [
      "null for labels",
      [good, good, null as unknown as MatrixLike],
      "E_ARGUMENT",
      "labels must be a Matrix or an object with data and dims, got null",
    ],
  ];
  it.each(cases)("%s", (_, args, code, message) => {
    for (const strategy of strategies) {
      expect(() => strategy.computeLoss(...args)).toThrowError(error(code, message));
      expect(() => strategy.computeGradient(...args)).toThrowError(error(code, message));
    }
  });

  it("takes label sums within 1e-3 of 1", () => {
    const strategy = new ResponseDistillationStrategy();
    expect(strategy.computeLoss(m([1, 2]), m([1, 2]), m([0.5, 0.5009]))).toBeGreaterThan(0);
    expect(() => strategy.computeLoss(m([1, 2]), m([1, 2]), m([0.5, 0.5011]))).toThrow("sums to 1.00");
  });

  it("takes any { data, dims } of rank 2", () => {
    const strategy = new ResponseDistillationStrategy();
    const tensor = (...data: number[]) => ({ data: new Float32Array(data), dims: [1, 2], type: "float32" });
    expect(strategy.computeLoss(tensor(1, 2), tensor(2, 1), tensor(0, 1))).toBe(
      strategy.computeLoss(m([1, 2]), m([2, 1]), m([0, 1])),
    );
  });
});
