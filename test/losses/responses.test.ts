// The emitted strong losses on outputs against central differences and against the strategies on arrays.
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { emissionOf } from "../../src/losses/index.ts";
import {
  CorrelationDistillationStrategy,
  DecoupledDistillationStrategy,
  type DistillationStrategy,
  ResponseDistillationStrategy,
  TransformedTeacherDistillationStrategy,
} from "../../src/strategies/index.ts";
import { checkSample, expectClose, type InputSpec, type Sample } from "../gradient-checker.ts";
import { distributions, draw, emitted, stateless } from "./emitted.ts";

const [batch, classes] = [5, 4];
const labels = distributions(11, batch, classes);
const oneHot = tensor(
  "float64",
  [2, 0, 3, 1, 2].flatMap((k) => Array.from({ length: classes }, (_, c) => (c === k ? 1 : 0))),
  [batch, classes],
);

type Options = { readonly temperature: number; readonly alpha: number };
const variants: [string, readonly string[], (o: Options) => DistillationStrategy][] = [
  ["standardised KL", ["soft"], (o) => new ResponseDistillationStrategy({ ...o, standardize: true })],
  ["reverse KL", ["soft"], (o) => new ResponseDistillationStrategy({ ...o, divergence: "reverse-kl" })],
  ["Jeffreys", ["soft"], (o) => new ResponseDistillationStrategy({ ...o, divergence: "jeffreys" })],
  [
    "Jensen-Shannon",
    ["soft"],
    (o) => new ResponseDistillationStrategy({ ...o, divergence: "jensen-shannon" }),
  ],
  ["DKD", ["target", "non-target"], (o) => new DecoupledDistillationStrategy({ ...o, targetWeight: 1.5 })],
  [
    "standardised DKD",
    ["target", "non-target"],
    (o) => new DecoupledDistillationStrategy({ ...o, standardize: true }),
  ],
  [
    "DIST",
    ["inter-class", "intra-class"],
    (o) => new CorrelationDistillationStrategy({ ...o, interClassWeight: 1.5 }),
  ],
  ["WTTM", ["soft"], (o) => new TransformedTeacherDistillationStrategy({ ...o, teacherWeight: 2 })],
  ["TTM", ["soft"], (o) => new TransformedTeacherDistillationStrategy({ ...o, weighted: false })],
];

describe("against central differences", () => {
  const given = (t: Tensor): InputSpec => ({
    dims: t.dims,
    values: Array.from(t.data as Float64Array),
    constant: true,
  });
  const logits: InputSpec = { dims: [batch, classes] };
  const samples = variants.flatMap(([name, , make]) =>
    [1, 4].flatMap((temperature) =>
      [true, false].map(
        (labelled): Sample => ({
          name: `${name}, T ${temperature}, ${labelled ? "labels" : "no labels"}`,
          inputs: [logits, { ...logits, low: -4, high: 4, constant: true }, given(labels)],
          build: (b, studentLogits, teacherLogits, y) =>
            emissionOf(make({ temperature, alpha: 0.3 }))!
              .emit({
                b,
                state: stateless,
                studentLogits: studentLogits!,
                teacherLogits,
                labels: labelled ? y : undefined,
                taps: [],
              })
              .map((t) => t.value)
              .reduce((a, c) => b.add(a, c)),
        }),
      ),
    ),
  );
  it.each(samples.map((s) => [s.name, s] as const))("%s", async (_, s) => {
    await checkSample(s, 1);
    await checkSample(s, 2, "webgpu");
  });
});

describe.each(variants)("%s against the strategy on arrays", (_, terms, make) => {
  const compare = async (
    strategy: DistillationStrategy,
    student: Tensor,
    teacher: Tensor,
    y: Tensor | undefined,
    tolerances = { float64: 1e-10, float32: 2e-5 },
  ) => {
    const wanted = strategy.computeLoss(student, teacher, y);
    const gradient = strategy.computeGradient(student, teacher, y);
    for (const dtype of ["float64", "float32"] as const)
      for (const target of ["cpu", "webgpu"] as const) {
        const found = await emitted(strategy, { student, teacher, labels: y }, dtype, target);
        const loss = found.values.reduce((a, v) => a + v, 0);
        expectClose([loss], [wanted], tolerances[dtype], `${dtype} ${target}: loss`);
        expectClose(found.gradient!, gradient.data, tolerances[dtype], `${dtype} ${target}: gradient`);
      }
  };

  it.each([1, 4])("T %d, with and without labels", async (temperature) => {
    const [s, t] = [draw(1, [batch, classes], -3, 3), draw(2, [batch, classes], -3, 3)];
    for (const y of [undefined, labels, oneHot])
      for (const alpha of [0, 0.3]) await compare(make({ temperature, alpha }), s, t, y);
  });

  it("a batch of two, a batch of one, two classes", async () => {
    for (const [rows, columns] of [
      [2, 4],
      [1, 4],
      [3, 2],
    ] as const) {
      const [s, t] = [draw(3, [rows, columns]), draw(4, [rows, columns])];
      // Two rows correlate by ±1, and so do two classes: their true gradient is zero but for the 1e-8 in the denominator.
      await compare(make({ temperature: 2, alpha: 0.3 }), s, t, undefined, { float64: 1e-9, float32: 5e-4 });
    }
  });

  it("logits of ±80, and of ±1e4 with probabilities of zero", async () => {
    for (const size of [80, 1e4]) {
      const s = tensor(
        "float64",
        [1, -1, 0.5, -1, 1, 0.75, 0.25, -0.5, 1].map((v) => v * size),
        [3, 3],
      );
      const t = tensor(
        "float64",
        [-1, 1, 0.25, -1, 1, 0.5, 1, -0.25, 0.125].map((v) => v * size),
        [3, 3],
      );
      const y = tensor("float64", [0.5, 0.5, 0, 0, 0, 1, 1, 0, 0], [3, 3]);
      for (const labelled of [y, undefined])
        await compare(make({ temperature: 1, alpha: 0.5 }), s, t, labelled);
    }
  });

  it("rows of equal logits, on either side and on both", async () => {
    const [flat, other] = [draw(5, [batch, classes], 3.3, 3.3), draw(6, [batch, classes])];
    for (const [s, t] of [
      [flat, other],
      [other, flat],
      [flat, flat],
    ] as const)
      await compare(make({ temperature: 2, alpha: 0.3 }), s, t, labels);
  });

  it("names its terms, and leaves out what weighs nothing", async () => {
    const [student, teacher] = [draw(1, [batch, classes]), draw(2, [batch, classes])];
    const of = async (alpha: number, inputs: object) =>
      (await emitted(make({ temperature: 2, alpha }), { student, ...inputs }, "float64")).terms;
    expect(await of(0.3, { teacher, labels })).toEqual(["hard", ...terms]);
    expect(await of(0, { teacher, labels })).toEqual(terms);
    expect(await of(0.3, { teacher })).toEqual(terms);
    expect(await of(1, { teacher, labels })).toEqual(["hard"]);
  });
});

describe("rows that do not count", () => {
  const whole = { student: draw(1, [7, 4]), teacher: draw(2, [7, 4]) };
  const counted = [0, 2, 3, 6];
  const pick = (t: Tensor): Tensor =>
    tensor(
      "float64",
      counted.flatMap((r) => Array.from((t.data as Float64Array).slice(r * 4, r * 4 + 4))),
      [counted.length, 4],
    );
  const rowWeights = tensor(
    "float64",
    [...Array(7).keys()].map((r) => (counted.includes(r) ? 1 : 0)),
    [7],
  );

  it.each(variants)("are left out of %s, whether it looks at rows or at columns", async (_, __, make) => {
    const strategy = make({ temperature: 2, alpha: 0.3 });
    const found = await emitted(strategy, { ...whole, rowWeights }, "float64");
    const [s, t] = [pick(whole.student), pick(whole.teacher)];
    expectClose([found.values.reduce((a, v) => a + v)], [strategy.computeLoss(s, t)], 1e-10, "loss");
    const gradient = strategy.computeGradient(s, t).data;
    const wanted = new Float64Array(28);
    counted.forEach((r, i) => {
      wanted.set(gradient.slice(i * 4, i * 4 + 4), r * 4);
    });
    expectClose(found.gradient!, wanted, 1e-10, "gradient");
  });

  it("a single row that counts leaves DIST its first term", async () => {
    const one = tensor("float64", [0, 1, 0, 0, 0, 0, 0], [7]);
    const strategy = new CorrelationDistillationStrategy();
    const { terms, values } = await emitted(strategy, { ...whole, rowWeights: one }, "float64");
    expect(terms).toEqual(["inter-class", "intra-class"]);
    expect(values[1]).toBe(0);
  });
});
