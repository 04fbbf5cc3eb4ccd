// The three pictures of a tap's selectivity: neuron by neuron, sorted, and student against teacher. Each copes with one neuron
// and with thousands, with constants, and with scores that are missing.
import * as Plot from "@observablehq/plot";
import { formatCount, formatFixed, formatNumber, isFiniteNumber } from "../base/format.ts";
import { chart, DISTILLED, type Drawing, figure, type LegendItem, legend, TEACHER } from "./chart.ts";
import type { Figure, SelectivityScores } from "./data.ts";
import { html } from "./html.ts";
import { sortedFinite, thin, type ValueScale } from "./numbers.ts";

/** Up to here a chart of single neurons fits a third of the page. */
export const FEW_NEURONS = 20;
/** Up to here every neuron gets its own dumbbell; up to MOST_BY_INDEX a thin mark; beyond, distributions only. */
const MOST_DUMBBELLS = 80;
const MOST_BY_INDEX = 300;
const MOST_SCATTER = 400;

/** One state of the student. */
export interface Side {
  key: "before" | "labelsOnly" | "after";
  name: string;
  color: string;
  mark: "ring" | "dot";
  scores: Figure[];
}

/** Options of an axis that carries scores. */
function scoreAxis(scale: ValueScale, label: string): Plot.ScaleOptions {
  return {
    type: scale.type,
    ...(scale.constant !== undefined && { constant: scale.constant }),
    label,
    grid: true,
    nice: true,
    ticks: scale.ticks,
    tickFormat: (v: number) => formatNumber(v),
  } as Plot.ScaleOptions;
}

/** Scores by neuron index: the teacher's as a dash, the student's before and after joined by a line. */
export function byNeuron(
  s: SelectivityScores,
  sides: Side[],
  scale: ValueScale,
  axis: string,
  items: LegendItem[],
): Drawing {
  const neurons = s.teacher.length;
  if (neurons > MOST_BY_INDEX)
    return () =>
      html`<p class="caption">${formatCount(neurons)} neurons are too many to draw one by one; the charts below show them together.</p>`;
  const large = neurons <= MOST_DUMBBELLS;
  const rows = s.teacher.map((teacher, i) => ({
    i,
    teacher,
    before: s.before[i],
    after: s.after[i],
    labelsOnly: s.labelsOnly?.[i],
  }));
  const has = (...keys: ("teacher" | "before" | "after" | "labelsOnly")[]) =>
    rows.filter((r) => keys.every((k) => isFiniteNumber(r[k])));
  const describe = (r: (typeof rows)[number]) =>
    `neuron ${r.i}: teacher ${formatNumber(r.teacher)}${sides
      .map((side) => `, ${side.name} ${formatNumber(r[side.key])}`)
      .join("")}`;
  const draw = (width: number) =>
    chart({
      alt: "Scores by neuron: the teacher's as a dash, the student's before and after training as joined dots",
      width,
      height: 300,
      marginLeft: 58,
      marginBottom: 40,
      x: {
        label: "neuron →",
        domain: [-0.7, neurons - 0.3],
        ticks: Math.min(neurons, Math.max(4, Math.floor(width / 70))),
        tickFormat: (v: number) => (Number.isInteger(v) ? String(v) : ""),
      },
      y: scoreAxis(scale, `↑ ${axis}${scale.remark}`),
      marks: [
        Plot.ruleX(has("before", "after"), {
          x: "i",
          y1: "before",
          y2: "after",
          stroke: DISTILLED,
          strokeOpacity: large ? 0.35 : 0.2,
          strokeWidth: large ? 2 : 1,
        }),
        Plot.link(has("teacher"), {
          x1: (r: { i: number }) => r.i - 0.38,
          x2: (r: { i: number }) => r.i + 0.38,
          y1: "teacher",
          y2: "teacher",
          stroke: TEACHER,
          strokeWidth: large ? 3 : 2,
        }),
        ...sides.map((side) =>
          Plot.dot(has(side.key), {
            x: "i",
            y: side.key,
            r: large ? (side.key === "labelsOnly" ? 3 : 4) : 1.6,
            ...(side.mark === "ring"
              ? { stroke: side.color, strokeWidth: large ? 1.6 : 1 }
              : { fill: side.color }),
          }),
        ),
        Plot.ruleX(rows, {
          x: "i",
          strokeOpacity: 0,
          strokeWidth: (width - 80) / Math.max(1, neurons),
          title: describe,
        }),
      ],
    });
  return (width) =>
    figure({
      title: "Neuron by neuron",
      legend: legend(items),
      body: draw(width),
      wide: neurons > FEW_NEURONS,
      caption:
        "One column for each neuron. The dash is what the teacher’s neuron scores; the line leads from the student’s score before training (ring) to the one after (dot). A dot on its dash: this neuron now scores what the teacher’s does.",
    });
}

/** Each model's scores sorted by itself: do the distributions agree, whichever neuron does the work? */
export function sortedCurves(
  s: SelectivityScores,
  sides: Side[],
  scale: ValueScale,
  axis: string,
  items: LegendItem[],
): Drawing {
  const curve = (scores: readonly Figure[]) => {
    const sorted = sortedFinite(scores);
    const points = sorted.map((y, i) => ({
      x: sorted.length === 1 ? 50 : (100 * i) / (sorted.length - 1),
      y,
    }));
    return thin(points, 200);
  };
  const lines = [
    ...sides.map((side) => ({
      name: side.name,
      color: side.color,
      points: curve(side.scores),
      teacher: false,
    })),
    { name: "teacher", color: TEACHER, points: curve(s.teacher), teacher: true },
  ];
  const draw = (width: number) =>
    chart({
      alt: "Line chart: scores sorted from lowest to highest, one line per model",
      width,
      height: 270,
      marginLeft: 58,
      marginBottom: 40,
      x: { label: "neurons, from lowest to highest score (%) →", domain: [0, 100], ticks: 5 },
      y: scoreAxis(scale, `↑ ${axis}${scale.remark}`),
      marks: lines.flatMap((line) => [
        Plot.lineY(line.points, {
          x: "x",
          y: "y",
          stroke: line.color,
          strokeWidth: 2.2,
          ...(line.teacher && { strokeDasharray: "6 3" }),
        }),
        ...(line.points.length === 1 ? [Plot.dot(line.points, { x: "x", y: "y", fill: line.color })] : []),
        Plot.dot(thin(line.points, 25), {
          x: "x",
          y: "y",
          r: 7,
          fill: line.color,
          fillOpacity: 0,
          title: (p: { x: number; y: number }) =>
            `${line.name}: ${formatFixed(p.x, 0)} % of neurons score at most ${formatNumber(p.y)}`,
        }),
      ]),
    });
  return (width) =>
    figure({
      title: "Sorted scores",
      legend: legend(items.map((i) => ({ ...i, mark: i.color === TEACHER ? "dashed" : "line" }))),
      body: draw(width),
      caption:
        "Each model’s neurons sorted by their own score. Where the lines lie together, the scores are spread alike, though not necessarily over the same neurons.",
    });
}

/** Student against teacher, neuron for neuron, with the diagonal of equality. */
export function scatter(s: SelectivityScores, sides: Side[], scale: ValueScale, axis: string): Drawing {
  const neurons = s.teacher.length;
  const shown = thin(
    s.teacher.map((_, i) => i).filter((i) => isFiniteNumber(s.teacher[i])),
    MOST_SCATTER,
  );
  const dots = sides.map((side) => ({
    ...side,
    points: shown.flatMap((i) => {
      const y = side.scores[i];
      return isFiniteNumber(y) ? [{ i, x: s.teacher[i]!, y }] : [];
    }),
  }));
  const all = sortedFinite([...s.teacher, ...sides.flatMap((side) => side.scores)]);
  const [low, high] = widen(all[0]!, all.at(-1)!, scale);
  // On a curved scale a straight segment is the diagonal too, because both axes are the same.
  const draw = (width: number) =>
    chart({
      alt: "Scatter plot: each neuron's score in the student against its score in the teacher",
      width,
      height: 330,
      marginLeft: 58,
      marginBottom: 40,
      x: { ...scoreAxis(scale, `teacher: ${axis} →`), domain: [low, high], nice: false },
      y: { ...scoreAxis(scale, `↑ student: ${axis}${scale.remark}`), domain: [low, high], nice: false },
      marks: [
        Plot.link([0], {
          x1: low,
          y1: low,
          x2: high,
          y2: high,
          stroke: TEACHER,
          strokeDasharray: "6 3",
          strokeWidth: 1.2,
        }),
        ...dots.map((side) =>
          Plot.dot(side.points, {
            x: "x",
            y: "y",
            r: neurons <= MOST_DUMBBELLS ? 4 : 2.5,
            ...(side.mark === "ring"
              ? { stroke: side.color, strokeWidth: 1.4 }
              : { fill: side.color, fillOpacity: 0.75 }),
            ...(neurons <= MOST_BY_INDEX && {
              title: (p: { i: number; x: number; y: number }) =>
                `neuron ${p.i}: teacher ${formatNumber(p.x)}, ${side.name} ${formatNumber(p.y)}`,
            }),
          }),
        ),
      ],
    });
  return (width) =>
    figure({
      title: "Student against teacher",
      legend: legend(dots.map((side) => ({ label: side.name, color: side.color, mark: side.mark }))),
      body: draw(width),
      caption: `One dot for each neuron${shown.length < neurons ? ` (${formatCount(shown.length)} of ${formatCount(neurons)} shown)` : ""}. On the diagonal, student and teacher are equally selective; above it the student’s neuron scores higher.`,
    });
}

/** A domain that holds all scores with a little room, and has an extent even for a constant. */
function widen(low: number, high: number, scale: ValueScale): [number, number] {
  if (low === high) return [low - (Math.abs(low) * 0.1 || 1), high + (Math.abs(high) * 0.1 || 1)];
  const room = (high - low) * 0.04;
  return [
    scale.type === "linear" && low - room < 0 && low >= 0 ? 0 : scale.type === "linear" ? low - room : low,
    high + room,
  ];
}
