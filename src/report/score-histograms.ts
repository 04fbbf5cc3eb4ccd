// Histograms: how a metric's scores are spread over the neurons of a layer, and one neuron's responses over the samples.
import * as Plot from "@observablehq/plot";
import { formatCount, formatFixed, formatNumber } from "../base/format.ts";
import { chart, DISTILLED, type Drawing, figure, TEACHER } from "./chart.ts";
import type { Html } from "./html.ts";
import { metricText } from "./metric-texts.ts";
import { chooseScale, quantile, sortedFinite, type ValueScale } from "./numbers.ts";

export interface ScoreSeries {
  readonly name: string;
  readonly scores: ArrayLike<number>;
}

export interface HistogramBin {
  readonly from: number;
  readonly to: number;
  /** Share of the series in it. */
  readonly share: number;
  readonly count: number;
}

/** Scales on which bins of equal width are cut. */
const curves: Record<ValueScale["type"], (v: number, c: number) => number> = {
  linear: (v) => v,
  sqrt: (v) => Math.sqrt(Math.max(0, v)),
  symlog: (v, c) => Math.sign(v) * Math.log1p(Math.abs(v / c)),
  log: (v) => Math.log(v),
};
const back: Record<ValueScale["type"], (v: number, c: number) => number> = {
  linear: (v) => v,
  sqrt: (v) => v * v,
  symlog: (v, c) => Math.sign(v) * c * Math.expm1(Math.abs(v)),
  log: (v) => Math.exp(v),
};

/** `count` bins of equal width on the scale, from `low` to `high`, both ends inside. Values that are not finite are left out. */
export function histogram(
  values: ArrayLike<number>,
  low: number,
  high: number,
  count: number,
  { type, constant = 1 }: Pick<ValueScale, "type" | "constant"> = { type: "linear" },
): HistogramBin[] {
  const [from, to] = [curves[type](low, constant), curves[type](high, constant)];
  const width = (to - from) / count;
  const counts = new Array<number>(count).fill(0);
  const finite = sortedFinite(Array.from(values));
  for (const v of finite) {
    const at = width > 0 ? Math.floor((curves[type](v, constant) - from) / width) : 0;
    counts[Math.max(0, Math.min(count - 1, at))]! += 1;
  }
  return counts.map((n, i) => ({
    from: i === 0 ? low : back[type](from + i * width, constant),
    to: i === count - 1 ? high : back[type](from + (i + 1) * width, constant),
    share: finite.length === 0 ? 0 : n / finite.length,
    count: n,
  }));
}

/** One metric: a model's neurons as bars; with two, the teacher's as an outline over the student's bars. */
export function scoreHistogram(metric: string, series: readonly ScoreSeries[], unit: string): Drawing {
  const text = metricText(metric);
  const all = sortedFinite(series.flatMap((s) => Array.from(s.scores)));
  const [low, high] = [all[0] ?? 0, all.at(-1) ?? 0];
  const scale = chooseScale(all, true);
  const most = Math.max(...series.map((s) => s.scores.length));
  const bins = Math.max(8, Math.min(28, Math.round(2.5 * Math.sqrt(most))));
  const room = low === high ? Math.abs(low) * 0.1 || 0.5 : 0;
  const cut = series.map((s) => ({
    ...s,
    bins: histogram(s.scores, low - room, high + room, bins, room > 0 ? { type: "linear" } : scale),
  }));
  const last = cut.length - 1;
  const medians = series
    .map(
      (s) =>
        `${series.length > 1 ? `${s.name} ` : ""}${formatNumber(quantile(sortedFinite(Array.from(s.scores)), 0.5))}`,
    )
    .join(", ");
  return (width) =>
    figure({
      title: metric,
      body: chart({
        alt: `Histogram of ${metric}`,
        width,
        height: 170,
        marginLeft: 44,
        marginBottom: 38,
        x: {
          type: room > 0 ? "linear" : scale.type,
          ...(scale.constant !== undefined && room === 0 && { constant: scale.constant }),
          domain: [low - room, high + room],
          label: `${text.axis}${room > 0 ? "" : scale.remark} →`,
          ticks: room > 0 ? 3 : scale.ticks,
          tickFormat: (v: number) => formatNumber(v),
        } as Plot.ScaleOptions,
        y: {
          label: `↑ % of ${unit}`,
          ticks: 4,
          grid: true,
          tickFormat: (v: number) => formatFixed(100 * v, 0),
        },
        marks: [
          Plot.rectY(cut[last]?.bins ?? [], {
            x1: "from",
            x2: "to",
            y: "share",
            fill: DISTILLED,
            fillOpacity: 0.8,
            inset: 0.5,
          }),
          ...(last > 0
            ? [
                Plot.line(outline(cut[0]!.bins), {
                  x: "x",
                  y: "y",
                  stroke: TEACHER,
                  strokeWidth: 1.8,
                }),
              ]
            : []),
          Plot.ruleY([0]),
          Plot.rectY(cut[last]?.bins ?? [], {
            x1: "from",
            x2: "to",
            y1: 0,
            y2: Math.max(...cut.flatMap((s) => s.bins.map((b) => b.share))),
            fillOpacity: 0,
            title: (b: HistogramBin) => {
              const i = cut[last]!.bins.indexOf(b);
              const said = cut.map((s) => `${s.name} ${formatCount(s.bins[i]!.count)}`).join(", ");
              return `${formatNumber(b.from)} to ${formatNumber(b.to)}: ${said} ${unit}`;
            },
          }),
        ],
      }),
      caption: `${text.means.charAt(0).toUpperCase()}${text.means.slice(1)}. Median ${medians}.`,
    });
}

/** The upper edge of the bars. */
function outline(bins: readonly HistogramBin[]): { x: number; y: number }[] {
  const [first, final] = [bins[0], bins.at(-1)];
  if (!first || !final) return [];
  return [
    { x: first.from, y: 0 },
    ...bins.flatMap((b) => [
      { x: b.from, y: b.share },
      { x: b.to, y: b.share },
    ]),
    { x: final.to, y: 0 },
  ];
}

/** One neuron's responses; heights by square root, because most responses of most neurons are 0. */
export function responseHistogram(responses: ArrayLike<number>, color: string, width: number): Html {
  const sorted = sortedFinite(Array.from(responses));
  const [low, high] = [Math.min(0, sorted[0] ?? 0), Math.max(sorted.at(-1) ?? 0, 1e-6)];
  return chart({
    alt: "Histogram of one neuron's responses",
    width,
    height: 84,
    marginTop: 6,
    marginLeft: 8,
    marginRight: 8,
    marginBottom: 30,
    x: { domain: [low, high], label: "response →", ticks: 4, tickFormat: (v: number) => formatNumber(v) },
    y: { axis: null, type: "sqrt" },
    marks: [
      Plot.rectY(histogram(sorted, low, high, 40), {
        x1: "from",
        x2: "to",
        y: "share",
        fill: color,
        fillOpacity: 0.8,
        inset: 0.4,
        title: (b: HistogramBin) =>
          `${formatNumber(b.from)} to ${formatNumber(b.to)}: ${formatFixed(100 * b.share, 1)} % of the responses`,
      }),
      Plot.ruleY([0]),
    ],
  });
}
