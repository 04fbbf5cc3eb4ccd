// Forms as graph values: adaptive average pooling against PyTorch, every form's gradient against finite differences.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { vectorJacobianProduct } from "../../src/autodiff/differentiate.ts";
import { tensor } from "../../src/base/tensor.ts";
import { typeOf } from "../../src/graph/graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { adaptiveAveragePool, emitForm } from "../../src/taps/emit-form.ts";
import { formedShape, type TapForm } from "../../src/taps/tap-form.ts";
import { checkSample, expectClose } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";

interface Case {
  readonly dims: number[];
  readonly sizes: number[];
  readonly x: number[];
  readonly y: number[];
  readonly dy: number[];
  readonly dx: number[];
}

const cases = JSON.parse(
  readFileSync(new URL("../fixtures/adaptive-pool.json", import.meta.url), "utf8"),
) as Case[];

/** [N, C, L] -> [N, L, C], where we have neurons last. */
function asTokens(data: number[], [n, c, length]: number[]): number[] {
  return Array.from({ length: data.length }, (_, k) => {
    const [i, l, j] = [Math.floor(k / (c! * length!)), Math.floor(k / c!) % length!, k % c!];
    return data[(i * c! + j) * length! + l] as number;
  }).slice(0, n! * c! * length!);
}

describe("adaptive average pooling is PyTorch's", () => {
  test.each(cases.map((c) => [`[${c.dims}] to ${c.sizes.join("x")}`, c] as const))("%s", (_, c) => {
    const tokens = c.dims.length === 3;
    const dims = tokens ? [c.dims[0]!, c.dims[2]!, c.dims[1]!] : c.dims;
    const out = tokens ? [c.dims[0]!, c.dims[1]!, c.sizes[0]!] : [];
    const b = newBuilder("pool", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float64", dims });
    const y = adaptiveAveragePool(b, x, c.sizes);
    const dy = b.graph.addInput("dy", typeOf(y));
    const [dx] = vectorJacobianProduct(b, [[y, dy]], [x]).values();
    const own = (data: number[], shape: number[]) => (tokens ? asTokens(data, shape) : data);
    const values = evaluate(b.graph, {
      x: tensor("float64", own(c.x, c.dims), dims),
      dy: tensor("float64", own(c.dy, out), [...typeOf(y).dims]),
    });
    expectClose(values.get(y)!.data as Float64Array, own(c.y, out), 1e-7, "pooled");
    expectClose(values.get(dx!)!.data as Float64Array, own(c.dx, c.dims), 1e-7, "gradient");
  });
});

const forms: readonly { readonly name: string; readonly dims: readonly number[]; readonly form: TapForm }[] =
  [
    { name: "windows that tile a map", dims: [2, 3, 4, 6], form: { pool: [2, 3] } },
    { name: "overlapping windows", dims: [1, 2, 5, 3], form: { pool: [3, 2] } },
    { name: "a map to one position, a vector", dims: [2, 3, 2, 2], form: { pool: [1, 1], squeeze: true } },
    { name: "tokens with a class token as a map", dims: [2, 5, 3], form: { dropFirst: true, grid: [2, 2] } },
    { name: "tokens as a map, pooled", dims: [1, 16, 2], form: { grid: [4, 4], pool: [2, 2] } },
    { name: "a map as tokens, pooled", dims: [2, 2, 2, 3], form: { flatten: true, pool: [4] } },
    { name: "[N, C, L] as tokens", dims: [2, 3, 6], form: { transpose: [0, 2, 1], pool: [3] } },
    { name: "[N, H, W, C] as a map", dims: [1, 4, 2, 3], form: { transpose: [0, 3, 1, 2], pool: [2, 1] } },
  ];

describe("forms", () => {
  test.each(forms)("$name: shape and gradient", async ({ name, dims, form }) => {
    await checkSample({ name, inputs: [{ dims }], build: (b, x) => emitForm(b, x!, form) }, 3);
    const b = newBuilder("form", targets.cpu);
    const y = emitForm(b, b.graph.addInput("x", { dtype: "float32", dims }), form);
    expect(typeOf(y).dims).toEqual(formedShape(dims, form));
  });

  test("positions keep their places: tokens of a grid, a map's positions row by row", () => {
    const b = newBuilder("form", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float64", dims: [1, 5, 2] });
    const map = emitForm(b, x, { dropFirst: true, grid: [2, 2] });
    const back = emitForm(b, map, { flatten: true });
    const values = evaluate(b.graph, {
      x: tensor("float64", [9, 9, 0, 10, 1, 11, 2, 12, 3, 13], [1, 5, 2]),
    });
    expect([...(values.get(map)!.data as Float64Array)]).toEqual([0, 1, 2, 3, 10, 11, 12, 13]);
    expect([...(values.get(back)!.data as Float64Array)]).toEqual([0, 10, 1, 11, 2, 12, 3, 13]);
  });
});
