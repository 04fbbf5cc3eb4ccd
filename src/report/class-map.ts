// Classes by neurons: the mean response of each neuron to each class, neurons in the order of the class that they prefer, so
// that selective layers show a staircase. Colour is relative to each neuron's strongest class.
import * as Plot from "@observablehq/plot";
import { preferredClasses } from "../analysis/choose-neurons.ts";
import type { NeuronProfile } from "../analysis/tap-profile.ts";
import { formatCount, formatFixed, formatNumber } from "../base/format.ts";
import { chart, figure, legend } from "./chart.ts";
import { type Html, html } from "./html.ts";

const MOST_NEURONS = 160;
const MOST_CLASSES = 40;
const POSITIVE = "var(--c1)";
const NEGATIVE = "var(--c2)";

/** The most selective neurons where there are many, sorted by preferred class and then by selectivity. */
export function mapOrder(profile: NeuronProfile, most = MOST_NEURONS): number[] {
  const classes = preferredClasses(profile);
  const selectivity = profile.scores["class-selectivity"] ?? new Float64Array(profile.neurons);
  // The dead ones, which prefer no class, at the end.
  const place = (c: number) => (classes[c]! < 0 ? Number.MAX_SAFE_INTEGER : classes[c]!);
  return [...classes.keys()]
    .sort((a, b) => selectivity[b]! - selectivity[a]! || a - b)
    .slice(0, most)
    .sort((a, b) => place(a) - place(b) || selectivity[b]! - selectivity[a]! || a - b);
}

/** Undefined where no classes are told. */
export function classMap(
  profile: NeuronProfile,
  classNames: readonly string[],
  title: string,
): Html | undefined {
  const { classResponse, present, neurons } = profile;
  if (!classResponse || !present) return undefined;
  const order = mapOrder(profile);
  const liked = preferredClasses(profile);
  const counted = (k: number) => order.filter((c) => liked[c] === k).length;
  const all = classNames.map((_, k) => k).filter((k) => present[k]);
  const shown = all
    .sort((a, b) => counted(b) - counted(a) || a - b)
    .slice(0, MOST_CLASSES)
    .sort((a, b) => a - b);
  const cells = order.flatMap((c, at) => {
    const strongest = Math.max(...all.map((k) => Math.abs(classResponse[k * neurons + c]!)));
    return shown.map((k, row) => {
      const mean = classResponse[k * neurons + c]!;
      return { at, row, c, k, mean, part: strongest > 0 ? mean / strongest : 0 };
    });
  });
  const negative = cells.some((x) => x.part < 0);
  const labelled = order.length <= 40;
  const cellHeight = shown.length > 20 ? 14 : 22;
  const few = order.length < neurons || shown.length < all.length;
  const names = shown.map((k) => shorten(classNames[k] as string));
  return figure({
    title,
    wide: true,
    legend: legend([
      { label: "answers as strongly as to its preferred class", color: POSITIVE, mark: "square" },
      ...(negative
        ? [{ label: "answers with negative values", color: NEGATIVE, mark: "square" as const }]
        : []),
    ]),
    body: chart({
      alt: "Heat map: mean response of each neuron to each class",
      width: 1060,
      height: 34 + cellHeight * shown.length + (labelled ? 34 : 26),
      marginTop: 8,
      marginLeft: 110,
      marginRight: 10,
      marginBottom: labelled ? 40 : 28,
      x: {
        type: "band",
        domain: order.map((_, at) => at),
        padding: 0.06,
        label: "neuron",
        ...(labelled ? { tickFormat: (at: number) => String(order[at]) } : { ticks: [], tickSize: 0 }),
        tickSize: 0,
      },
      y: {
        type: "band",
        domain: shown.map((_, row) => row),
        padding: 0.06,
        label: null,
        tickFormat: (row: number) => names[row] ?? "",
        tickSize: 0,
      },
      marks: [
        Plot.cell(cells, { x: "at", y: "row", fill: "var(--cell)" }),
        Plot.cell(cells, {
          x: "at",
          y: "row",
          fill: (x: (typeof cells)[number]) => (x.part < 0 ? NEGATIVE : POSITIVE),
          fillOpacity: (x: (typeof cells)[number]) => Math.abs(x.part) ** 1.3,
          title: (x: (typeof cells)[number]) =>
            `neuron ${x.c}, ${classNames[x.k]}: mean response ${formatNumber(x.mean)}, ${formatFixed(100 * x.part, 0)} % of its strongest`,
        }),
      ],
      color: { type: "identity" },
      opacity: { type: "identity" },
    }),
    caption: `One column for each neuron, sorted by the class that it prefers; the darker a cell, the nearer the neuron’s mean response to that class comes to its strongest. A column with one dark cell is a neuron for one class.${
      few
        ? ` Shown are ${formatCount(order.length)} of ${formatCount(neurons)} neurons, the most selective, and ${formatCount(shown.length)} of ${formatCount(all.length)} classes.`
        : ""
    }`,
  });
}

const shorten = (name: string): string => (name.length > 15 ? `${name.slice(0, 14)}…` : name);

/** Mean response to each class of one neuron, as small bars. */
export function classBars(
  profile: NeuronProfile,
  neuron: number,
  classNames: readonly string[],
): Html | undefined {
  const { classResponse, present, neurons } = profile;
  if (!classResponse || !present) return undefined;
  const means = classNames
    .map((name, k) => ({ name, mean: classResponse[k * neurons + neuron]!, there: present[k] === true }))
    .filter((m) => m.there);
  const kept = means.length <= 12 ? means : means.toSorted((a, b) => b.mean - a.mean).slice(0, 12);
  const most = Math.max(...kept.map((m) => Math.abs(m.mean)), 1e-12);
  return html`<table class="bars"><tbody>${kept.map(
    (m) =>
      html`<tr><th scope="row">${shorten(m.name)}</th><td><i style="width:${formatFixed((100 * Math.abs(m.mean)) / most, 1)}%;background:${m.mean < 0 ? NEGATIVE : POSITIVE}"></i></td><td>${formatNumber(m.mean)}</td></tr>`,
  )}</tbody></table>`;
}
