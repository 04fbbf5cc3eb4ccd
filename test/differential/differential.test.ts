// What is trained must be what is served: for every op of the table, nodes drawn from a fixed seed (attributes, shapes, opsets,
// values at the edges) run as the step runs them, and as ONNX Runtime runs the node itself. An hour of it:
// npm run test:differential -- --seed 2
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { int } from "../../src/graph/graph.ts";
import { isRefusal } from "../../src/ops/define.ts";
import { opTable } from "../../src/ops/index.ts";
import { fed, i64 } from "./case.ts";
import { caseSeed, describeCase, drawCase, opKeys, runCase } from "./run-case.ts";

/** Of each op. */
const cases = 40;
const seed = 20;

it("has a generator for every op of the table, and for no other", () => {
  const ops = [...opTable].filter(([, d]) => !isRefusal(d)).map(([key]) => key);
  expect([...opKeys].sort()).toEqual(ops.sort());
});

describe("is what ONNX Runtime makes of the node", () => {
  it.each(opKeys)("%s", async (op) => {
    const invalid: string[] = [];
    for (let i = 0; i < cases; i++) {
      const drawn = drawCase(op, caseSeed(seed, op, i));
      const outcome = await runCase(drawn);
      if (outcome.kind === "invalid") invalid.push(outcome.why);
      else if (outcome.kind !== "agrees")
        expect.fail(`${describeCase(drawn)}\n${"what" in outcome ? outcome.what : outcome.why}`);
    }
    // A generator that draws what nobody can run tests nothing.
    expect(invalid.length, invalid.join("\n")).toBeLessThan(cases / 4);
  });
});

it("puts the places of AffineGrid where the runtime has them, to the bit", async () => {
  const unit = fed(tensor("float32", [1, 0, 0, 0, 1, 0], [1, 2, 3]));
  for (let n = 1; n <= 40; n++)
    for (const align of [0, 1]) {
      const node = { inputs: [unit, i64([1, 1, 2, n])], attributes: { align_corners: int(align) } };
      const outcome = await runCase({
        ...node,
        op: "AffineGrid",
        domain: "",
        opset: 20,
        seed: 0,
        tolerance: 1e-12,
      });
      expect(outcome, `${n} places, align_corners ${align}`).toMatchObject({ kind: "agrees", error: 0 });
    }
});
