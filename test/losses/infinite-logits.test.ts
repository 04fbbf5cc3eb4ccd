// Logits of −∞ and +∞, as masked classes and certain answers have them: the strategies on arrays and the emitted losses against
// PyTorch, where that is finite.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { exactLoss } from "../../src/losses/infinite.ts";
import {
  CorrelationDistillationStrategy,
  DecoupledDistillationStrategy,
  Matrix,
  MultiLabelDistillationStrategy,
  ResponseDistillationStrategy,
  TransformedTeacherDistillationStrategy,
} from "../../src/strategies/index.ts";
import { expectClose } from "../strategies/helpers.ts";
import { emitted } from "./emitted.ts";

const classes = {
  response: ResponseDistillationStrategy,
  decoupled: DecoupledDistillationStrategy,
  correlation: CorrelationDistillationStrategy,
  transformed: TransformedTeacherDistillationStrategy,
  "multi-label": MultiLabelDistillationStrategy,
};

type Logit = number | "inf" | "-inf";
interface Case {
  readonly name: string;
  readonly strategy: keyof typeof classes;
  readonly options: object;
  readonly student: Logit[][];
  readonly teacher: Logit[][];
  readonly labels: number[][] | null;
  readonly loss: number;
  readonly gradient: number[][];
}

/** Made with PyTorch by test/fixtures/infinite_logits.py. */
const cases: Case[] = JSON.parse(
  readFileSync(new URL("../fixtures/infinite-logits.json", import.meta.url), "utf8"),
);
const number = (v: Logit): number => (v === "inf" ? Infinity : v === "-inf" ? -Infinity : v);
const rows = (m: readonly Logit[][]): number[][] => m.map((r) => r.map(number));
const matrix = (m: readonly Logit[][]): Matrix => Matrix.fromRows(rows(m));
const t64 = (m: readonly Logit[][]) => tensor("float64", rows(m).flat(), [m.length, m[0]!.length]);

describe("infinite logits against PyTorch", () => {
  it.each(cases.map((c) => [c.name, c] as const))("%s", async (_, c) => {
    const strategy = new classes[c.strategy](c.options);
    const [s, t, y] = [matrix(c.student), matrix(c.teacher), c.labels ? matrix(c.labels) : undefined];
    expectClose([strategy.computeLoss(s, t, y)], [c.loss], 1e-10, 1e-12);
    expectClose(strategy.computeGradient(s, t, y).data, c.gradient.flat(), 1e-8, 1e-10);
    const inputs = {
      student: t64(c.student),
      teacher: t64(c.teacher),
      labels: c.labels ? t64(c.labels) : undefined,
    };
    for (const [dtype, target, tolerance] of [
      ["float64", "cpu", 1e-8],
      ["float32", "cpu", 3e-6],
      ["float32", "webgpu", 3e-6],
    ] as const) {
      const made = await emitted(strategy, inputs, dtype, target);
      expectClose([made.values.reduce((a, v) => a + v, 0)], [c.loss], tolerance);
      expectClose(made.gradient!, c.gradient.flat(), tolerance);
    }
  });
});

describe("where PyTorch's loss is infinite, so is the emitted one, with PyTorch's gradient", () => {
  const teacher = tensor("float64", [1, 0, 2, 0.5], [1, 4]);
  const student = tensor("float64", [1, 2, 3, -Infinity], [1, 4]);

  it.each(["float64", "float32"] as const)("a class that the student alone rules out, %s", async (dtype) => {
    const made = await emitted(
      new ResponseDistillationStrategy({ temperature: 2 }),
      { student, teacher },
      dtype,
    );
    expect(exactLoss(made.values[0]!)).toBe(Infinity);
    // T² times what autograd gives for F.kl_div(log_softmax(s/2), softmax(t/2), reduction="batchmean").
    const torch = [-0.030782973894234365, 0.07842160001111874, 0.04888970883374691, -0.09652833495063125];
    expectClose(
      made.gradient!,
      torch.map((g) => 4 * g),
      1e-6,
    );
  });

  it("a label that the student rules out", async () => {
    const labels = tensor("int32", [3], [1]);
    const gradient = [0.09003057330846786, 0.2447284758090973, 0.6652409434318542, -1];
    for (const y of [labels, tensor("float64", [0, 0, 0, 1], [1, 4])]) {
      const made = await emitted(
        new ResponseDistillationStrategy({ alpha: 1 }),
        { student, teacher, labels: y },
        "float32",
      );
      expect(exactLoss(made.values[0]!)).toBe(Infinity);
      expectClose(made.gradient!, gradient, 1e-6);
    }
  });

  it("a finite loss stays what it is", () => {
    expect([0, 1e20, -3, Number.NaN, Infinity].map(exactLoss)).toEqual([0, 1e20, -3, Number.NaN, Infinity]);
  });
});

describe("what has no meaning is NaN, as PyTorch has it", () => {
  it.each([
    ["a row of nothing but −∞", [-Infinity, -Infinity, -Infinity]],
    ["+∞", [0, Infinity, 1]],
    ["NaN", [0, Number.NaN, 1]],
  ])("%s, on either side", async (_, row) => {
    const [bad, good] = [tensor("float64", row, [1, 3]), tensor("float64", [1, 2, 3], [1, 3])];
    for (const strategy of [
      new ResponseDistillationStrategy(),
      new DecoupledDistillationStrategy(),
      new TransformedTeacherDistillationStrategy(),
      new CorrelationDistillationStrategy({ intraClassWeight: 0 }),
      new ResponseDistillationStrategy({ standardize: true }),
    ])
      for (const inputs of [
        { student: bad, teacher: good },
        { student: good, teacher: bad },
      ]) {
        const made = await emitted(strategy, inputs, "float32");
        expect(made.values.reduce((a, v) => a + v, 0)).toBeNaN();
      }
  });
});

it("a row that does not count costs nothing, also where the class that stands in for its label is ruled out", async () => {
  const inputs = {
    student: tensor("float64", [-Infinity, 1, 2, -Infinity, 0, 1], [2, 3]),
    teacher: tensor("float64", [-Infinity, 2, 1, -Infinity, 1, 1], [2, 3]),
    labels: tensor("int32", [1, 0], [2]), // 0: ignored
    rowWeights: tensor("float64", [1, 0], [2]),
  };
  const made = await emitted(new ResponseDistillationStrategy({ alpha: 1 }), inputs, "float32");
  expectClose(made.values, [Math.log(1 + Math.E)], 1e-6);
  const q = 1 / (1 + Math.exp(-1));
  expectClose(made.gradient!, [0, -q, q, 0, 0, 0], 1e-6);
});

it("rare labels keep their gradient: no float32 Sigmoid below −17", async () => {
  const z = [-17, -18, -25, -40, -80];
  const student = tensor("float64", z, [1, z.length]);
  const teacher = tensor("float64", [-100, -100, -100, -100, -100], [1, z.length]);
  const expected = z.map((v) => 1 / (1 + Math.exp(-v)) / z.length);
  for (const [strategy, labels] of [
    [new MultiLabelDistillationStrategy({ alpha: 1 }), tensor("float64", [0, 0, 0, 0, 0], [1, z.length])],
    [new MultiLabelDistillationStrategy({ temperature: 1 }), undefined],
  ] as const) {
    const made = await emitted(strategy, { student, teacher, labels }, "float32");
    expectClose(made.gradient!, expected, 1e-5, 1e-42);
  }
});
