// Exporters write one layer in many ways. Each spelling is compiled by itself, from the user's nodes: outputs, gradients
// and the set of trained constants must not depend on it. What the plainest spelling gives is held to differences by the
// tests of its ops.
import { beforeAll, describe, expect, test } from "vitest";
import type { Tensor } from "../../src/base/tensor.ts";
import { expectClose } from "../gradient-checker.ts";
import { studentFromText } from "./graph-text.ts";
import { productGradients } from "./product-gradients.ts";
import { meanings } from "./spellings/index.ts";
import { type Meaning, type Spelling, transposed } from "./spellings/spelling.ts";

async function gradientsOf(
  { weights, input }: Meaning,
  { text, opset = 17, constants = {} }: Spelling,
): Promise<Map<string, Tensor>> {
  const held = Object.entries(weights).filter(([name]) => !(`${name}.T` in constants));
  const given = Object.fromEntries([...held, ...Object.entries(constants)]);
  const found = await productGradients(
    studentFromText(`${text}\nlogits = Flatten(y)`, input, given, opset),
    input,
  );
  return new Map(
    [...found].map(([name, t]) => (name.endsWith(".T") ? [name.slice(0, -2), transposed(t)] : [name, t])),
  );
}

describe.each(meanings)("$layer", (meaning) => {
  const [plainest, ...others] = meaning.spellings as [Spelling, ...Spelling[]];
  let plain: Map<string, Tensor>;
  beforeAll(async () => {
    plain = await gradientsOf(meaning, plainest);
  });

  test(plainest.name, () => {
    expect([...plain.keys()].sort()).toEqual([...Object.keys(meaning.weights), "loss"].sort());
    for (const [name, g] of plain)
      expect(Math.max(...(g.data as Float32Array).map(Math.abs)), name).toBeGreaterThan(1e-3);
  });

  test.each(others)("$name", async (spelling) => {
    const gradients = await gradientsOf(meaning, spelling);
    expect([...gradients.keys()].sort()).toEqual([...plain.keys()].sort());
    for (const [name, g] of gradients)
      expectClose(g.data as Float32Array, plain.get(name)?.data as Float32Array, 1e-5, name);
  });
});
