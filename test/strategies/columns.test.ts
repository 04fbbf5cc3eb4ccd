// The two ways through a matrix: what they compute, that their bits are the same, and when which is taken.
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { columnsWasm, columnsWasmPath } from "../../scripts/columns-wasm.ts";
import { javaScriptKernel } from "../../src/strategies/columns/javascript.ts";
import { COLUMNS, GROUP, place, TILE } from "../../src/strategies/columns/kernel.ts";
import { WORTH_LOADING } from "../../src/strategies/columns/kernel-for.ts";
import { shiftAndScale, sumShifted } from "../../src/strategies/columns/passes.ts";
import { webAssemblyKernel } from "../../src/strategies/columns/webassembly.ts";
import {
  type FloatArray,
  Matrix,
  NeuronSelectivityDistillationStrategy,
  varianceScores,
} from "../../src/strategies/index.ts";
import { layer } from "./helpers.ts";

const kernels = { javascript: javaScriptKernel(), webassembly: webAssemblyKernel()! };
type Name = keyof typeof kernels;
const names = Object.keys(kernels) as Name[];
const types = { float32: Float32Array, float64: Float64Array };
type TypeName = keyof typeof types;
const typeNames = Object.keys(types) as TypeName[];

type Constructor = new (argument: unknown) => object;
const real = (globalThis as unknown as { WebAssembly: { Module: Constructor; Instance: Constructor } })
  .WebAssembly;

function forbidden() {
  return {
    Instance: class {},
    Module: class {
      constructor() {
        throw new Error("Wasm code generation disallowed by embedder");
      }
    },
  };
}

const bitsOf = ({ buffer, byteOffset, byteLength }: FloatArray) =>
  Buffer.from(buffer, byteOffset, byteLength);

function expectSameBits(found: FloatArray, expected: FloatArray): void {
  if (bitsOf(found).equals(bitsOf(expected))) return;
  const i = found.findIndex((v, k) => !Object.is(v, expected[k]));
  expect.fail(`value ${i} is ${found[i]}, not ${expected[i]}`);
}

/** Values of very different sizes, with zeros of both signs, equal neighbours and, at 1e6 ± 1, little difference. */
function valuesOf(type: TypeName, rows: number, columns: number): Matrix {
  const data = new types[type](rows * columns);
  const scales = type === "float32" ? [1, 1e-42, 1e30, 1e-3] : [1, 5e-320, 1e150, 1e-3];
  for (let i = 0; i < data.length; i++) {
    const c = i % columns;
    data[i] = c % 5 === 4 ? 1e6 + (i % 3) - 1 : Math.max(-0, Math.sin(0.7 * i)) * scales[c % 5]!;
  }
  return new Matrix(rows, columns, data);
}

/** What kernel.ts says, column by column. */
function sumsByDefinition({ rows, columns, data }: Matrix) {
  const first = Float64Array.from(data.subarray(0, columns));
  const shift = new Float64Array(columns);
  const squares = new Float64Array(columns);
  for (let c = 0; c < columns; c++)
    for (let r = 0; r < rows; r += GROUP) {
      const [a, b, d, e] = [0, 1, 2, 3].map((k) =>
        r + k < rows ? data[(r + k) * columns + c]! - first[c]! : 0,
      ) as [number, number, number, number];
      shift[c]! += a + b + (d + e);
      squares[c]! += a * a + b * b + (d * d + e * e);
    }
  return { first, shift, squares };
}

const sizes: [number, number][] = [
  ...[2, 3, 4, 5, 7, 8, 9, 33].flatMap((rows) => [1, 2, 3, 4, 5, 17].map((c): [number, number] => [rows, c])),
  [7, 1023],
  [19, 1025],
  // Of more rows than fit in at once, and of more columns.
  [Math.floor(TILE / 3) + 6, 3],
  [TILE + 1, 1],
  [9, COLUMNS - 1],
  [11, COLUMNS],
  [13, COLUMNS + 1],
  [10, 2 * COLUMNS + 3],
];

describe.each(names)("%s", (name) => {
  const kernel = kernels[name];

  it.each(typeNames)("sums %s as its definition says, to the bit", (type) => {
    for (const [rows, columns] of sizes) {
      const matrix = valuesOf(type, rows, columns);
      const [found, expected] = [sumShifted(matrix, kernel), sumsByDefinition(matrix)];
      for (const part of ["first", "shift", "squares"] as const) expectSameBits(found[part], expected[part]);
    }
  });

  it.each(typeNames)("shifts and scales %s as its definition says, to the bit", (type) => {
    for (const [rows, columns] of sizes) {
      const matrix = valuesOf(type, rows, columns);
      const { first } = sumsByDefinition(matrix);
      const shift = first.map((f, c) => f * Math.sin(c));
      // Slopes of both signs, without effect, and beyond what float32 holds.
      const slope = first.map((_, c) => [1.3, -0.7, 0, 1e20, -1e-20, 1e-310][c % 6]!);
      // Nothing of what lay there may be left, and nothing else be touched.
      const room = new types[type](rows * columns + 2).fill(7);
      const out = room.subarray(1, rows * columns + 1);
      shiftAndScale(matrix, first, shift, slope, out, kernel);
      const expected = out.map((_, i) => {
        const c = i % columns;
        return slope[c]! * (matrix.data[i]! - first[c]! - shift[c]!) + 0;
      });
      expectSameBits(out, expected);
      expect([room[0], room.at(-1)]).toEqual([7, 7]);
    }
  });

  it("writes zeros as 0, not −0", () => {
    const zeros = new Matrix(2, 3, Float32Array.of(0, -0, 0, -0, 0, 0));
    const out = new Float32Array(6).fill(1);
    const none = new Float64Array(3);
    shiftAndScale(zeros, none, none, Float64Array.of(-1, 1, -2), out, kernel);
    for (const v of out) expect(v).toBe(0);
  });

  it.each([Number.NaN, Infinity, -Infinity])(
    "shows a value of %s wherever it is, in its own column alone",
    (bad) => {
      for (const [rows, columns] of [
        [4, 3],
        [9, 7],
        [6, 8],
      ] as const)
        for (let i = 0; i < rows * columns; i++) {
          const matrix = new Matrix(rows, columns, new Float32Array(rows * columns).fill(0.5));
          matrix.data[i] = bad;
          const { squares } = sumShifted(matrix, kernel);
          expect(squares.findIndex((s) => !Number.isFinite(s))).toBe(i % columns);
          expect(squares.filter((s) => !Number.isFinite(s)).length).toBe(1);
        }
    },
  );

  it("knows nothing of the matrix before", () => {
    const [large, small] = [
      new Matrix(40, 33, new Float64Array(1320).fill(Number.NaN)),
      Matrix.fromRows([[1], [3]]),
    ];
    sumShifted(large, kernel);
    expect(sumShifted(small, kernel)).toEqual({
      first: Float64Array.of(1),
      shift: Float64Array.of(2),
      squares: Float64Array.of(4),
    });
  });
});

describe("through the class", () => {
  const [rows, columns] = [129, 131];
  const strategy = new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer" });

  it("is large enough for WebAssembly", () => expect(rows * columns).toBeGreaterThan(WORTH_LOADING));

  it.each(typeNames)("names side, row and column of a value in %s that is not finite", (type) => {
    const good = new Matrix(rows, columns, new types[type](rows * columns).fill(1));
    for (const at of [
      0,
      1,
      columns - 1,
      columns,
      5 * columns + 64,
      127 * columns,
      rows * columns - columns,
      rows * columns - 1,
    ]) {
      const bad = new Matrix(rows, columns, good.data.slice());
      bad.data[at] = Number.NaN;
      const where = `is NaN at row ${Math.floor(at / columns)}, column ${at % columns};`;
      expect(() => strategy.computeIntermediateLoss(layer(bad), layer(good))).toThrow(
        `student activations "layer" ${where}`,
      );
      expect(() => strategy.computeIntermediateGradient(layer(good), layer(bad))).toThrow(
        `teacher activations "layer" ${where}`,
      );
    }
  });

  it("names the side whose squares overflow", () => {
    const huge = valuesOf("float64", rows, columns);
    huge.data[77] = 1e200;
    expect(() => strategy.computeIntermediateLoss(layer(huge), layer(huge))).toThrow(
      'student activations "layer" is so large that its scores overflow; scale it down',
    );
  });

  it("keeps the digits of 1e6 ± 1", () => {
    for (const type of typeNames) {
      const data = new types[type](rows * columns).map(
        (_, i) => 1e6 + ((Math.floor(i / columns) % 2) * 2 - 1),
      );
      const mean = 1e6 - 1 / rows;
      let exact = 0;
      for (let r = 0; r < rows; r++) exact += (1e6 + ((r % 2) * 2 - 1) - mean) ** 2 / rows;
      for (const v of varianceScores(new Matrix(rows, columns, data))) expect(v).toBeCloseTo(exact, 9);
    }
  });

  it("sees what the caller has changed in between", () => {
    const [s, t] = [valuesOf("float32", rows, columns), valuesOf("float32", rows, columns)];
    expect(strategy.computeIntermediateLoss(layer(s), layer(t))).toBe(0);
    s.data[0] = 4;
    expect(strategy.computeIntermediateLoss(layer(s), layer(t))).toBeGreaterThan(0);
    expect(strategy.computeIntermediateGradient(layer(s), layer(t)).get("layer")!.get(0, 0)).not.toBe(0);
  });
});

describe("WebAssembly", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.resetModules();
  });

  it("is there in this Node, and has space for all places", () => {
    expect(kernels.webassembly).toBeDefined();
    expect(kernels.webassembly.memory.length).toBe(place.end);
  });

  /** Loss and gradient of a large layer by modules loaded anew. */
  async function anew() {
    vi.resetModules();
    const fresh = await import("../../src/strategies/index.ts");
    const strategy = new fresh.NeuronSelectivityDistillationStrategy({ targetLayerName: "layer" });
    const of = (rows: number, columns: number, phase: number) =>
      new fresh.IntermediateActivations().add(
        "layer",
        new fresh.Matrix(
          rows,
          columns,
          new Float32Array(rows * columns).map((_, i) => Math.sin(i + phase)),
        ),
      );
    return (rows: number, columns: number) => {
      const both = strategy.computeIntermediateLossAndGradient(of(rows, columns, 0), of(rows, columns, 1));
      return { loss: both.loss, gradient: both.gradient.get("layer")!.data };
    };
  }

  it.each([
    ["is missing", undefined],
    ["has no vector instructions, or a page's policy forbids it", forbidden()],
  ])("does nothing to the results where it %s", async (_, instead) => {
    const expected = (await anew())(150, 201);
    vi.stubGlobal("WebAssembly", instead);
    expect(webAssemblyKernel()).toBeUndefined();
    const found = (await anew())(150, 201);
    expect(found.loss).toBe(expected.loss);
    expectSameBits(found.gradient, expected.gradient);
  });

  it("is loaded by the first large matrix, once, and tried once where it is forbidden", async () => {
    for (const Module of [real.Module, forbidden().Module as Constructor]) {
      const compile = vi.fn(function (this: unknown, bytes: Uint8Array) {
        return new Module(bytes);
      });
      vi.stubGlobal("WebAssembly", { Instance: real.Instance, Module: compile });
      const compute = await anew();
      compute(2, 3);
      compute(10, Math.floor(WORTH_LOADING / 10));
      expect(compile).toHaveBeenCalledTimes(0);
      compute(128, WORTH_LOADING / 128);
      compute(150, 201);
      expect(compile).toHaveBeenCalledTimes(1);
    }
  });

  it("is what columns.wat says; `npx tsx scripts/columns-wasm.ts` renews it", async () => {
    expect(readFileSync(columnsWasmPath, "utf8")).toBe(await columnsWasm());
  });
});
