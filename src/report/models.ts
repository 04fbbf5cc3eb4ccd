// The models: figures at a glance, the summary table, and accuracy against size.
import * as Plot from "@observablehq/plot";
import {
  formatBytes,
  formatCompact,
  formatCount,
  formatFixed,
  formatNumber,
  isFiniteNumber,
  MISSING,
} from "../base/format.ts";
import { chart, type Drawing, figure, grid, legend } from "./chart.ts";
import type { Figure, ModelRow, ReportData } from "./data.ts";
import { marginOfError, protagonists } from "./headline.ts";
import { type Html, html } from "./html.ts";
import { capital, type Measure, mainMeasure, measuresOf } from "./measures.ts";
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
  const main = mainMeasure(data, student);
  const all: [string, string, string][] = [];
  const tile = (name: string, value: string, remark: string) => {
    if (value !== MISSING) all.push([name, value, remark]);
  };
  if (main) {
    const versus = [
      ["teacher", teacher],
      ["labels alone", baseline],
    ] as const;
    const others = versus.flatMap(([name, m]) => {
      const value = m?.metrics[main.key];
      return isFiniteNumber(value) ? [`${name} ${main.show(value)}`] : [];
    });
    tile(main.title, main.show(student.metrics[main.key]), others.join(", "));
  }
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
  const likeness = measuresOf(data).find(
    (m) => m.against === "teacher" && m.key !== main?.key && isFiniteNumber(student.metrics[m.key]),
  );
  if (likeness) tile(likeness.title, likeness.show(student.metrics[likeness.key]), "");
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

const sizes: Column[] = [
  { title: "parameters", show: (m) => formatCount(m.parameters) },
  { title: "file", show: (m) => formatBytes(m.bytes) },
  { title: "time per sample", show: (m) => formatMs(m.msPerSample) },
  { title: "at batch", show: (m) => formatCount(isFiniteNumber(m.msPerSample) ? m.batch : undefined) },
];

export function modelTable(data: ReportData, color: (label: string) => string): Html | undefined {
  if (data.models.length === 0) return undefined;
  const measured = measuresOf(data).map(
    (c): Column => ({
      title: c.title,
      show: (m) => (c.against === "teacher" && m.role === "teacher" ? MISSING : c.show(m.metrics[c.key], 2)),
    }),
  );
  const columns = [...measured, ...sizes].filter((c) => data.models.some((m) => c.show(m) !== MISSING));
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
  const { student } = protagonists(data.models);
  const main = mainMeasure(data, student);
  const margin = main?.perSample ? marginOfError(student?.metrics[main.key], samples) : undefined;
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

/** The main metric against parameters, bytes and time: three small charts with logarithmic size. */
export function sizeCharts(data: ReportData, color: (label: string) => string): Html | undefined {
  const main = mainMeasure(data, protagonists(data.models).student);
  if (!main) return undefined;
  const models = data.models.filter((m) => isFiniteNumber(m.metrics[main.key]));
  if (models.length < 2) return undefined;
  const factor = main.kind === "share" ? 100 : 1;
  const what = qualityOf(main);
  const axes: { title: string; of: (m: ModelRow) => Figure | undefined; show: (v: number) => string }[] = [
    { title: "parameters", of: (m) => m.parameters, show: formatCompact },
    { title: "file size", of: (m) => m.bytes, show: formatBytes },
    { title: "time per sample", of: (m) => m.msPerSample, show: formatMs },
  ];
  const charts = axes.flatMap(({ title, of, show }): Drawing[] => {
    const rows = models.flatMap((m) => {
      const size = of(m);
      return isFiniteNumber(size) && size > 0
        ? [{ label: m.label, size, quality: m.metrics[main.key]! * factor }]
        : [];
    });
    return rows.length < 2
      ? []
      : [
          (width) =>
            figure({ title: `${what} and ${title}`, body: sizeChart(width, main, title, rows, show, color) }),
        ];
  });
  if (charts.length === 0) return undefined;
  return html`<div class="lead">${legend(
    models.map((m) => ({ label: m.label, color: color(m.label), mark: "dot" })),
  )}<p>Further left is smaller, ${main.better} is better. Sizes are on logarithmic scales.</p></div>${grid(charts)}`;
}

const qualityOf = (main: Measure | undefined): string =>
  !main || main.perSample ? "Accuracy" : capital(main.title);

export function sizeTitle(data: ReportData): string {
  return `${qualityOf(mainMeasure(data, protagonists(data.models).student))} against size`;
}

function sizeChart(
  width: number,
  main: Measure,
  title: string,
  rows: { label: string; size: number; quality: number }[],
  show: (v: number) => string,
  color: (label: string) => string,
): Html {
  const share = main.kind === "share";
  const values = rows.map((r) => r.quality);
  const sizes = rows.map((r) => r.size);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = Math.max(share ? 0.5 : Math.abs(high) * 0.01 || 1, (high - low) * 0.2);
  const domain: [number, number] = [Math.min(...sizes) / 2, Math.max(...sizes) * 2];
  return chart({
    alt: `Scatter plot: ${main.title} against ${title}, one dot per model`,
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
      domain: share ? [Math.max(0, low - pad), Math.min(100 + pad / 2, high + pad)] : [low - pad, high + pad],
      grid: true,
      ticks: 5,
      label: `↑ ${main.title}${share ? " (%)" : ""}`,
    },
    marks: [
      Plot.dot(rows, {
        x: "size",
        y: "quality",
        r: 6,
        fill: (r: { label: string }) => color(r.label),
        title: (r: { label: string; size: number; quality: number }) =>
          `${r.label}: ${main.show(r.quality / (share ? 100 : 1), 2)} with ${show(r.size)}`,
      }),
    ],
    color: { type: "identity" },
  });
}
