// Which classes are taken for which: a heat map for few classes, a list of the commonest mistakes for any number.
import * as Plot from "@observablehq/plot";
import { formatCompact, formatCount, formatPercent, isFiniteNumber } from "../base/format.ts";
import { chart, type Drawing, figure, grid, legend } from "./chart.ts";
import type { Confusion, Figure, PerClass, ReportData } from "./data.ts";
import { type Html, html } from "./html.ts";
import { rowsOf } from "./measures.ts";

/** More rows than this are not drawn as a heat map, and not class by class. */
const MOST_CELLS = 32;
const MOST_CLASSES_LISTED = 40;
const MISTAKES_LISTED = 12;

export interface Mistake {
  actual: string;
  taken: string;
  count: number;
  /** Of all samples of the actual class. */
  share: number;
}

const count = (c: Confusion, i: number, j: number): number => {
  const n = c.counts[i]?.[j];
  return isFiniteNumber(n) && n > 0 ? n : 0;
};

const nameOf = (names: readonly string[], i: number): string => names[i] ?? `class ${i}`;

function rowSum(c: Confusion, i: number): number {
  let sum = 0;
  for (let j = 0; j < (c.counts[i]?.length ?? 0); j++) sum += count(c, i, j);
  return sum;
}

/** Off-diagonal cells, most frequent first. */
export function commonestMistakes(c: Confusion, most: number): Mistake[] {
  const mistakes: Mistake[] = [];
  for (let i = 0; i < c.counts.length; i++) {
    const all = rowSum(c, i);
    for (let j = 0; j < c.counts[i]!.length; j++) {
      const n = count(c, i, j);
      if (i !== j && n > 0)
        mistakes.push({
          actual: nameOf(c.classNames, i),
          taken: nameOf(c.classNames, j),
          count: n,
          share: n / all,
        });
    }
  }
  return mistakes.sort((a, b) => b.count - a.count || b.share - a.share).slice(0, most);
}

/** Share of each class's samples that are recognised; NaN for a class without samples. */
export function recalls(c: Confusion): number[] {
  return c.counts.map((_, i) => count(c, i, i) / rowSum(c, i));
}

export function confusionPart(data: ReportData, color: (label: string) => string): Html | undefined {
  const c = data.confusion;
  const drawings: Drawing[] = [];
  const counted = c && c.counts.length > 0;
  const rows = rowsOf(data);
  if (counted) drawings.push(() => mistakeList(c, rows));
  const perClass =
    data.perClass ?? (c && { classNames: c.classNames, models: [{ label: c.label, recall: recalls(c) }] });
  const chartOfRecall = perClass && recallChart(perClass, color);
  if (chartOfRecall) drawings.push(chartOfRecall);
  if (drawings.length === 0) return undefined;
  return html`${counted && c.counts.length <= MOST_CELLS && heatMap(c, rows)}${grid(drawings)}`;
}

function heatMap(c: Confusion, rows: string): Html {
  const classes = c.counts.length;
  const names = Array.from({ length: classes }, (_, i) => short(nameOf(c.classNames, i)));
  const recall = recalls(c);
  const cells = c.counts.flatMap((row, i) => {
    const all = rowSum(c, i);
    return row.slice(0, classes).map((_, j) => {
      const n = count(c, i, j);
      return { i, j, n, right: i === j, share: all > 0 ? n / all : 0 };
    });
  });
  const longest = Math.max(...names.map((n) => n.length));
  const margin = 24 + longest * 6.2;
  const cell = classes <= 12 ? 50 : classes <= 20 ? 36 : 26;
  const fontSize = classes <= 12 ? 12 : classes <= 20 ? 10 : 8;
  const tilted = longest * 6.5 > cell;
  const describe = (d: (typeof cells)[number]) =>
    `${nameOf(c.classNames, d.i)} ${d.right ? "recognised" : `taken for ${nameOf(c.classNames, d.j)}`}: ${formatCount(d.n)} (${formatPercent(d.share)})`;
  const strong = (d: (typeof cells)[number]) => d.share > (d.right ? 0.72 : 0.35);
  const body = chart({
    alt: "Heat map: rows are true classes, columns what the model took them for, figures are counts",
    width: margin + cell * classes + 74,
    height: cell * classes + (tilted ? 30 + longest * 4.6 : 50) + 20,
    marginLeft: margin,
    marginRight: 74,
    marginTop: tilted ? 30 + longest * 4.6 : 50,
    marginBottom: 20,
    // A class may be named like another once shortened: the index is the key, the name only the label.
    x: {
      type: "band",
      axis: "top",
      domain: names.map((_, i) => i),
      tickFormat: (i: number) => names[i]!,
      tickRotate: tilted ? -45 : 0,
      tickSize: 0,
      label: null,
      padding: 0.05,
    },
    y: {
      type: "band",
      domain: names.map((_, i) => i),
      tickFormat: (i: number) => names[i]!,
      tickSize: 0,
      label: null,
      padding: 0.05,
    },
    opacity: { type: "identity" },
    marks: [
      Plot.cell(cells, { x: "j", y: "i", fill: "var(--cell)" }),
      Plot.cell(
        cells.filter((d) => d.n > 0),
        {
          x: "j",
          y: "i",
          fill: (d: (typeof cells)[number]) => (d.right ? "var(--right)" : "var(--wrong)"),
          // The root lets rare mistakes be seen beside hundreds of right answers.
          fillOpacity: (d: (typeof cells)[number]) =>
            d.right ? 0.15 + 0.85 * d.share ** 2 : Math.min(1, Math.sqrt(d.share * 2)),
        },
      ),
      Plot.text(
        cells.filter((d) => d.n > 0),
        {
          x: "j",
          y: "i",
          text: (d: (typeof cells)[number]) => (d.n >= 10_000 ? formatCompact(d.n) : formatCount(d.n)),
          fill: (d: (typeof cells)[number]) => (strong(d) ? "var(--on-cell)" : "var(--ink)"),
          fontSize,
        },
      ),
      Plot.text(
        recall.map((r, i) => ({ r, i })),
        {
          y: "i",
          frameAnchor: "right",
          dx: 62,
          textAnchor: "end",
          text: (d: { r: number }) => formatPercent(d.r),
          fontSize: Math.max(10, fontSize),
        },
      ),
      Plot.text(["recall"], {
        frameAnchor: "top-right",
        dx: 62,
        dy: -16,
        textAnchor: "end",
        fill: "var(--soft)",
      }),
      Plot.cell(cells, { x: "j", y: "i", fillOpacity: 0, title: describe }),
    ],
    color: { type: "identity" },
  });
  return figure({
    title: `Confusion matrix: ${c.label}`,
    legend: legend([
      { label: "recognised", color: "var(--right)", mark: "square" },
      { label: "mistaken", color: "var(--wrong)", mark: "square" },
    ]),
    body,
    wide: true,
    caption: `Each row is a true class, each column what the model took it for; figures count ${rows}. Stronger colour is a larger share of the row. On the right, recall: the share of the row that was recognised.`,
  });
}

function mistakeList(c: Confusion, rows: string): Html {
  const mistakes = commonestMistakes(c, MISTAKES_LISTED);
  const body =
    mistakes.length === 0
      ? html`<p>Not a single mistake was recorded.</p>`
      : html`<ol class="mistakes">${mistakes.map(
          (m) =>
            html`<li><b>${m.actual}</b> taken for <b>${m.taken}</b>: ${formatCount(m.count)} time${m.count === 1 ? "" : "s"}, ${formatPercent(m.share)} of its ${rows}</li>`,
        )}</ol>`;
  return figure({ title: "Commonest mistakes", body, caption: `Of ${c.label}.` });
}

function recallChart(given: PerClass, color: (label: string) => string): Drawing | undefined {
  const models = given.models.filter((m) => m.recall.some(isFiniteNumber));
  if (models.length === 0) return undefined;
  const main = models.at(-1)!.recall;
  const order = Array.from({ length: Math.max(...models.map((m) => m.recall.length)) }, (_, i) => i).sort(
    (a, b) => known(main[a]) - known(main[b]),
  );
  const listed = order.slice(0, MOST_CLASSES_LISTED);
  const names = new Map(listed.map((i) => [i, short(nameOf(given.classNames, i))]));
  const rows = models.flatMap((m) =>
    listed.flatMap((i) => {
      const recall = m.recall[i];
      return isFiniteNumber(recall) ? [{ label: m.label, i, recall: recall * 100 }] : [];
    }),
  );
  if (rows.length === 0) return undefined;
  const lowest = Math.max(0, Math.min(90, Math.floor(Math.min(...rows.map((r) => r.recall)) / 10) * 10));
  const longest = Math.max(...[...names.values()].map((n) => n.length));
  const draw = (width: number) =>
    chart({
      alt: "Dot plot: recall of each class, one dot per model",
      width,
      height: 60 + listed.length * 22,
      marginLeft: 16 + longest * 6.4,
      marginTop: 20,
      marginBottom: 40,
      marginRight: 16,
      x: { label: "recall (%) →", domain: [lowest, 100], grid: true, ticks: 4 },
      y: { type: "band", domain: listed, tickFormat: (i: number) => names.get(i)!, tickSize: 0, label: null },
      marks: [
        Plot.ruleY(
          rows,
          Plot.groupY(
            { x1: "min", x2: "max" },
            { y: "i", x1: "recall", x2: "recall", stroke: "var(--line)", strokeWidth: 2 },
          ),
        ),
        Plot.dot(rows, {
          x: "recall",
          y: "i",
          r: 4.5,
          fill: (d: { label: string }) => color(d.label),
          title: (d: (typeof rows)[number]) =>
            `${nameOf(given.classNames, d.i)}, ${d.label}: ${formatPercent(d.recall / 100)}`,
        }),
      ],
      color: { type: "identity" },
    });
  return (width) =>
    figure({
      title: "Recall of each class",
      legend: legend(models.map((m) => ({ label: m.label, color: color(m.label), mark: "dot" }))),
      body: draw(width),
      caption: `The share of a class’s samples that are recognised, hardest class first${listed.length < order.length ? `; the ${formatCount(listed.length)} hardest of ${formatCount(order.length)} classes` : ""}.`,
    });
}

/** A class without samples stands last. */
function known(recall: Figure | undefined): number {
  return isFiniteNumber(recall) ? recall : 2;
}

/** A name that fits beside a chart. */
function short(name: string): string {
  const letters = [...name];
  return letters.length <= 18 ? name : `${letters.slice(0, 17).join("")}…`;
}
