// Which neurons never answer, which always do, and how often the others: one bar for each neuron.
import * as Plot from "@observablehq/plot";
import type { AnalyzedSide } from "../analysis/selectivity.ts";
import { formatCount, formatFixed, formatPercent } from "../base/format.ts";
import { chart, figure } from "./chart.ts";
import { type Html, html } from "./html.ts";
import { thin } from "./numbers.ts";

const MOST_BARS = 400;
const MOST_LISTED = 60;

export function activity({ profile }: AnalyzedSide, title: string, color: string): Html {
  const sorted = [...profile.active.keys()].sort((a, b) => profile.active[b]! - profile.active[a]! || a - b);
  const bars = thin(sorted, MOST_BARS).map((neuron, at) => ({ neuron, at, share: profile.active[neuron]! }));
  return figure({
    title,
    body: [
      chart({
        alt: "Bars: share of the rows in which each neuron is active, sorted",
        width: 500,
        height: 180,
        marginLeft: 44,
        marginBottom: 32,
        x: {
          type: "band",
          domain: bars.map((b) => b.at),
          ticks: [],
          tickSize: 0,
          label: "neurons, the most active first",
          padding: bars.length > 80 ? 0 : 0.15,
        },
        y: {
          domain: [0, 1],
          ticks: 5,
          grid: true,
          label: "↑ active (%)",
          tickFormat: (v: number) => formatFixed(100 * v, 0),
        },
        marks: [
          Plot.barY(bars, {
            x: "at",
            y: "share",
            fill: (b: { share: number }) => (b.share === 1 ? "var(--c2)" : color),
            title: (b: { neuron: number; share: number }) =>
              `neuron ${b.neuron}: active in ${formatPercent(b.share)}`,
          }),
          Plot.ruleY([0]),
        ],
        color: { type: "identity" },
      }),
      html`<dl class="lists">${list("Dead", profile.dead, profile.neurons)}${list("Always on", profile.alwaysOn, profile.neurons)}</dl>`,
    ],
    caption: `How often each neuron is active (|a| > 0.01), over ${formatCount(profile.rows)} rows: samples${profile.positions > 1 ? `, times ${formatCount(profile.positions)} positions` : ""}. A dead neuron is active in none of them, an always-on one in all.`,
  });
}

function list(name: string, neurons: readonly number[], of: number): Html {
  const shown = neurons.slice(0, MOST_LISTED).join(", ");
  const more = neurons.length - MOST_LISTED;
  return html`<dt>${name}: ${formatCount(neurons.length)} of ${formatCount(of)}</dt><dd>${shown}${more > 0 && ` and ${formatCount(more)} more`}</dd>`;
}
