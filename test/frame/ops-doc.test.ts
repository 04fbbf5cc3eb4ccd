import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { opsDoc, opsDocPath } from "../../scripts/ops-doc.ts";
import { opTable } from "../../src/ops/index.ts";

it("docs/ops.md is what the op table says; `npx tsx scripts/ops-doc.ts` renews it", () => {
  expect(readFileSync(opsDocPath, "utf8")).toBe(opsDoc());
});

it("docs/ops.md lists every op of the table once", () => {
  const [table = ""] = opsDoc().split("## What is trained is what is served");
  const listed = [...table.matchAll(/^\| (\S+) \|/gm)].map((m) => m[1]).filter((op) => /^[A-Z]|::/.test(op!));
  expect(listed.sort()).toEqual([...opTable.keys()].sort());
});
