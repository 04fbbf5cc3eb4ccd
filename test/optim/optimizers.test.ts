// Every optimizer, as emitted, against torch.optim over five steps of given gradients and changing rates.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import type { Value } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { type TargetName, targets } from "../../src/ops/target.ts";
import { makeOptimizer, type OptimizerConfig, optimizerNames } from "../../src/optim/index.ts";
import type { Optimizer } from "../../src/optim/optimizer.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { expectClose } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";

interface Facts {
  readonly start: number[];
  readonly gradients: number[][];
  readonly rates: number[];
  readonly cases: { readonly name: "sgd" | "adamw"; readonly options: object; readonly after: number[][] }[];
}
const facts = JSON.parse(
  readFileSync(new URL("../fixtures/optimizers.json", import.meta.url), "utf8"),
) as Facts;

type Float = "float32" | "float64";

/** The weight after each step. */
async function run(optimizer: Optimizer, dtype: Float, target: TargetName): Promise<number[][]> {
  const b = newBuilder("update", targets[target]);
  const dims = [facts.start.length];
  const input = (name: string, of: readonly number[] = dims): Value =>
    b.graph.addInput(name, { dtype, dims: of });
  const updated = optimizer.update({
    b,
    weight: input("weight"),
    gradient: input("gradient"),
    slots: optimizer.slots.map((s) => input(s)),
    scalars: Object.fromEntries(optimizer.scalarNames.map((s) => [s, input(s, [])])),
  });
  for (const v of [updated.weight, ...updated.slots]) b.graph.addOutput(v);
  const session = dtype === "float32" ? await nodeRuntime.load(writeGraph(b.graph)) : undefined;
  let weight = facts.start;
  let slots = optimizer.slots.map(() => dims.flatMap((n) => new Array<number>(n).fill(0)));
  const after: number[][] = [];
  for (const [step, gradient] of facts.gradients.entries()) {
    const feeds: Record<string, Tensor> = {
      weight: tensor(dtype, weight, dims),
      gradient: tensor(dtype, gradient, dims),
    };
    optimizer.slots.forEach((s, i) => {
      feeds[s] = tensor(dtype, slots[i]!, dims);
    });
    for (const [s, v] of Object.entries(optimizer.scalars(step, facts.rates[step]!)))
      feeds[s] = tensor(dtype, [v], []);
    const used = Object.fromEntries(b.graph.inputs.map((x) => [x.name, feeds[x.name]!]));
    const out = session ? await session.run(used) : undefined;
    const exact = out ? undefined : evaluate(b.graph, used);
    const read = (v: Value): number[] =>
      Array.from((out ? out[v.name]!.data : exact!.get(v)!.data) as ArrayLike<number>);
    weight = read(updated.weight);
    slots = updated.slots.map(read);
    after.push(weight);
  }
  await session?.release();
  return after;
}

describe("against torch.optim", () => {
  it("the fixture has every optimizer", () => {
    expect(new Set(facts.cases.map((c) => c.name))).toEqual(new Set(optimizerNames));
  });

  it.each(facts.cases.map((c) => [c.name, JSON.stringify(c.options), c] as const))(
    "%s %s",
    async (name, _, { options, after }) => {
      const optimizer = makeOptimizer({ name, ...options } as OptimizerConfig);
      for (const [dtype, target, tolerance] of [
        ["float64", "cpu", 1e-12],
        ["float32", "cpu", 2e-6],
        ["float32", "webgpu", 2e-6],
      ] as const) {
        const found = await run(optimizer, dtype, target);
        // Element by element: the large gradient must not hide the tiny one.
        for (const [step, wanted] of after.entries())
          wanted.forEach((w, i) => {
            expectClose(
              [found[step]![i]!],
              [w],
              tolerance,
              `${dtype} ${target}, step ${step + 1}, weight ${i}`,
            );
          });
      }
    },
  );
});

describe("options", () => {
  const refuse = (config: object, message: string): void =>
    expect(() => makeOptimizer(config as OptimizerConfig)).toThrow(
      expect.objectContaining({ message: message }),
    );

  it("out of range", () => {
    refuse({ name: "sgd", momentum: -1 }, "sgd: momentum must be a finite number >= 0, got -1");
    refuse(
      { name: "sgd", weightDecay: Number.NaN },
      "sgd: weightDecay must be a finite number >= 0, got NaN",
    );
    refuse({ name: "sgd", momentum: 0, nesterov: true }, "sgd: nesterov needs a momentum above 0");
    refuse({ name: "adamw", beta1: 1 }, "adamw: beta1 must lie in [0, 1), got 1");
    refuse({ name: "adamw", beta2: -0.1 }, "adamw: beta2 must lie in [0, 1), got -0.1");
    refuse({ name: "adamw", epsilon: 0 }, "adamw: epsilon must be above 0, got 0");
    refuse({ name: "adamw", weightDecay: -1 }, "adamw: weightDecay must be a finite number >= 0, got -1");
  });

  it("unknown names", () => {
    refuse({ name: "adam" }, 'unknown optimizer "adam". Did you mean "adamw"? Known: sgd, adamw.');
    refuse({ name: "sgd", moment: 0.9 }, 'sgd: unknown option "moment". Did you mean "momentum"?');
    refuse({ name: "toString" }, 'unknown optimizer "toString". Known: sgd, adamw.');
  });
});
