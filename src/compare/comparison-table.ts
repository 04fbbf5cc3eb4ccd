// A comparison as a table: its cells, which the terminal and the page show too, and the whole of it in Markdown.
import { type Comparison, type RowSummary, showP } from "./comparison.ts";
import type { Estimate } from "./statistics.ts";

/** How figures of the metric are written. */
export interface Figures {
  /** A value of the metric as it is drawn and printed, without its unit: 87.4 for a share of 0.874. */
  readonly scale: (value: number) => number;
  readonly digits: number;
  readonly unit: string;
}

const interval = ({ mean, halfWidth }: Estimate, p: Figures): string =>
  `${p.scale(mean).toFixed(p.digits)}${halfWidth === undefined ? "" : ` ± ${p.scale(halfWidth).toFixed(p.digits)}`}`;

/** A difference with its sign: `+0.21`, `−0.21`. */
export const signed = (value: number, p: Figures): string =>
  `${value < 0 ? "−" : "+"}${Math.abs(p.scale(value)).toFixed(p.digits)}`;

/** One row of the table, figures with their 95 % intervals. */
export function comparisonCells(row: RowSummary, p: Figures): string[] {
  const { difference } = row;
  return [
    row.row,
    interval(row.validation, p),
    interval(row.test, p),
    difference
      ? `${signed(difference.mean, p)}${difference.halfWidth === undefined ? "" : ` ± ${p.scale(difference.halfWidth).toFixed(p.digits)}`}`
      : "",
    difference ? showP(difference.p) : "",
    difference ? showP(row.p) : "",
    row.words,
  ];
}

export const comparisonHeads = [
  "",
  "validation",
  "test",
  "against the first",
  "p",
  "p, corrected",
  "",
] as const;

/** A bar would end the cell. */
const plain = (cell: string): string => cell.replaceAll("|", "\\|");

/** The table in Markdown, with the sentence under it. Means with 95 % intervals. */
export function comparisonMarkdown(comparison: Comparison, p: Figures): string {
  const unit = p.unit === "" ? "" : ` (${p.unit})`;
  const lines = [
    `| ${comparisonHeads.map((h) => (h === "validation" || h === "test" ? h + unit : h)).join(" | ")} |`,
    `|${comparisonHeads.map((_, i) => (i === 0 || i === 6 ? "---" : "---:")).join("|")}|`,
    ...comparison.rows.map((row) => `| ${comparisonCells(row, p).map(plain).join(" | ")} |`),
  ];
  return `${lines.join("\n")}\n\n${comparison.conclusion}\n`;
}
