// The models: figures at a glance, the summary table, and accuracy against size.
import * as Plot from "@observablehq/plot";
import {
  formatBytes,
  formatCompact,
  formatCount,
  formatFixed,
  formatNumber,
  formatPercent,
  isFiniteNumber,
  MISSING,
} from "../base/format.ts";
import { chart, type Drawing, figure, grid, legend } from "./chart.ts";
import type { Figure, ModelRow, ReportData } from "./data.ts";
import { marginOfError, protagonists } from "./headline.ts";
import { type Html, html } from "./html.ts";
import { logTicks } from "./numbers.ts";

/** Milliseconds with three significant digits; models here take microseconds to seconds per sample. */
function formatMs(ms: Figure | undefined): string {
  if (!isFiniteNumber(ms)) return MISSING;
  return ms < 1 ? `${formatNumber(ms * 1000)} µs` : `${formatNumber(ms)} ms`;
}

/** The few figures that one wants first. */
export function tiles(data: ReportData): Html | undefined {
  const { teacher, student, baseline } = protagonists(data.models);
  if (!student) return undefined;
  const top1 = student.metrics.top1;
  const all: [string, string, string][] = [];
  const tile = (name: string, value: string, remark: string) => {
    if (value !== MISSING) all.push([name, value, remark]);
  };
  const versus = [
    isFiniteNumber(teacher?.metrics.top1) ? `teacher ${formatPercent(teacher.metrics.top1)}` : "",
    isFiniteNumber(baseline?.metrics.top1) ? `labels alone ${formatPercent(baseline.metrics.top1)}` : "",
  ];
  tile("top-1 accuracy", formatPercent(top1), versus.filter(Boolean).join(", "));
  tile(
    "parameters",
    formatCount(student.parameters),
    teacher ? `teacher ${formatCount(teacher.parameters)}` : "",
  );
  tile("file size", formatBytes(student.bytes), teacher ? `teacher ${formatBytes(teacher.bytes)}` : "");
  tile(
    "time per sample",
    formatMs(student.msPerSample),
    teacher ? `teacher ${formatMs(teacher.msPerSample)}` : "",
  );
  tile("agreement with the teacher", formatPercent(student.metrics.agreement), "");
  if (all.length === 0) return undefined;
  return html`<dl class="tiles">${all.map(
    ([name, value, remark]) =>
      html`<div><dt>${name}</dt><dd>${value}</dd><dd class="remark">${remark}</dd></div>`,
  )}</dl>`;
}

interface Column {
  title: string;
  show(model: ModelRow): string;
}

const COLUMNS: Column[] = [
  { title: "top-1", show: (m) => formatPercent(m.metrics.top1, 2) },
  { title: "top-5", show: (m) => formatPercent(m.metrics.top5, 2) },
  { title: "loss (nats)", show: (m) => formatFixed(m.metrics.loss, 3) },
  {
    title: "agrees with teacher",
    show: (m) => (m.role === "teacher" ? MISSING : formatPercent(m.metrics.agreement, 2)),
  },
  { title: "parameters", show: (m) => formatCount(m.parameters) },
  { title: "file", show: (m) => formatBytes(m.bytes) },
  { title: "time per sample", show: (m) => formatMs(m.msPerSample) },
  { title: "at batch", show: (m) => formatCount(isFiniteNumber(m.msPerSample) ? m.batch : undefined) },
];

export function modelTable(data: ReportData, color: (label: string) => string): Html | undefined {
  if (data.models.length === 0) return undefined;
  const columns = COLUMNS.filter((c) => data.models.some((m) => c.show(m) !== MISSING));
  return html`<div class="card wide"><div class="scroll"><table class="figures">
<thead><tr><th scope="col">model</th>${columns.map((c) => html`<th scope="col">${c.title}</th>`)}</tr></thead>
<tbody>${data.models.map(
    (m) =>
      html`<tr><th scope="row"><i class="key" style="background:${color(m.label)}"></i>${m.label}</th>${columns.map(
        (c) => html`<td>${c.show(m)}</td>`,
      )}</tr>`,
  )}</tbody></table></div><p class="caption">${tableCaption(data)}</p></div>`;
}

function tableCaption(data: ReportData): string {
  const { name, samples } = data.evaluation ?? {};
  const on =
    name === undefined && samples === undefined
      ? ""
      : `Measured on ${[name, samples !== undefined && `${formatCount(samples)} samples`].filter(Boolean).join(", ")}. `;
  const margin = marginOfError(protagonists(data.models).student?.metrics.top1, samples);
  const chance =
    margin === undefined
      ? ""
      : `A sample this size leaves an accuracy uncertain by ± ${formatFixed(margin * 100, 1)} points (95 %); ` +
        "two models measured on the same samples can be told apart at somewhat less. ";
  const timed = data.models.some((m) => isFiniteNumber(m.msPerSample))
    ? "Times are measured on the machine named below, a batch at a time, and divided by the batch."
    : "";
  return `${on}${chance}${timed}`.trim();
}

/** Accuracy against parameters, bytes and time: three small charts with logarithmic size. */
export function sizeCharts(data: ReportData, color: (label: string) => string): Html | undefined {
  const models = data.models.filter((m) => isFiniteNumber(m.metrics.top1));
  if (models.length < 2) return undefined;
  const axes: { title: string; of: (m: ModelRow) => Figure | undefined; show: (v: number) => string }[] = [
    { title: "parameters", of: (m) => m.parameters, show: formatCompact },
    { title: "file size", of: (m) => m.bytes, show: formatBytes },
    { title: "time per sample", of: (m) => m.msPerSample, show: formatMs },
  ];
  const charts = axes.flatMap(({ title, of, show }): Drawing[] => {
    const rows = models.flatMap((m) => {
      const size = of(m);
      return isFiniteNumber(size) && size > 0
        ? [{ label: m.label, size, accuracy: m.metrics.top1! * 100 }]
        : [];
    });
    return rows.length < 2
      ? []
      : [
          (width) =>
            figure({ title: `Accuracy and ${title}`, body: sizeChart(width, title, rows, show, color) }),
        ];
  });
  if (charts.length === 0) return undefined;
  return html`<div class="lead">${legend(
    models.map((m) => ({ label: m.label, color: color(m.label), mark: "dot" })),
  )}<p>Further left is smaller, higher is better. Sizes are on logarithmic scales.</p></div>${grid(charts)}`;
}

function sizeChart(
  width: number,
  title: string,
  rows: { label: string; size: number; accuracy: number }[],
  show: (v: number) => string,
  color: (label: string) => string,
): Html {
  const values = rows.map((r) => r.accuracy);
  const sizes = rows.map((r) => r.size);
  const pad = Math.max(0.5, (Math.max(...values) - Math.min(...values)) * 0.2);
  const domain: [number, number] = [Math.min(...sizes) / 2, Math.max(...sizes) * 2];
  return chart({
    alt: `Scatter plot: top-1 accuracy against ${title}, one dot per model`,
    width,
    height: 230,
    marginLeft: 46,
    marginBottom: 40,
    marginRight: 22,
    x: {
      type: "log",
      domain,
      ticks: logTicks(...domain),
      tickFormat: (v: number) => show(v),
      label: `${title}, logarithmic →`,
    },
    y: {
      domain: [Math.max(0, Math.min(...values) - pad), Math.min(100 + pad / 2, Math.max(...values) + pad)],
      grid: true,
      ticks: 5,
      label: "↑ top-1 accuracy (%)",
    },
    marks: [
      Plot.dot(rows, {
        x: "size",
        y: "accuracy",
        r: 6,
        fill: (r: { label: string }) => color(r.label),
        title: (r: { label: string; size: number; accuracy: number }) =>
          `${r.label}: ${formatFixed(r.accuracy, 2)} % with ${show(r.size)}`,
      }),
    ],
    color: { type: "identity" },
  });
}
