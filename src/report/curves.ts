// Training over time: accuracy per epoch, losses term by term, learning rate.
import * as Plot from "@observablehq/plot";
import { formatCompact, formatCount, formatDuration, formatNumber, isFiniteNumber } from "../base/format.ts";
import { chart, type Drawing, figure, grid, type LegendItem, legend, TEACHER } from "./chart.ts";
import type { Figure, ReportData, RunSeries, StepRecord } from "./data.ts";
import type { Html } from "./html.ts";
import { capital, measuresOf } from "./measures.ts";
import { type Bin, binSeries, chooseScale, thin } from "./numbers.ts";
import { termTitle } from "./term-titles.ts";

type Colors = (label: string) => string;

/** Columns of a loss chart; more cannot be told apart on a screen. */
const BINS = 240;
const HOVER_POINTS = 40;

/** The keys that occur, in order of `order`, then of first appearance. */
function keysOf(records: readonly Record<string, Figure>[], order: readonly string[]): string[] {
  const seen = new Set<string>();
  for (const record of records) for (const key in record) seen.add(key);
  const rank = (key: string) => (order.includes(key) ? order.indexOf(key) : order.length);
  return [...seen].sort((a, b) => rank(a) - rank(b));
}

/** Loss curves, one chart per term with all runs in it, and the learning rate. */
export function lossCharts(runs: readonly RunSeries[], color: Colors): Html | undefined {
  const terms = keysOf(
    runs.flatMap((run) => run.steps.map((s) => s.losses)),
    ["loss", "loss/hard", "loss/soft"],
  );
  return grid([
    ...terms.map((key) => stepChart(runs, color, termTitle(key), "loss", (s) => s.losses[key])),
    stepChart(runs, color, "Learning rate", "learning rate", (s) => s.learningRate),
  ]);
}

function stepChart(
  runs: readonly RunSeries[],
  color: Colors,
  title: string,
  unit: string,
  value: (s: StepRecord) => Figure | undefined,
): Drawing | undefined {
  const exact = unit === "learning rate";
  let notFinite = 0;
  const all = runs.flatMap((run) => {
    const points = run.steps.map((s) => ({ x: s.step, y: value(s) })).filter((p) => p.y !== undefined);
    const bins = binSeries(points, BINS);
    notFinite += points.filter((p) => !isFiniteNumber(p.y)).length;
    return bins.length === 0
      ? []
      : [{ label: run.label, color: color(run.label), bins, raw: points.length <= BINS }];
  });
  if (all.length === 0) return undefined;
  // Equal schedules would hide each other.
  const alike = exact && all.length > 1 && all.every((s) => sameLine(s.bins, all[0]!.bins));
  const series = alike ? [{ ...all[0]!, label: "every run", color: TEACHER }] : all;
  const y = (b: Bin) => (exact ? b.mean : b.smooth);
  const scale = exact
    ? { type: "linear" as const, ticks: 5, remark: "" }
    : chooseScale(
        series.flatMap((s) => s.bins.flatMap((b) => [b.low, b.high])),
        false,
      );
  const figureOf = (bins: readonly Bin[]) =>
    exact
      ? `at most ${formatNumber(bins.reduce((most, b) => Math.max(most, b.high), 0))}`
      : formatNumber(y(bins.at(-1)!));
  const draw = (width: number) =>
    chart({
      alt: `Line chart: ${unit} over training steps, one line per run`,
      width,
      height: 220,
      marginLeft: 58,
      marginBottom: 38,
      x: { label: "step →", ticks: 5, tickFormat: formatCompact, nice: false },
      y: {
        type: scale.type,
        ...("constant" in scale && { constant: scale.constant }),
        label: `↑ ${unit}${scale.remark}`,
        grid: true,
        ticks: scale.ticks,
        tickFormat: (v: number) => formatNumber(v),
        ...(exact && { zero: true }),
      },
      marks: series.flatMap((s) => [
        ...(exact
          ? []
          : s.raw
            ? [Plot.lineY(s.bins, { x: "x", y: "mean", stroke: s.color, strokeOpacity: 0.3, strokeWidth: 1 })]
            : [Plot.areaY(s.bins, { x: "x", y1: "low", y2: "high", fill: s.color, fillOpacity: 0.16 })]),
        Plot.lineY(s.bins, { x: "x", y, stroke: s.color, strokeWidth: 1.8, strokeLinejoin: "round" }),
        ...(s.bins.length === 1 ? [Plot.dot(s.bins, { x: "x", y, fill: s.color, r: 4 })] : []),
        Plot.dot(thin(s.bins, HOVER_POINTS), {
          x: "x",
          y,
          r: 7,
          fill: s.color,
          fillOpacity: 0,
          title: (b: Bin) => `${s.label}, step ${formatCount(b.x)}: ${formatNumber(y(b))}`,
        }),
      ]),
    });
  return (width) =>
    figure({
      title,
      legend: legend(series.map((s) => ({ label: s.label, color: s.color, value: figureOf(s.bins) }))),
      body: draw(width),
      ...(notFinite > 0 && {
        caption: `${notFinite === 1 ? "1 value was not finite and is left out." : `${formatCount(notFinite)} values were not finite and are left out.`}`,
      }),
    });
}

function sameLine(a: readonly Bin[], b: readonly Bin[]): boolean {
  return a.length === b.length && a.every((bin, i) => bin.x === b[i]!.x && bin.mean === b[i]!.mean);
}

/** Metrics per epoch, the teacher as a level line. */
export function evaluationCharts(data: ReportData, color: Colors): Html | undefined {
  const keys = keysOf(
    data.runs.flatMap((run) => run.evaluations.map((e) => e.metrics)),
    measuresOf(data).map((m) => m.key),
  );
  return grid(keys.map((key) => evaluationChart(data, color, key)));
}

function evaluationChart(data: ReportData, color: Colors, key: string): Drawing | undefined {
  const known = measuresOf(data).find((m) => m.key === key);
  const share = known?.kind === "share";
  const title = known ? capital(known.title) : key;
  const factor = share ? 100 : 1;
  const show = (v: number) => known?.show(v) ?? formatNumber(v);
  const series = data.runs.flatMap((run) => {
    const points = run.evaluations.flatMap((e) => {
      const v = e.metrics[key];
      return isFiniteNumber(v) ? [{ x: e.epoch, y: v * factor, v }] : [];
    });
    return points.length === 0
      ? []
      : [{ label: run.label, color: color(run.label), points: thin(points, BINS) }];
  });
  if (series.length === 0) return undefined;
  const teacher = data.models.find((m) => m.role === "teacher");
  const level = known?.against === "labels" ? teacher?.metrics[known.key] : undefined;
  const items: LegendItem[] = series.map((s) => ({
    label: s.label,
    color: s.color,
    value: show(s.points.at(-1)!.v),
  }));
  if (isFiniteNumber(level))
    items.push({ label: teacher!.label, color: TEACHER, mark: "dashed", value: show(level) });
  const epochs = series.flatMap((s) => s.points.map((p) => p.x));
  const longest = Math.max(...epochs);
  const few = Math.max(...series.map((s) => s.points.length)) <= 40;
  const draw = (width: number) =>
    chart({
      alt: `Line chart: ${known?.title ?? "a metric"} over epochs, one line per run${isFiniteNumber(level) ? ", the teacher as a level line" : ""}`,
      width,
      height: 220,
      marginLeft: 58,
      marginBottom: 38,
      x: {
        label: "epoch →",
        domain: [Math.min(...epochs), longest].map((v, i, [a, b]) => (a === b ? v + (i ? 0.5 : -0.5) : v)),
        ticks: wholeTicks(Math.min(...epochs), longest),
        tickFormat: formatCompact,
      },
      y: { label: `↑ ${known?.title ?? key}${share ? " (%)" : ""}`, grid: true, nice: true, ticks: 5 },
      marks: [
        ...(isFiniteNumber(level)
          ? [
              Plot.ruleY([level * factor], {
                stroke: TEACHER,
                strokeDasharray: "5 3",
                strokeWidth: 1.5,
                title: () => `${teacher!.label}: ${show(level)}`,
              }),
            ]
          : []),
        ...series.flatMap((s) => [
          Plot.lineY(s.points, { x: "x", y: "y", stroke: s.color, strokeWidth: 2 }),
          Plot.dot(s.points, {
            x: "x",
            y: "y",
            r: few ? 3.5 : 6,
            fill: s.color,
            fillOpacity: few ? 1 : 0,
            title: (p: { x: number; v: number }) => `${s.label}, epoch ${formatNumber(p.x)}: ${show(p.v)}`,
          }),
        ]),
      ],
    });
  return (width) => figure({ title, legend: legend(items), body: draw(width) });
}

/** About seven round whole numbers. */
function wholeTicks(from: number, to: number): number[] {
  const least = (to - from) / 7;
  let step = 1;
  for (let i = 0; step < least; i++) step *= [2, 2.5, 2][i % 3]!;
  const ticks: number[] = [];
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) ticks.push(t);
  return ticks;
}

/** "student, distilled: 1,410 steps in 2 min 03 s." */
export function runSummary(runs: readonly RunSeries[]): string {
  return runs
    .map((run) => {
      const steps = run.steps.at(-1)?.step ?? run.evaluations.at(-1)?.step ?? 0;
      const time = isFiniteNumber(run.seconds) ? ` in ${formatDuration(run.seconds)}` : "";
      return `${run.label}: ${formatCount(steps)} step${steps === 1 ? "" : "s"}${time}`;
    })
    .join("; ");
}
