// What neurons respond to -> one HTML page that needs nothing else. This file says what stands where; the parts draw
// themselves. Loads the chart library: import it when a page is due.
import type { ProfileComparison, ProfileMatch } from "../analysis/compare-profiles.ts";
import type { AnalyzedSide, AnalyzedTap, SelectivityAnalysis } from "../analysis/selectivity.ts";
import { formatCount, formatFixed, formatNumber } from "../base/format.ts";
import { formatShape } from "../base/tensor.ts";
import { SelectivityMetric } from "../strategies/selectivity-metric.ts";
import { activity } from "./activity.ts";
import { DISTILLED, grid, legend, TEACHER } from "./chart.ts";
import { classMap } from "./class-map.ts";
import { type Html, html } from "./html.ts";
import { neuronCards, type Pictures } from "./neuron-cards.ts";
import { quantile, sortedFinite } from "./numbers.ts";
import { renderPage } from "./page.ts";
import { scoreHistogram } from "./score-histograms.ts";
import { SELECTIVITY_STYLE } from "./selectivity-style.ts";

export interface SelectivityPageFacts {
  /** Paths of the model and, if there is one, the student. */
  readonly models: readonly string[];
  readonly data: string;
  /** ISO 8601. */
  readonly created: string;
  /** Of the samples that excite the chosen neurons, by number of the sample. */
  readonly pictures: Pictures;
}

/** A complete HTML document, well-formed; all text from outside is escaped. */
export function renderSelectivityPage(found: SelectivityAnalysis, facts: SelectivityPageFacts): string {
  const names = facts.models.map(fileName);
  return renderPage({
    eyebrow: "onnx-distill selectivity",
    created: facts.created,
    title:
      names.length > 1
        ? `What the neurons of ${names[0]} and ${names[1]} respond to`
        : `What the neurons of ${names[0]} respond to`,
    headline: headline(found, facts),
    tiles: tiles(found),
    sections: [
      ...found.taps.map((tap, i) => ({
        id: `tap-${i}`,
        title: tap.name,
        intro: intro(tap),
        body: tapPart(tap, found, facts.pictures),
      })),
      {
        id: "notes",
        title: "Notes",
        body: notes(found),
      },
    ],
    style: SELECTIVITY_STYLE,
  });
}

const fileName = (path: string): string => path.split(/[\\/]/).at(-1) || path;

function headline(found: SelectivityAnalysis, { data }: SelectivityPageFacts): string {
  const layers = found.taps.length === 1 ? "One layer" : `${formatCount(found.taps.length)} layers`;
  const classes =
    found.classesFrom === "labels"
      ? " Classes are the data’s labels."
      : found.classesFrom === "predictions"
        ? " Classes are what the model predicts."
        : "";
  return `${layers}, seen through ${formatCount(found.samples)} samples of ${data}.${classes}`;
}

function tiles(found: SelectivityAnalysis): Html {
  const of = (count: (side: AnalyzedSide) => number) => (side: "teacher" | "student") =>
    found.taps.reduce((n, t) => n + (t[side] ? count(t[side]) : 0), 0);
  const two = found.taps.some((t) => t.student);
  const tile = (name: string, value: string, remark: string) =>
    html`<div><dt>${name}</dt><dd>${value}</dd><dd class="remark">${remark}</dd></div>`;
  const counted = (name: string, count: (side: AnalyzedSide) => number) =>
    tile(name, formatCount(of(count)("teacher")), two ? `student ${formatCount(of(count)("student"))}` : "");
  const selective = (side: "teacher" | "student") =>
    quantile(
      sortedFinite(found.taps.flatMap((t) => [...(t[side]?.profile.scores["class-selectivity"] ?? [])])),
      0.5,
    );
  return html`<dl class="tiles">${counted("neurons", (s) => s.profile.neurons)}${counted("dead", (s) => s.profile.dead.length)}${counted(
    "always on",
    (s) => s.profile.alwaysOn.length,
  )}${
    found.classesFrom !== undefined &&
    tile(
      "median class selectivity",
      formatFixed(selective("teacher"), 2),
      two ? `student ${formatFixed(selective("student"), 2)}` : "",
    )
  }</dl>`;
}

function intro({ teacher, student }: AnalyzedTap): string {
  const side = (s: AnalyzedSide) =>
    `${s.value}, ${formatCount(s.profile.neurons)} neurons, ${formatShape(s.shape)} for each sample`;
  return student ? `Teacher: ${side(teacher)}. Student: ${side(student)}.` : `${side(teacher)}.`;
}

function tapPart(tap: AnalyzedTap, found: SelectivityAnalysis, pictures: Pictures): Html {
  const { teacher, student } = tap;
  const names = found.classNames ?? [];
  const of = (who: string) => (student ? `, ${who}` : "");
  const metrics = Object.values(SelectivityMetric).filter((m) => teacher.profile.scores[m]);
  const histograms = metrics.map((metric) =>
    scoreHistogram(
      metric,
      [
        { name: student ? "teacher" : "", scores: teacher.profile.scores[metric] ?? [] },
        ...(student ? [{ name: "student", scores: student.profile.scores[metric] ?? [] }] : []),
      ],
      metric === SelectivityMetric.PopulationSparseness ? "rows" : "neurons",
    ),
  );
  return html`${
    found.classesFrom !== undefined &&
    html`<h3 class="tap">Which classes the neurons answer to</h3><div class="stack">${classMap(teacher.profile, names, `Classes by neurons${of("teacher")}`)}${student && classMap(student.profile, names, "Classes by neurons, student")}</div>`
  }
<h3 class="tap">Neurons from near</h3><p>${
    student ? "Neurons of the teacher, each with the student’s beside it" : "Neurons"
  }, and the samples that excite them most, the strongest first; a ring marks where in the map the response is strongest.</p>${neuronCards(tap, names, pictures)}
${tap.comparison && comparisonPart(tap.comparison)}
<h3 class="tap">Dead and always-on neurons</h3><div class="grid two">${activity(teacher, `How often each neuron is active${of("teacher")}`, student ? TEACHER : DISTILLED)}${
    student && activity(student, "How often each neuron is active, student", DISTILLED)
  }</div>
<h3 class="tap">Every metric over all neurons</h3>${
    student &&
    legend([
      { label: "teacher", color: TEACHER },
      { label: "student", color: DISTILLED, mark: "square" },
    ])
  }${grid(histograms)}`;
}

const MATCHES: Record<ProfileMatch, string> = {
  index: "by number",
  rank: "by rank",
  assignment: "by assignment",
  sample: "sample by sample",
};

function comparisonPart({ distances, correlations }: ProfileComparison): Html {
  const matches = (Object.keys(MATCHES) as ProfileMatch[]).filter((m) =>
    distances.some((d) => d.match === m),
  );
  const metrics = [...new Set(distances.map((d) => d.metric))];
  const matched = sortedFinite(correlations);
  const cell = (metric: string, match: ProfileMatch) => {
    const d = distances.find((x) => x.metric === metric && x.match === match);
    if (!d) return html`<td></td>`;
    const strength = Math.min(1, Math.sqrt(d.relative));
    return html`<td title="mean squared difference ${formatNumber(d.squared)}"><i class="far" style="width:${formatFixed(4 * strength, 2)}em"></i>${formatNumber(d.relative)}</td>`;
  };
  return html`<h3 class="tap">How far the student’s neurons are from the teacher’s</h3>
<p>The mean squared difference of the scores, relative to the teacher’s mean square: 0 where all are equal, 1 for a student whose scores are all 0. By rank, sorted scores are compared, whichever neuron has them; by assignment, each neuron of the student with the teacher’s that it answers most like (median correlation of such pairs: ${formatFixed(quantile(matched, 0.5), 2)}).</p>
<div class="card"><div class="scroll"><table class="figures"><thead><tr><th scope="col">metric</th>${matches.map((m) => html`<th scope="col">${MATCHES[m]}</th>`)}</tr></thead><tbody>${metrics.map(
    (metric) => html`<tr><th scope="row">${metric}</th>${matches.map((m) => cell(metric, m))}</tr>`,
  )}</tbody></table></div></div>`;
}

function notes(found: SelectivityAnalysis): Html {
  const profile = found.taps[0]?.teacher.profile;
  const lines = [
    ...found.notes,
    ...(profile && profile.kept.rows < profile.rows
      ? [
          `Histograms of single neurons, relative sparsity, population sparseness and correlations are taken over ${formatCount(profile.kept.rows)} rows chosen at random out of ${formatCount(profile.rows)}; all other figures over all rows.`,
        ]
      : []),
    "A row is a sample of a vector, and a position of a sample of a map or a sequence.",
  ];
  return html`<ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>`;
}
