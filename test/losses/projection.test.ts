// A projected tap against central differences, by the student's values and by the projection's own weights, in every
// layout; and what the weights begin with.
import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/base/tensor.ts";
import type { Value } from "../../src/graph/graph.ts";
import { project } from "../../src/losses/projection.ts";
import { resolveProjection } from "../../src/losses/projection-options.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { checkSample, type Sample } from "../gradient-checker.ts";
import { stateless } from "./emitted.ts";

const [neurons, width] = [3, 5];
const layouts: [string, number[], number[]][] = [
  ["[N, C]", [4, neurons], [4, width]],
  ["[N, T, C]", [2, 2, neurons], [2, 2, width]],
  ["[N, C, H, W]", [2, neurons, 2, 3], [2, width, 2, 3]],
  ["[N, C, D, H, W]", [2, neurons, 2, 1, 2], [2, width, 2, 1, 2]],
];
const plain = resolveProjection("test", {}, 0);

describe("against central differences, by value, weight and bias", () => {
  const samples = layouts.flatMap(([layout, dims]) =>
    [true, false].map((bias): Sample => {
      const build = (b: Parameters<Sample["build"]>[0], x?: Value, weight?: Value, c?: Value): Value => {
        const given = [weight, c];
        const state = { ...stateless, parameter: () => given.shift()! };
        return project(b, state, "features", x!, width, { ...plain, bias });
      };
      const inputs = [{ dims }, { dims: [width, neurons] }, ...(bias ? [{ dims: [width] }] : [])];
      return { name: `${layout}, ${bias ? "with" : "without"} bias`, inputs, build };
    }),
  );
  it.each(samples.map((s) => [s.name, s] as const))("%s", async (_, s) => {
    await checkSample(s, 1);
    await checkSample(s, 2, "webgpu");
  });
});

describe("what it learns", () => {
  const parametersOf = (options: object, tap = "features", dims = [2, neurons, 4, 4]) => {
    const b = newBuilder("projection", targets.cpu);
    const found = new Map<string, Tensor>();
    const state = {
      ...stateless,
      parameter: (name: string, initial: Tensor) => {
        found.set(name, initial);
        return b.graph.addInput(name, { dtype: "float32", dims: initial.dims });
      },
    };
    const x = b.graph.addInput("x", { dtype: "float32", dims });
    const y = project(b, state, tap, x, width, resolveProjection("test", options, 7));
    expect(b.dims(y)).toEqual(dims.with(1, width));
    return found;
  };

  it("a weight [width, C] and a bias [width], within ±1/√C, by the tap's name and the seed", () => {
    const found = parametersOf({});
    expect([...found].map(([name, t]) => [name, t.dims])).toEqual([
      ["projection/features/weight", [width, neurons]],
      ["projection/features/bias", [width]],
    ]);
    const weight = [...(found.get("projection/features/weight")!.data as Float32Array)];
    expect(Math.max(...weight.map(Math.abs))).toBeLessThanOrEqual(1 / Math.sqrt(neurons));
    expect(new Set(weight).size).toBe(width * neurons);
    expect(parametersOf({})).toEqual(found);
    expect(parametersOf({ seed: 7 })).toEqual(found);
    expect(parametersOf({ seed: 8 })).not.toEqual(found);
    expect([...parametersOf({}, "other").values()]).not.toEqual([...found.values()]);
  });

  it("no bias where none is wanted; a bias of 0 beside Kaiming's weights", () => {
    expect([...parametersOf({ bias: false }).keys()]).toEqual(["projection/features/weight"]);
    const found = parametersOf({ init: "kaiming-normal" });
    expect(found.get("projection/features/bias")!.data).toEqual(new Float32Array(width));
    expect(found.get("projection/features/weight")!.data).not.toContain(0);
  });

  it("refuses an initialisation that there is not", () => {
    expect(() => resolveProjection("tap", { init: "kaiming" as never }, 0)).toThrow(
      /^tap: no initialisation "kaiming"; use pytorch, .*, zeros\. Did you mean "kaiming-normal"\?$/,
    );
  });
});
