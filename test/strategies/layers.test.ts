// Losses between layers on arrays: against PyTorch, against central differences, and what must not change them.
import { describe, expect, it } from "vitest";
import {
  AttentionTransferStrategy,
  CenteredKernelAlignmentStrategy,
  ChannelStatisticsStrategy,
  HintStrategy,
  IntermediateActivations,
  LayerStrategyBase,
  Matrix,
  NeuronCorrelationStrategy,
  NeuronSelectivityTransferStrategy,
  type SelectivityOver,
  SimilarityPreservingStrategy,
  type TransferKernel,
} from "../../src/strategies/index.ts";
import { expectClose, finiteDifferences, randomMatrix } from "./helpers.ts";
import {
  float32Tolerance,
  type LayerCase,
  type LayerLoss,
  layerCases,
  layerStrategies,
  layerStrategy,
} from "./layer-cases.ts";

const error = (code: string, message: string) => expect.objectContaining({ code, message });

interface TensorLike {
  readonly data: Float32Array | Float64Array;
  readonly dims: readonly number[];
}
const layer = (t: TensorLike | Matrix) => new IntermediateActivations().add("layer", t);
const tensor = (dims: readonly number[], data: ArrayLike<number>): TensorLike => ({
  dims,
  data: Float64Array.from(data),
});
const random = (seed: number, dims: readonly number[], low = -1, high = 1): TensorLike =>
  tensor(
    dims,
    randomMatrix(
      seed,
      1,
      dims.reduce((a, d) => a * d, 1),
      low,
      high,
    ).data,
  );
const lossOf = (s: LayerStrategyBase, student: TensorLike, teacher: TensorLike): number =>
  s.computeIntermediateLoss(layer(student), layer(teacher));
/** In the layout of the student's tensor. */
const gradientOf = (s: LayerStrategyBase, student: TensorLike, teacher: TensorLike) =>
  s.computeIntermediateGradient(layer(student), layer(teacher)).get("layer")!.toTensor(student.dims).data;

const named = (cases: readonly LayerCase[]) => cases.map((c) => [`${c.loss}: ${c.name}`, c] as const);

describe("against PyTorch", () => {
  it("there are cases of every loss", () => {
    expect(new Set(layerCases.map((c) => c.loss))).toEqual(new Set(Object.keys(layerStrategies)));
  });

  it.each(named(layerCases))("%s", (_, c) => {
    const strategy = layerStrategy(c.loss, { ...c.options, weight: 0.7 });
    const [student, teacher] = [c.student, c.teacher].map((t) => tensor(t.dims, t.data)) as [
      TensorLike,
      TensorLike,
    ];
    const wanted = c.gradient.map((g) => 0.7 * g);
    const scale = Math.max(...wanted.map(Math.abs));
    expectClose([lossOf(strategy, student, teacher)], [0.7 * c.value], 1e-10);
    expectClose(gradientOf(strategy, student, teacher), wanted, 1e-9, 1e-10 * scale);

    const float32 = (t: TensorLike) => ({ dims: t.dims, data: Float32Array.from(t.data) });
    const tolerance = float32Tolerance(c);
    const gradient = gradientOf(strategy, float32(student), float32(teacher));
    expect(gradient).toBeInstanceOf(Float32Array);
    expectClose([lossOf(strategy, float32(student), float32(teacher))], [0.7 * c.value], tolerance);
    expectClose(gradient, wanted, tolerance, tolerance * scale);
  });
});

describe("against central differences", () => {
  // The mean bandwidth is a constant for the gradient, so differences are taken with a bandwidth that is one.
  const cases = layerCases
    .filter((c) => !/size/.test(c.name))
    .map((c) => (c.options.kernel === "gaussian" ? { ...c, options: { ...c.options, bandwidth: 0.9 } } : c));
  it.each(named(cases))("%s", (_, c) => {
    const strategy = layerStrategy(c.loss, c.options);
    const teacher = tensor(c.teacher.dims, c.teacher.data);
    const inactive = c.student.data.map((v) => v === 0);
    const f = ({ data }: Matrix) =>
      // An inactive neuron that is moved is no longer inactive: such places are left out.
      lossOf(
        strategy,
        tensor(
          c.student.dims,
          Array.from(data, (v, i) => (inactive[i] ? 0 : v)),
        ),
        teacher,
      );
    const at = new Matrix(1, c.student.data.length, Float64Array.from(c.student.data));
    const wanted = finiteDifferences(f, at);
    const got = Array.from(gradientOf(strategy, tensor(c.student.dims, c.student.data), teacher), (g, i) =>
      inactive[i] ? 0 : g,
    );
    expectClose(got, wanted, 1e-6, 1e-8);
  });
});

describe("what no loss of a set of neurons depends on", () => {
  const student = random(1, [3, 4, 2, 3]);
  const teacher = random(2, [3, 5, 2, 3]);
  const permuted = (t: TensorLike, order: readonly number[]): TensorLike => {
    const [n, c, h, w] = t.dims as [number, number, number, number];
    const size = h * w;
    const out = new Float64Array(n * order.length * size);
    for (let i = 0; i < n; i++)
      order.forEach((k, to) => {
        out.set(t.data.subarray((i * c + k) * size, (i * c + k + 1) * size), (i * order.length + to) * size);
      });
    return { dims: [n, order.length, h, w], data: out };
  };
  const all: [string, LayerStrategyBase][] = [
    ...(["linear", "polynomial", "gaussian"] as TransferKernel[]).map(
      (kernel): [string, LayerStrategyBase] => [
        `nst ${kernel}`,
        new NeuronSelectivityTransferStrategy({ kernel }),
      ],
    ),
    ["cka", new CenteredKernelAlignmentStrategy()],
    ["cka debiased", new CenteredKernelAlignmentStrategy({ debiased: true })],
    ["sp", new SimilarityPreservingStrategy()],
    ["at", new AttentionTransferStrategy()],
    ["correlation, best match", new NeuronCorrelationStrategy({ match: "best" })],
  ];

  it.each(all)("%s: the order of the neurons, on either side", (_, s) => {
    const plain = lossOf(s, student, teacher);
    expect(plain).toBeGreaterThan(0);
    expect(lossOf(s, permuted(student, [2, 0, 3, 1]), permuted(teacher, [4, 2, 0, 1, 3]))).toBeCloseTo(
      plain,
      10,
    );
  });

  it.each(all)(
    "%s: is 0 for the teacher's own layer, with no gradient, and for each neuron twice",
    (_, s) => {
      expect(lossOf(s, teacher, teacher)).toBeCloseTo(0, 10);
      for (const g of gradientOf(s, teacher, teacher)) expect(Math.abs(g)).toBeLessThan(1e-9);
      expect(lossOf(s, permuted(teacher, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]), teacher)).toBeCloseTo(0, 10);
    },
  );

  it.each(all)("%s: the size of all activations, so that its gradient is at right angles to them", (_, s) => {
    const scaled = { dims: student.dims, data: student.data.map((v) => 7 * v) };
    expect(lossOf(s, scaled, teacher)).toBeCloseTo(lossOf(s, student, teacher), 9);
    const along = Array.from(gradientOf(s, student, teacher)).reduce(
      (sum, g, i) => sum + g * student.data[i]!,
      0,
    );
    expect(along).toBeCloseTo(0, 9);
  });

  it("cka: a rotation of the neurons and another offset for each", () => {
    const [x, y] = [randomMatrix(3, 9, 2), randomMatrix(4, 9, 3)];
    const turned = new Matrix(
      9,
      2,
      x.data.map((v, i) =>
        i % 2 === 0 ? 0.6 * v - 0.8 * x.data[i + 1]! + 5 : 0.8 * x.data[i - 1]! + 0.6 * v,
      ),
    );
    for (const debiased of [false, true]) {
      const s = new CenteredKernelAlignmentStrategy({ debiased });
      expect(lossOf(s, turned, y)).toBeCloseTo(lossOf(s, x, y), 10);
    }
  });

  it("correlation: the size and the offset of each neuron", () => {
    const s = new NeuronCorrelationStrategy();
    const [x, y] = [randomMatrix(5, 9, 3), randomMatrix(6, 9, 3)];
    const other = new Matrix(
      9,
      3,
      x.data.map((v, i) => [2, 30, 0.4][i % 3]! * v + (i % 3)),
    );
    expect(lossOf(s, other, y)).toBeCloseTo(lossOf(s, x, y), 10);
  });
});

describe("debiasing", () => {
  it("scores unrelated layers 0 on average, which the plain estimate does not", () => {
    const mean = (debiased: boolean) => {
      const s = new CenteredKernelAlignmentStrategy({ weight: 1, debiased });
      const values = Array.from({ length: 60 }, (_, i) =>
        lossOf(s, randomMatrix(2 * i + 1, 12, 20), randomMatrix(2 * i + 2, 12, 20)),
      );
      return values.reduce((a, v) => a + 1 - v, 0) / values.length;
    };
    expect(mean(false)).toBeGreaterThan(0.4);
    expect(Math.abs(mean(true))).toBeLessThan(0.05);
  });
});

describe("inactive layers", () => {
  const losses = Object.keys(layerStrategies) as LayerLoss[];
  it.each(losses)("%s: zeros on either side, or on both, give finite numbers", (loss) => {
    const dims = [4, 3, 2, 2];
    const zeros = tensor(dims, new Float64Array(48));
    const s = layerStrategy(loss);
    for (const [student, teacher] of [
      [zeros, zeros],
      [zeros, random(1, dims)],
      [random(1, dims), zeros],
    ] as const) {
      expect(Number.isFinite(lossOf(s, student, teacher))).toBe(true);
      for (const g of gradientOf(s, student, teacher)) expect(Number.isFinite(g)).toBe(true);
    }
    if (loss !== "hint" && loss !== "statistics")
      expect([...gradientOf(s, zeros, random(1, dims))]).toEqual(Array(48).fill(0));
  });

  it("a constant neuron has no correlation, whatever rounding leaves of it", () => {
    const s = new NeuronCorrelationStrategy({ weight: 1 });
    const constant = new Matrix(3, 1, Float32Array.of(0.1, 0.1, 0.1));
    expect(lossOf(s, constant, Matrix.fromRows([[1], [2], [3]]))).toBe(1);
  });
});

describe("layers and weights", () => {
  const [a, b] = [random(1, [3, 2]), random(2, [3, 2])];
  const both = (x: TensorLike, y: TensorLike) => new IntermediateActivations().add("one", x).add("two", y);

  it('"default" is every layer that both sides have; a name is that layer; none is 0', () => {
    const of = (targetLayerName?: string) => {
      const s = new HintStrategy({ weight: 2, ...(targetLayerName && { targetLayerName }) });
      const { loss, gradient } = s.computeIntermediateLossAndGradient(
        both(a, b),
        new IntermediateActivations().add("two", a).add("three", a),
      );
      return [loss, gradient.names()];
    };
    const plain = lossOf(new HintStrategy({ weight: 1 }), b, a);
    expect(of()).toEqual([2 * plain, ["two"]]);
    expect(of("two")).toEqual([2 * plain, ["two"]]);
    expect(of("one")).toEqual([0, []]);
    expect(new HintStrategy({ weight: 1 }).computeIntermediateLoss(both(a, b), both(b, a))).toBeCloseTo(
      2 * plain,
      12,
    );
  });

  it("weights are for use beside a loss on outputs", () => {
    const weights = Object.fromEntries(
      (Object.keys(layerStrategies) as LayerLoss[]).map((loss) => [loss, layerStrategy(loss).weight]),
    );
    expect(weights).toEqual({
      nst: 5,
      cka: 1,
      sp: 300,
      at: 100,
      hint: 0.5,
      correlation: 0.5,
      statistics: 0.5,
    });
    expect(lossOf(new HintStrategy({ weight: 0 }), a, b)).toBe(0);
  });
});

describe("what is refused", () => {
  const activations = (dims: number[]) => random(1, dims);
  const compare = (s: LayerStrategyBase, student: number[], teacher: number[]) => () =>
    lossOf(s, activations(student), activations(teacher));
  const over = (o: SelectivityOver) => new NeuronSelectivityTransferStrategy({ over: o });

  it.each([
    [
      compare(new HintStrategy(), [2, 3], [3, 3]),
      'student activations "layer" is [2,3] with 2 samples, teacher activations "layer" is [3,3] with 3: they must be the same; both come from the same batch',
    ],
    [
      compare(new HintStrategy(), [2, 3], [2, 4]),
      'student activations "layer" is [2,3] with 3 neurons, teacher activations "layer" is [2,4] with 4: they must be the same; project the student\'s, or use a loss that needs no match',
    ],
    [
      compare(new AttentionTransferStrategy(), [2, 3, 2, 2], [2, 3, 1, 2]),
      'student activations "layer" is [8,3] with 4 positions a sample, teacher activations "layer" is [4,3] with 2: they must be the same; pool the larger to the smaller',
    ],
    [
      compare(over("positions"), [4, 3], [4, 3]),
      'student activations "layer" is [4,3] with one position a sample: 1 to compare over positions, and at least 2 are needed; give maps [N, C, H, W] or sequences [N, T, C]',
    ],
    [
      compare(over("samples"), [1, 3, 2, 2], [1, 3, 2, 2]),
      'student activations "layer" is [4,3] with 4 positions a sample: 1 to compare over samples, and at least 2 are needed; use a larger batch',
    ],
    [
      compare(new CenteredKernelAlignmentStrategy({ debiased: true }), [3, 2], [3, 2]),
      'student activations "layer" is [3,2] with one position a sample: 3 to compare over samples and positions, and at least 4 are needed; use a larger batch',
    ],
    [
      compare(new SimilarityPreservingStrategy(), [1, 3, 2, 2], [1, 3, 2, 2]),
      'student activations "layer" is [4,3], one sample; similarities of samples need at least 2, so use a larger batch',
    ],
    [
      compare(new AttentionTransferStrategy(), [4, 3], [4, 3]),
      'student activations "layer" is [4,3] with one position a sample; attention needs at least 2: give maps [N, C, H, W] or sequences [N, T, C]',
    ],
  ])("%#", (act, message) => {
    expect(act).toThrowError(error("E_SHAPE", message));
  });

  it("values that are not finite, or overflow", () => {
    const s = new HintStrategy();
    const m = Matrix.fromRows([
      [1, 2],
      [3, NaN],
    ]);
    expect(() => lossOf(s, m, m)).toThrowError(
      error(
        "E_NOT_FINITE",
        'student activations "layer" is NaN at row 1, column 1; every value must be finite: look at that sample and what computes it',
      ),
    );
    const huge = Matrix.fromRows([[1e200], [-1e200]]);
    expect(() => lossOf(s, huge, Matrix.fromRows([[0], [0]]))).toThrowError(
      error(
        "E_NOT_FINITE",
        'HintStrategy: the loss of layer "layer" is Infinity for finite activations, so they are too large; scale them down',
      ),
    );
  });

  it.each([
    [
      () => new NeuronSelectivityTransferStrategy({ kernel: "poly" as never }),
      "E_ARGUMENT",
      /kernel is one of "linear", "polynomial", "gaussian", got "poly"\. Did you mean "polynomial"\?$/,
    ],
    [
      () => new NeuronSelectivityTransferStrategy({ kernel: "gaussian", bandwidth: 0 }),
      "E_ARGUMENT",
      /bandwidth must be "mean" or a finite number above 0, got 0$/,
    ],
    [
      () => new NeuronSelectivityTransferStrategy({ bandwidth: 1 }),
      "E_OPTION",
      /bandwidth belongs to kernel "gaussian", not to "polynomial"$/,
    ],
    [
      () => new CenteredKernelAlignmentStrategy({ over: "batch" as never }),
      "E_ARGUMENT",
      /over is one of "samples-and-positions", "samples", "positions", got "batch"/,
    ],
    [
      () => new ChannelStatisticsStrategy({ deviationWeight: -1 }),
      "E_ARGUMENT",
      /deviationWeight must be finite and 0 or more, got -1/,
    ],
    [
      () => new HintStrategy({ weight: Number.NaN }),
      "E_ARGUMENT",
      /weight must be finite and 0 or more, got NaN/,
    ],
    [
      () => new HintStrategy({ weigth: 1 } as never),
      "E_OPTION",
      /^HintStrategy: unknown option "weigth"\. Did you mean "weight"\?$/,
    ],
    [() => new HintStrategy({ targetLayerName: " " }), "E_ARGUMENT", /targetLayerName must not be empty/],
  ] as const)("options: %#", (act, code, message) => {
    expect(act).toThrowError(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});

describe("a loss between layers of a user's own", () => {
  it("needs one method", () => {
    class Energy extends LayerStrategyBase {
      compareLayer({ student, teacher }: Parameters<LayerStrategyBase["compareLayer"]>[0]) {
        const energy = ({ data }: Matrix) => Array.from(data).reduce((s, v) => s + v * v, 0);
        const d = energy(student) - energy(teacher);
        return { loss: d * d, gradient: () => Float64Array.from(student.data, (v) => 4 * d * v) };
      }
    }
    const [x, y] = [randomMatrix(1, 3, 2), randomMatrix(2, 3, 4)];
    const s = new Energy({ weight: 0.5 });
    expectClose(
      gradientOf(s, x, y),
      finiteDifferences((m) => lossOf(s, m, y), x),
      1e-8,
    );
  });
});
