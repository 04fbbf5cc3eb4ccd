// Which score is compared with which: ranks against repeated quantiles, assignments against every permutation.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareScores } from "../../src/strategies/comparison.ts";
import {
  IntermediateActivations,
  Matrix,
  NeuronSelectivityDistillationStrategy,
  ResponseCorrelation,
} from "../../src/strategies/index.ts";
import { overlaps, pairByAssignment, pairByIndex, pairByRank } from "../../src/strategies/match.ts";
import { expectClose, layer, randomMatrix } from "./helpers.ts";

const error = (code: string, message: string) => expect.objectContaining({ code, message });
const scores = (length: { min: number; max: number }) =>
  fc
    .array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: length.min, maxLength: length.max })
    .map((v) => Float64Array.from(v));

describe("rank", () => {
  it("of equal numbers is the distance of sorted scores", () => {
    fc.assert(
      fc.property(scores({ min: 6, max: 6 }), scores({ min: 6, max: 6 }), (s, t) => {
        const sorted = [s.slice().sort(), t.slice().sort()] as const;
        const wanted = sorted[0].reduce((sum, v, i) => sum + (v - sorted[1][i]!) ** 2, 0) / 6;
        expectClose([compareScores(s, t, pairByRank(s, t), "squared").loss], [wanted], 1e-12);
      }),
    );
  });

  it("of unequal numbers is that of both, repeated to a common number", () => {
    const repeated = (v: Float64Array, times: number) =>
      Float64Array.from([...v.slice().sort()].flatMap((x) => Array.from({ length: times }, () => x)));
    fc.assert(
      fc.property(scores({ min: 1, max: 7 }), scores({ min: 1, max: 7 }), (s, t) => {
        const [both, same] = [s.length * t.length, pairByIndex(s.length * t.length)];
        const [a, b] = [repeated(s, t.length), repeated(t, s.length)];
        expect(same.total).toBe(both);
        for (const distance of ["squared", "absolute", "relative"] as const) {
          const wanted = compareScores(a, b, same, distance).loss;
          expectClose([compareScores(s, t, pairByRank(s, t), distance).loss], [wanted], 1e-12);
        }
      }),
    );
  });

  it("is a distance of distributions: 0 between equal ones, whatever the order and the number", () => {
    const s = Float64Array.of(3, 1, 2);
    const t = Float64Array.of(1, 1, 3, 3, 2, 2);
    expect(compareScores(s, t, pairByRank(s, t), "squared").loss).toBe(0);
    const moved = t.map((v) => v + 0.5);
    expect(compareScores(s, moved, pairByRank(s, moved), "squared").loss).toBeCloseTo(0.25, 12);
  });

  it("overlaps: at most n + m − 1 pairs, whose shares fill every part", () => {
    for (let n = 1; n <= 9; n++)
      for (let m = 1; m <= 9; m++) {
        const { first, second, share, total } = overlaps(n, m);
        expect(first.length).toBeLessThanOrEqual(n + m - 1);
        const of = (p: number) => share?.[p] ?? 1;
        for (const [places, count] of [
          [first, n],
          [second, m],
        ] as const) {
          const sums = new Array<number>(count).fill(0);
          places.forEach((i, p) => {
            sums[i]! += of(p);
          });
          expect(sums).toEqual(new Array(count).fill(total / count));
        }
      }
  });
});

/** Every way to give n students different ones of m teachers, or none where there are too few. */
function* assignments(n: number, m: number, taken: number[] = []): Generator<number[]> {
  if (taken.length === n) {
    yield taken;
    return;
  }
  for (let j = 0; j < m; j++) if (!taken.includes(j)) yield* assignments(n, m, [...taken, j]);
  const spare = n - m - taken.filter((j) => j < 0).length;
  if (spare > 0) yield* assignments(n, m, [...taken, -1]);
}

describe("assignment", () => {
  it.each([
    [4, 4],
    [3, 5],
    [5, 3],
  ])("%i neurons and %i: no other way has a greater sum of correlations", (n, m) => {
    for (let seed = 1; seed <= 5; seed++) {
      const [s, t] = [randomMatrix(seed, 20, n), randomMatrix(seed + 50, 20, m)];
      const correlation = new ResponseCorrelation().add(s, t);
      const matrix = correlation.matrix();
      const sum = (a: ArrayLike<number>) =>
        Array.from(a).reduce((total, j, i) => total + (j < 0 ? 0 : matrix.get(i, j)), 0);
      const found = correlation.assignment();
      const best = Math.max(...[...assignments(n, m)].map(sum));
      expect(sum(found)).toBeCloseTo(best, 12);
      expect(new Set([...found].filter((j) => j >= 0)).size).toBe(Math.min(n, m));
    }
  });

  it("correlation is Pearson's, over all batches together, of far-off means too", () => {
    const shifted = (m: Matrix, by: number) =>
      new Matrix(
        m.rows,
        m.columns,
        m.data.map((v) => v + by),
      );
    const [s, t] = [shifted(randomMatrix(1, 30, 3), 1e6), randomMatrix(2, 30, 2)];
    const part = (m: Matrix, from: number, to: number) =>
      new Matrix(to - from, m.columns, m.data.subarray(from * m.columns, to * m.columns));
    const batches = new ResponseCorrelation()
      .add(part(s, 0, 7), part(t, 0, 7))
      .add(part(s, 7, 30), part(t, 7, 30));
    const column = (m: Matrix, c: number) => Array.from({ length: m.rows }, (_, r) => m.get(r, c));
    const centred = (v: number[]) => v.map((x) => x - v.reduce((a, b) => a + b) / v.length);
    const dot = (a: number[], b: number[]) => a.reduce((x, v, i) => x + v * b[i]!, 0);
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 2; j++) {
        const [a, b] = [centred(column(s, i)), centred(column(t, j))];
        expect(batches.matrix().get(i, j)).toBeCloseTo(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)), 8);
      }
  });

  it("a neuron that never varies correlates with none, and does no harm", () => {
    const s = Matrix.fromRows([
      [0, 1, 5],
      [0, 2, 5],
      [0, 4, 5],
    ]);
    const correlation = new ResponseCorrelation().add(s, s);
    expectClose(correlation.matrix().data, [0, 0, 0, 0, 1, 0, 0, 0, 0], 1e-15);
    expect(correlation.assignment()[1]).toBe(1);
  });

  it("of the strategy: computed, set, and held until the next time", () => {
    const strategy = new NeuronSelectivityDistillationStrategy({
      targetLayerName: "layer",
      match: "assignment",
    });
    const t = randomMatrix(3, 12, 4);
    const order = [2, 0, 3, 1];
    const s = new Matrix(
      12,
      4,
      t.data.map((_, i) => 3 * t.data[4 * Math.floor(i / 4) + order[i % 4]!]!),
    );
    expect(strategy.assignment).toBeUndefined();
    expect([...strategy.computeAssignment(layer(s), layer(t))]).toEqual(order);
    const same = new Matrix(
      12,
      4,
      s.data.map((v) => v / 3),
    );
    expect(strategy.computeIntermediateLoss(layer(same), layer(t))).toBeCloseTo(0, 14);
    strategy.assignment = [0, 1, -1, -1];
    const [sv, tv] = [strategy, new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer" })].map(
      (x) => x.computeIntermediateLoss(layer(s), layer(t)),
    );
    expect(sv).not.toBeCloseTo(tv!, 6);
    const ofTwo = (m: Matrix) =>
      Matrix.fromRows(Array.from({ length: 12 }, (_, r) => [...m.row(r)].slice(0, 2)));
    const two = new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer" });
    expect(sv).toBeCloseTo(two.computeIntermediateLoss(layer(ofTwo(s)), layer(ofTwo(t))), 12);
  });

  it("pairs leave out what has no partner", () => {
    const pairs = pairByAssignment(Int32Array.of(2, -1, 0));
    expect([[...pairs.student], [...pairs.teacher], pairs.total]).toEqual([[0, 2], [2, 0], 2]);
  });

  it("says what is wrong", () => {
    const strategy = new NeuronSelectivityDistillationStrategy({
      targetLayerName: "layer",
      match: "assignment",
    });
    const set = (a: number[]) => () => {
      strategy.assignment = a;
    };
    expect(set([0, 0])).toThrowError(
      error(
        "E_ARGUMENT",
        "assignment: entry 1 is 0; each must be the number of another neuron of the teacher, or −1 for none",
      ),
    );
    expect(set([-1, -1])).toThrowError(
      error("E_ARGUMENT", "assignment matches no neuron; at least one must be matched"),
    );
    strategy.assignment = [1, 0];
    expect(() =>
      strategy.computeIntermediateLoss(layer(randomMatrix(1, 4, 3)), layer(randomMatrix(2, 4, 3))),
    ).toThrowError(
      error(
        "E_SHAPE",
        "assignment has 2 entries up to 1 for 3 neurons of the student and 3 of the teacher; compute it anew",
      ),
    );
    expect(() =>
      strategy.computeAssignment(new IntermediateActivations(), layer(randomMatrix(2, 4, 3))),
    ).toThrowError(error("E_NAME", 'the student has no activations "layer"; add them, it has none'));
    expect(() => new ResponseCorrelation().add(randomMatrix(1, 4, 3), randomMatrix(1, 5, 3))).toThrowError(
      error(
        "E_SHAPE",
        "ResponseCorrelation: the student has 4 rows and the teacher 5; give both the same samples, with the same positions",
      ),
    );
    const twice = new ResponseCorrelation().add(randomMatrix(1, 4, 3), randomMatrix(1, 4, 3));
    expect(() => twice.add(randomMatrix(1, 4, 2), randomMatrix(1, 4, 3))).toThrowError(
      error(
        "E_SHAPE",
        "ResponseCorrelation: 2 neurons after batches of 3; every batch must be of the same layers",
      ),
    );
    expect(() => new ResponseCorrelation().matrix()).toThrowError(
      error("E_SHAPE", "ResponseCorrelation: at least two rows are needed; add a batch"),
    );
  });
});
