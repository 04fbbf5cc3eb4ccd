// What is trained, fixed and tied, as a table that is short however many constants a model has.
import { formatCount } from "../base/format.ts";
import { sizeOf, type Tensor } from "../base/tensor.ts";
import type { ConstantRole } from "../ops/constant-roles.ts";

/** trained: the loss moves it; statistics: batches move it; fixed: nothing does; tied: it is another's, see the reason. */
export type RoleKind = "trained" | "statistics" | "fixed" | "tied";

export interface ConstantEntry {
  readonly name: string;
  readonly role: RoleKind;
  readonly elements: number;
  readonly reason: string;
}

/** All constants of one role for one reason. */
export interface RoleRow {
  readonly role: RoleKind;
  readonly reason: string;
  readonly names: readonly string[];
  /** Numbers in them. */
  readonly elements: number;
}

const kinds = { parameter: "trained", statistics: "statistics", fixed: "fixed" } as const;

/** `kept`: rows that are not learned by being looked up (see `paddingRowsOf`). */
export const entryOf = (
  name: string,
  tensor: Tensor,
  role: ConstantRole,
  kept: readonly number[] = [],
): ConstantEntry => ({
  name,
  role: kinds[role.kind],
  elements: sizeOf(tensor.dims),
  reason: `${role.reason}${paddingOf(name, role, kept)}`,
});

function paddingOf(name: string, { kind, paddingRow }: ConstantRole, kept: readonly number[]): string {
  if (kept.length > 0)
    return `, not row${kept.length > 1 ? "s" : ""} ${kept.join(", ")} where looked up (--padding-row)`;
  if (kind !== "parameter" || paddingRow === undefined) return "";
  return `, row ${paddingRow} too, which PyTorch keeps (padding_idx): --padding-row '${name}=${paddingRow}' does`;
}

const order: readonly RoleKind[] = ["trained", "tied", "statistics", "fixed"];

/** One row per role and reason: roles in the order trained, tied, statistics, fixed, the larger first within each. */
export function roleRows(entries: readonly ConstantEntry[]): RoleRow[] {
  const rows = new Map<string, { role: RoleKind; reason: string; names: string[]; elements: number }>();
  for (const { role, reason, name, elements } of entries) {
    const key = `${role} ${reason}`;
    const row = rows.get(key) ?? { role, reason, names: [], elements: 0 };
    rows.set(key, row);
    row.names.push(name);
    row.elements += elements;
  }
  return [...rows.values()].sort(
    (a, b) => order.indexOf(a.role) - order.indexOf(b.role) || b.elements - a.elements,
  );
}

/** `encoder.*.bias ×12, head.weight and 3 more`: names that differ in numbers only as one, the first `most` of them. */
export function collapseNames(names: readonly string[], most = 2): string {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const key = name.replace(/\d+/g, "*");
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  const shown = [...groups].slice(0, most);
  const texts = shown.map(([key, all]) => (all.length === 1 ? (all[0] as string) : `${key} ×${all.length}`));
  const left = names.length - shown.reduce((n, [, all]) => n + all.length, 0);
  return `${texts.join(", ")}${left > 0 ? ` and ${formatCount(left)} more` : ""}`;
}

/** The rows as cells, with a head: role, tensors, numbers, names, why. At most `most` rows; the rest in one. */
export function roleCells(rows: readonly RoleRow[], most = 12): string[][] {
  const cells = (row: RoleRow): string[] => [
    row.role,
    formatCount(row.names.length),
    formatCount(row.elements),
    row.reason,
    collapseNames(row.names),
  ];
  const shown = rows.length > most ? rows.slice(0, most - 1) : rows;
  const rest = rows.slice(shown.length);
  const sum = (of: (row: RoleRow) => number): string => formatCount(rest.reduce((n, r) => n + of(r), 0));
  return [
    ["role", "tensors", "numbers", "why", "names"],
    ...shown.map(cells),
    ...(rest.length > 0
      ? [
          [
            "…",
            sum((r) => r.names.length),
            sum((r) => r.elements),
            "(--json shows all)",
            `${rest.length} more rows`,
          ],
        ]
      : []),
  ];
}
