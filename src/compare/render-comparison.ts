// A comparison -> one self-contained HTML page. Loads the chart library.
import * as Plot from "@observablehq/plot";
import { chart, figure } from "../report/chart.ts";
import { escapeHtml, html } from "../report/html.ts";
import { STYLE } from "../report/style.ts";
import type { Comparison, RowResult } from "./comparison.ts";
import { comparisonCells, type Figures, comparisonHeads as heads } from "./comparison-table.ts";

export interface ComparisonPage extends Figures {
  readonly title: string;
  /** What was typed. */
  readonly command: string;
  /** What the figures are: "top-1 accuracy on the test split". */
  readonly metric: string;
  readonly comparison: Comparison;
  readonly results: readonly RowResult[];
  readonly notes: readonly string[];
}

/** The whole page. Text from outside is escaped. */
export function renderComparison(p: ComparisonPage): string {
  const { comparison, results } = p;
  const names = comparison.rows.map((r) => r.row);
  const means = comparison.rows.map((r) => ({
    row: r.row,
    mean: p.scale(r.test.mean),
    low: p.scale(r.test.mean - (r.test.halfWidth ?? 0)),
    high: p.scale(r.test.mean + (r.test.halfWidth ?? 0)),
  }));
  const drawing = chart({
    alt: `${p.metric} of ${names.length} rows, a dot for each seed and a bar for the 95 % interval of the mean`,
    width: 860,
    height: 76 + 44 * names.length,
    marginBottom: 46,
    marginLeft: Math.min(320, 30 + 7.2 * Math.max(...names.map((n) => n.length))),
    x: { label: `${p.metric}${p.unit === "" ? "" : `, ${p.unit}`} →`, grid: true, nice: true },
    y: { domain: names, label: null },
    marks: [
      Plot.ruleX([means[0]!.mean], { stroke: "var(--before)", strokeDasharray: "4 3" }),
      Plot.dot(results, {
        x: (r: RowResult) => p.scale(r.test),
        y: "row",
        r: 3,
        fill: "var(--c1)",
        fillOpacity: 0.35,
        title: (r: RowResult) => `seed ${r.seed}: ${p.scale(r.test).toFixed(p.digits)}`,
      }),
      Plot.link(means, { x1: "low", x2: "high", y: "row", stroke: "var(--teacher)", strokeWidth: 2.5 }),
      Plot.dot(means, { x: "mean", y: "row", r: 5, fill: "var(--c2)", stroke: "var(--card)" }),
    ],
  });
  const table = html`<div class="scroll"><table class="figures words"><thead><tr>${heads.map((h) => html`<th>${h}</th>`)}</tr></thead><tbody>${comparison.rows.map(
    (row) =>
      html`<tr>${comparisonCells(row, p).map((cell, i) => (i === 0 ? html`<th>${cell}</th>` : html`<td>${cell}</td>`))}</tr>`,
  )}</tbody></table></div>`;
  const body = html`<main><section class="part">${figure({
    title: p.metric,
    body: drawing,
    wide: true,
    caption:
      "One faint dot a seed, the orange dot their mean, the bar its 95 % confidence interval; the dashed line is the mean of the first row.",
  })}<div class="card">${table}<p class="caption">Means over seeds with 95 % confidence intervals. Each row is held to the first by Student’s paired t test over equal seeds; the corrected p (Holm) allows for the number of rows. The validation split chose the row, and the epoch of each run unless the last was kept; the test split was evaluated once for each run.</p></div></section>${
    p.notes.length > 0 &&
    html`<section><h2>Notes</h2><ul>${p.notes.map((n) => html`<li>${n}</li>`)}</ul></section>`
  }<section><h2>Command</h2><pre>${p.command}</pre></section></main>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeHtml(p.title)}</title><style>${STYLE}</style></head><body><header><p class="eyebrow">onnx-distill comparison</p><h1>${escapeHtml(p.title)}</h1><p class="headline">${escapeHtml(comparison.conclusion)}</p></header>${body.markup}</body></html>
`;
}
