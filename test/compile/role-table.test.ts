// The table of what is trained: short, however many constants there are.
import { expect, test } from "vitest";
import { type ConstantEntry, collapseNames, roleCells, roleRows } from "../../src/compile/role-table.ts";

const entry = (
  name: string,
  role: ConstantEntry["role"],
  elements: number,
  reason: string,
): ConstantEntry => ({
  name,
  role,
  elements,
  reason,
});

test("names that differ in numbers only are one, with how often it stands", () => {
  const names = [0, 1, 2].flatMap((i) => [`encoder.${i}.attn.bias`, `encoder.${i}.attn.weight`]);
  expect(collapseNames(names)).toBe("encoder.*.attn.bias ×3, encoder.*.attn.weight ×3");
  expect(collapseNames([...names, "head.bias"])).toBe(
    "encoder.*.attn.bias ×3, encoder.*.attn.weight ×3 and 1 more",
  );
  expect(collapseNames(["block.1.bias"])).toBe("block.1.bias");
});

test("one row per role and reason, roles in order, the larger first", () => {
  const rows = roleRows([
    entry("mean", "fixed", 3, "BUFFER"),
    entry("a.bias", "trained", 4, "weights"),
    entry("a.weight", "trained", 40, "weights"),
    entry("scale", "trained", 1, "--train 'scale'"),
    entry("bn.mean", "statistics", 4, "running"),
    entry("head", "tied", 40, "tied"),
  ]);
  expect(rows.map((r) => [r.role, r.elements, r.names.join()])).toEqual([
    ["trained", 44, "a.bias,a.weight"],
    ["trained", 1, "scale"],
    ["tied", 40, "head"],
    ["statistics", 4, "bn.mean"],
    ["fixed", 3, "mean"],
  ]);
  expect(roleCells(rows)[1]).toEqual(["trained", "2", "44", "weights", "a.bias, a.weight"]);
});

test("never more rows than asked for; the last counts the others", () => {
  const rows = roleRows(Array.from({ length: 40 }, (_, i) => entry(`w${i}`, "fixed", 10, `reason ${i}`)));
  const cells = roleCells(rows, 5);
  expect(cells).toHaveLength(6);
  expect(cells.at(-1)).toEqual(["…", "36", "360", "(--json shows all)", "36 more rows"]);
});
