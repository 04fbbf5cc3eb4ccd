// Ops that ONNX Runtime's optimiser puts into a file: what helps is the file before that, not a rule.
import { expect, it } from "vitest";
import type { Node } from "../../src/graph/graph.ts";
import { definitionOf } from "../../src/ops/emit-node.ts";
import { opTable } from "../../src/ops/index.ts";
import { failure } from "../data/files.ts";

const said = (op: string, domain: string) =>
  failure(() => definitionOf(opTable, { op, domain, name: "n" } as Node, 17, () => "w"));

it.each([
  ["Conv", "com.microsoft.nchwc"],
  ["ReorderInput", "com.microsoft.nchwc"],
  ["MaxPool", "com.ms.internal.nhwc"],
  ["NhwcMaxPool", "com.microsoft"],
])("%s of %s asks for the file before optimisation", async (op, domain) => {
  expect(await said(op, domain)).toBe(
    `E_OP: no rule for op ${domain}::${op} at node "n", needed by "w", so it cannot be part of a student: it is from a file that ONNX Runtime has optimised for a processor; give the original, from the exporter`,
  );
});

it("an op of another domain is not taken for one of the same name", async () => {
  expect(await said("Gelu", "my.ops")).toBe(
    'E_OP: no rule for op my.ops::Gelu at node "n", needed by "w", so it cannot be part of a student. Add a rule in src/ops, replace the op in the model, or freeze every weight before it (--freeze): then it runs as it stands.',
  );
  expect(await said("Gellu", "com.microsoft")).toContain(
    'a student. Did you mean "Gelu"? Where ONNX Runtime put it there when it optimised the model, give the file as it was before that. Add a rule',
  );
});
