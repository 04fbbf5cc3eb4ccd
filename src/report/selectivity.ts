// The heart of the page: how selective each neuron is in the teacher, in the student before training and after it. Neuron by
// neuron, as distributions, and against each other, with the figures that the eye would otherwise have to guess.
import { formatCount, formatFixed, formatNumber, isFiniteNumber, MISSING } from "../base/format.ts";
import { BEFORE, DISTILLED, grid, LABELS_ALONE, type LegendItem, TEACHER } from "./chart.ts";
import type { Figure, SelectivityScores } from "./data.ts";
import { type Html, html } from "./html.ts";
import { metricText } from "./metric-texts.ts";
import { chooseScale, correlation, meanSquaredDifference, quantile, sortedFinite } from "./numbers.ts";
import { byNeuron, FEW_NEURONS, type Side, scatter, sortedCurves } from "./selectivity-charts.ts";

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

/** Neuron i of the one is meant to become neuron i of the other only where there are equally many. */
function isMatched(s: SelectivityScores): boolean {
  return sidesOf(s).every((side) => side.scores.length === s.teacher.length);
}

export function selectivityPart(s: SelectivityScores): Html {
  const metric = metricText(s.metric);
  const sides = sidesOf(s);
  const neurons = s.teacher.length;
  const head = html`<h3 class="tap">Tap <code>${s.tap}</code>, ${s.metric}</h3>`;
  if (!s.teacher.some(isFiniteNumber) || sides.length === 0)
    return html`<div class="part">${head}<p>No scores were recorded here.</p></div>`;
  const scale = chooseScale([...s.teacher, ...sides.flatMap((side) => side.scores)], true);
  const matched = isMatched(s);
  const over = s.samples === undefined ? "" : `, over ${formatCount(s.samples)} samples`;
  const items: LegendItem[] = [
    { label: "teacher", color: TEACHER, mark: "dash" },
    ...sides.map((side) => ({ label: side.name, color: side.color, mark: side.mark })),
  ];
  return html`<div class="part">${head}
<p>${capital(`${formatCount(neurons)} neuron${neurons === 1 ? "" : "s"}${over}. Each is scored by ${metric.means}.`)} ${verdict(s)}</p>
<div class="card">${figuresTable(s, sides)}</div>
${matched && neurons > FEW_NEURONS && byNeuron(s, sides, scale, metric.axis, items)(1060)}${grid([
  matched && neurons <= FEW_NEURONS ? byNeuron(s, sides, scale, metric.axis, items) : undefined,
  sortedCurves(s, sides, scale, metric.axis, items),
  matched ? scatter(s, sides, scale, metric.axis) : undefined,
])}${
  !matched &&
  html`<p class="caption">Teacher and student have different numbers of neurons here, so only distributions can be compared.</p>`
}</div>`;
}

/** One sentence from the mean squared differences: nearer is nearer, farther farther. */
export function verdict(s: SelectivityScores): string {
  if (!isMatched(s)) return "";
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
    ? `, ${formatTimes(ratio)} times ${nearer ? "smaller" : "larger"}`
    : "";
  return `Training brought the mean squared difference to the teacher ${nearer ? "down" : "up"} from ${shown[0]} to ${shown[1]}${times}${other}.`;
}

function formatTimes(ratio: number): string {
  return ratio < 10 ? formatFixed(ratio, ratio < 1.05 ? 3 : 1) : formatNumber(Math.round(ratio));
}

function figuresTable(s: SelectivityScores, sides: readonly Side[]): Html {
  const matched = isMatched(s);
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
    matched ? formatNumber(meanSquaredDifference(s.teacher, side.scores)) : MISSING,
    matched ? formatFixed(correlation(s.teacher, side.scores), 3) : MISSING,
    median(side.scores),
    ...gaps(side.scores),
  ]),
)}</tbody></table></div>`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
