// One run's data -> one HTML page that needs nothing else: no scripts, no fonts, no requests. This file only says what
// stands where; each part draws itself and leaves itself out when its data is missing. Loads the chart library: import it
// when a report is due, not at start-up.
import { formatBytes, formatCount, isFiniteNumber } from "../base/format.ts";
import { assignColors } from "./chart.ts";
import { confusionPart } from "./confusion.ts";
import { evaluationCharts, lossCharts, runSummary } from "./curves.ts";
import type { Machine, ReportData } from "./data.ts";
import { headline } from "./headline.ts";
import { escapeHtml, type Html, html, raw } from "./html.ts";
import { modelTable, sizeCharts, sizeTitle, tiles } from "./models.ts";
import { renderPage, type Section } from "./page.ts";
import { selectivityPart } from "./selectivity.ts";

/**
 * Renders the report.
 *
 * @param data plain JSON; see `ReportData`. Missing parts are left out, numbers that are missing or not finite show as "–".
 * @returns a complete HTML document, well-formed, with everything in it. All text from `data` is escaped.
 * @example
 * const { renderReport } = await import("../report/render-report.ts");
 * writeFileSync("report.html", renderReport(data));
 */
export function renderReport(data: ReportData): string {
  const color = assignColors(data);
  const selectivity = data.selectivity ?? [];
  const sections: Section[] = [
    { id: "models", title: "Models", body: modelTable(data, color) },
    {
      id: "selectivity",
      title: "Neuron selectivity",
      intro:
        "Beside the teacher’s answers, the student learns how each of the teacher’s neurons responds. A neuron is one channel or unit of a tapped layer; its score says how selective it is over many samples.",
      body: selectivity.length > 0 ? html`${selectivity.map(selectivityPart)}` : undefined,
    },
    {
      id: "epochs",
      title: "Progress over epochs",
      intro: "Measured on the evaluation set after each epoch. Figures in the legend are the last ones.",
      body: evaluationCharts(data, color),
    },
    {
      id: "losses",
      title: "Losses, term by term",
      intro:
        "The lines are smoothed over about 4 % of the steps; the faint trace behind them is what single steps gave. The total adds up different terms in different runs, so compare runs term by term.",
      body: lossCharts(data.runs, color),
    },
    { id: "size", title: sizeTitle(data), body: sizeCharts(data, color) },
    { id: "classes", title: "Classes and mistakes", body: confusionPart(data, color) },
    { id: "configuration", title: "Configuration", body: configuration(data) },
    { id: "machine", title: "Machine", body: machine(data.machine) },
    { id: "notes", title: "Notes", body: notes(data) },
  ];
  return renderPage({
    eyebrow: "onnx-distill report",
    created: data.created,
    title: data.title,
    headline: headline(data),
    tiles: tiles(data),
    sections,
  });
}

function facts(rows: readonly (readonly [string, string])[]): Html {
  return html`<table class="facts"><tbody>${rows.map(
    ([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`,
  )}</tbody></table>`;
}

function configuration(data: ReportData): Html | undefined {
  const rows = flatten(data.config ?? {});
  if (rows.length === 0 && data.command === undefined) return undefined;
  return html`${data.command !== undefined && html`<pre><code>${raw(escapeHtml(data.command))}</code></pre>`}${
    rows.length > 0 && facts(rows)
  }`;
}

/** Nested objects as dotted keys; arrays of plain values on one line. */
export function flatten(value: Record<string, unknown>, prefix = ""): [string, string][] {
  return Object.entries(value).flatMap(([key, v]): [string, string][] => {
    if (v === undefined) return [];
    const name = prefix + key;
    if (typeof v === "object" && v !== null && !Array.isArray(v)) {
      const inner = flatten(v as Record<string, unknown>, `${name}.`);
      return inner.length > 0 ? inner : [[name, "{}"]];
    }
    if (Array.isArray(v) && v.every((x) => typeof x !== "object")) return [[name, v.map(String).join(", ")]];
    return [[name, typeof v === "string" ? v : (JSON.stringify(v) ?? String(v))]];
  });
}

function machine(m: Machine | undefined): Html | undefined {
  if (!m) return undefined;
  const rows: [string, string | undefined][] = [
    ["processor", m.cpu],
    ["cores", isFiniteNumber(m.cores) ? formatCount(m.cores) : undefined],
    ["memory", isFiniteNumber(m.memory) ? formatBytes(m.memory) : undefined],
    ["system", m.os],
    ["Node.js", m.node],
    ["ONNX Runtime", m.onnxruntime],
  ];
  const known = rows.filter((row): row is [string, string] => row[1] !== undefined);
  return known.length > 0 ? facts(known) : undefined;
}

function notes(data: ReportData): Html | undefined {
  const lines = [...(data.notes ?? [])];
  if (data.runs.some((run) => run.steps.length > 0 || run.evaluations.length > 0))
    lines.push(`${runSummary(data.runs)}.`);
  return lines.length > 0 ? html`<ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>` : undefined;
}
