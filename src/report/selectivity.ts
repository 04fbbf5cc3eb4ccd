// The heart of the page: how selective each neuron is in the teacher, in the student before training and after it. Neuron by
// neuron, as distributions, and against each other, with the figures that the eye would otherwise have to guess.
import * as Plot from "@observablehq/plot";
import { formatCount, formatFixed, formatNumber, isFiniteNumber, MISSING } from "../base/format.ts";
import { BEFORE, chart, DISTILLED, figure, LABELS_ALONE, type LegendItem, legend, TEACHER } from "./chart.ts";
import type { Figure, SelectivityScores } from "./data.ts";
import { type Html, html } from "./html.ts";
import {
  chooseScale,
  correlation,
  meanSquaredDifference,
  quantile,
  sortedFinite,
  thin,
  type ValueScale,
} from "./numbers.ts";

/** Up to here every neuron gets its own dumbbell; up to MOST_BY_INDEX a thin mark; beyond, distributions only. */
const MOST_DUMBBELLS = 80;
const MOST_BY_INDEX = 300;
const MOST_SCATTER = 400;

/** What a metric's score means, for the axis and for the reader. */
const METRICS: Record<string, { axis: string; means: string }> = {
  variance: {
    axis: "variance",
    means: "how much a neuron’s output varies over the samples",
  },
  sparsity: {
    axis: "share of samples",
    means: "the share of samples in which a neuron is active (|a| > 0.01)",
  },
  "peak-to-average": {
    axis: "peak / mean",
    means: "how far a neuron’s strongest answer stands above its average one (0: a dead neuron)",
  },
};

interface Side {
  key: "before" | "labelsOnly" | "after";
  name: string;
  color: string;
  mark: "ring" | "dot";
  scores: Figure[];
}

function sidesOf(s: SelectivityScores): Side[] {
  const sides: Side[] = [
    { key: "before", name: "student before training", color: BEFORE, mark: "ring", scores: s.before },
    {
      key: "labelsOnly",
      name: "student, labels alone",
      color: LABELS_ALONE,
      mark: "dot",
      scores: s.labelsOnly ?? [],
    },
    { key: "after", name: "student after distillation", color: DISTILLED, mark: "dot", scores: s.after },
  ];
  return sides.filter((side) => side.scores.some(isFiniteNumber));
}

export function selectivityPart(s: SelectivityScores): Html {
  const metric = METRICS[s.metric] ?? { axis: s.metric, means: `the score “${s.metric}”` };
  const sides = sidesOf(s);
  const neurons = s.teacher.length;
  const head = html`<h3 class="tap">Tap <code>${s.tap}</code>, ${s.metric}</h3>`;
  if (!s.teacher.some(isFiniteNumber) || sides.length === 0)
    return html`<div class="part">${head}<p>No scores were recorded here.</p></div>`;
  const scale = chooseScale([...s.teacher, ...sides.flatMap((side) => side.scores)], "sqrt");
  const matched = sides.every((side) => side.scores.length === neurons);
  const over = s.samples === undefined ? "" : `, over ${formatCount(s.samples)} samples`;
  const items: LegendItem[] = [
    { label: "teacher", color: TEACHER, mark: "dash" },
    ...sides.map((side) => ({ label: side.name, color: side.color, mark: side.mark })),
  ];
  return html`<div class="part">${head}
<p>${capital(`${formatCount(neurons)} neuron${neurons === 1 ? "" : "s"}${over}. Each is scored by ${metric.means}.`)} ${verdict(s)}</p>
${figuresTable(s, sides)}
<div class="grid">${[
    matched && byNeuron(s, sides, scale, metric.axis, items),
    sortedCurves(s, sides, scale, metric.axis, items),
    matched && scatter(s, sides, scale, metric.axis),
  ]}</div>${
    !matched &&
    html`<p class="caption">Teacher and student have different numbers of neurons here, so only distributions can be compared.</p>`
  }</div>`;
}

/** One sentence from the mean squared differences: nearer is nearer, farther farther. */
export function verdict(s: SelectivityScores): string {
  const before = meanSquaredDifference(s.teacher, s.before);
  const after = meanSquaredDifference(s.teacher, s.after);
  const alone = meanSquaredDifference(s.teacher, s.labelsOnly ?? []);
  if (!isFiniteNumber(after)) return "";
  const other = isFiniteNumber(alone) ? ` (from labels alone it ends at ${formatNumber(alone)})` : "";
  if (!isFiniteNumber(before))
    return `The student ends at a mean squared difference of ${formatNumber(after)}${other}.`;
  const shown = [formatNumber(before), formatNumber(after)];
  if (shown[0] === shown[1])
    return `Training left the mean squared difference to the teacher at ${shown[0]}${other}.`;
  const nearer = after < before;
  const ratio = nearer ? before / after : after / before;
  const times = Number.isFinite(ratio)
    ? `, ${formatTimes(ratio)} times ${nearer ? "nearer" : "farther"}`
    : "";
  return `Training took the mean squared difference to the teacher from ${shown[0]} to ${shown[1]}${times}${other}.`;
}

function formatTimes(ratio: number): string {
  return ratio < 10 ? formatFixed(ratio, ratio < 1.05 ? 3 : 1) : formatNumber(Math.round(ratio));
}

function figuresTable(s: SelectivityScores, sides: readonly Side[]): Html {
  const median = (scores: readonly Figure[]) => formatNumber(quantile(sortedFinite(scores), 0.5));
  const missing = (scores: readonly Figure[]) => scores.length - scores.filter(isFiniteNumber).length;
  const anyMissing = [s.teacher, ...sides.map((x) => x.scores)].some((x) => missing(x) > 0);
  const row = (name: string, color: string, cells: string[]) =>
    html`<tr><th scope="row"><i class="key" style="background:${color}"></i>${name}</th>${cells.map((c) => html`<td>${c}</td>`)}</tr>`;
  const gaps = (scores: readonly Figure[]) => (anyMissing ? [formatCount(missing(scores))] : []);
  return html`<div class="scroll"><table class="figures">
<thead><tr><th scope="col"></th><th scope="col">mean squared difference from the teacher</th><th scope="col">correlation with the teacher</th><th scope="col">median score</th>${
    anyMissing && html`<th scope="col">not finite</th>`
  }</tr></thead><tbody>
${row("teacher", TEACHER, [MISSING, MISSING, median(s.teacher), ...gaps(s.teacher)])}
${sides.map((side) =>
  row(side.name, side.color, [
    formatNumber(meanSquaredDifference(s.teacher, side.scores)),
    formatFixed(correlation(s.teacher, side.scores), 3),
    median(side.scores),
    ...gaps(side.scores),
  ]),
)}</tbody></table></div>`;
}

/** Options of an axis that carries scores. */
function scoreAxis(scale: ValueScale, label: string): Plot.ScaleOptions {
  return {
    type: scale.type,
    ...(scale.constant !== undefined && { constant: scale.constant }),
    label,
    grid: true,
    nice: true,
    ticks: 5,
    tickFormat: (v: number) => formatNumber(v),
  } as Plot.ScaleOptions;
}

/** Scores by neuron index: the teacher's as a dash, the student's before and after joined by a line. */
function byNeuron(
  s: SelectivityScores,
  sides: Side[],
  scale: ValueScale,
  axis: string,
  items: LegendItem[],
): Html {
  const neurons = s.teacher.length;
  if (neurons > MOST_BY_INDEX)
    return html`<p class="caption wide">${formatCount(neurons)} neurons are too many to draw one by one; the charts show all of them together.</p>`;
  const large = neurons <= MOST_DUMBBELLS;
  const width = large ? Math.max(360, Math.min(1060, 90 + neurons * 22)) : 1060;
  const step = (width - 80) / Math.max(1, neurons);
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
  const body = chart({
    alt: "Scores by neuron: the teacher's as a dash, the student's before and after training as joined dots",
    width,
    height: 300,
    marginLeft: 56,
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
      Plot.ruleX(rows, { x: "i", strokeOpacity: 0, strokeWidth: step, title: describe }),
    ],
  });
  return figure({
    title: "Neuron by neuron",
    legend: legend(items),
    body,
    wide: width > 500,
    caption:
      "One column for each neuron. The dash is what the teacher’s neuron scores; the line leads from the student’s score before training (ring) to the one after (dot). A filled blue dot on its dash is a neuron that has learned to be as selective as the teacher’s.",
  });
}

/** Each model's scores sorted by itself: do the distributions agree, whichever neuron does the work? */
function sortedCurves(
  s: SelectivityScores,
  sides: Side[],
  scale: ValueScale,
  axis: string,
  items: LegendItem[],
): Html {
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
  const body = chart({
    alt: "Line chart: scores sorted from lowest to highest, one line per model",
    width: 360,
    height: 270,
    marginLeft: 56,
    marginBottom: 40,
    x: { label: "neurons, from least to most selective (%) →", domain: [0, 100], ticks: 5 },
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
  return figure({
    title: "Sorted scores",
    legend: legend(items.map((i) => ({ ...i, mark: i.color === TEACHER ? "dashed" : "line" }))),
    body,
    caption:
      "Each model’s neurons sorted by their own score. Where the lines lie together, the models have equally many selective neurons, though not necessarily the same ones.",
  });
}

/** Student against teacher, neuron for neuron, with the diagonal of equality. */
function scatter(s: SelectivityScores, sides: Side[], scale: ValueScale, axis: string): Html {
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
  const body = chart({
    alt: "Scatter plot: each neuron's score in the student against its score in the teacher",
    width: 360,
    height: 330,
    marginLeft: 56,
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
  return figure({
    title: "Student against teacher",
    legend: legend(dots.map((side) => ({ label: side.name, color: side.color, mark: side.mark }))),
    body,
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

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
