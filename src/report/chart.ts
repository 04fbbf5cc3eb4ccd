// Charts as static SVG: Observable Plot, drawing into linkedom's document. Colours are CSS variables, so that the page's light
// and dark themes reach into the charts. Must not put text from outside into attributes, only into text and <title>.
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import type { ModelRow, ReportData } from "./data.ts";
import { protagonists } from "./headline.ts";
import { type Html, html, raw } from "./html.ts";

export interface ChartOptions extends Plot.PlotOptions {
  /** One sentence for those who do not see the chart. Ours, not the user's. */
  alt: string;
}

const { document } = parseHTML("<!doctype html><html><body></body></html>");

/** An inline <svg>. Sizes are in pixels of a chart that the page scales to its column. */
export function chart({ alt, ...options }: ChartOptions): Html {
  const svg = Plot.plot({
    document: document as unknown as NonNullable<Plot.PlotOptions["document"]>,
    className: "chart",
    // Room for the label of the vertical axis above its topmost figure.
    marginTop: 30,
    ariaLabel: alt,
    ...options,
  }) as unknown as PlainElement;
  // Plot adds the same few style rules to every chart; ours are on the page once.
  svg.querySelector("style")?.remove();
  svg.setAttribute("role", "img");
  return raw(shorten(svg.outerHTML));
}

interface PlainElement {
  outerHTML: string;
  querySelector(selector: string): { remove(): void } | null;
  setAttribute(name: string, value: string): void;
}

/** Two digits of a pixel are enough; sixteen make the page several times larger. */
function shorten(svg: string): string {
  return svg.replace(/<[a-z][^<>]*>/gi, (tag) => tag.replace(/(\d\.\d\d)\d+/g, "$1"));
}

/** A card with a heading, a legend, one or more charts and a sentence on how to read them. */
export function figure(parts: {
  title: string;
  legend?: Html;
  body: Html | Html[];
  caption?: string;
  wide?: boolean;
}): Html {
  return html`<figure class="card${parts.wide ? " wide" : ""}"><h3>${parts.title}</h3>${parts.legend}<div class="plot">${parts.body}</div>${
    parts.caption !== undefined && html`<figcaption>${parts.caption}</figcaption>`
  }</figure>`;
}

/** A chart that is drawn once its width is known. */
export type Drawing = (width: number) => Html;

/** Drawings side by side: three to a row, or two where three would leave one alone in the last row. */
export function grid(drawings: readonly (Drawing | undefined)[]): Html | undefined {
  const drawn = drawings.filter((d) => d !== undefined);
  if (drawn.length === 0) return undefined;
  const two = drawn.length === 2 || drawn.length === 4;
  return html`<div class="grid${two ? " two" : ""}">${drawn.map((draw) => draw(two ? 500 : 320))}</div>`;
}

export interface LegendItem {
  label: string;
  color: string;
  /** Drawn as; default a line. */
  mark?: "line" | "dashed" | "dot" | "ring" | "dash" | "square";
  /** The figure that the series ends at. */
  value?: string;
}

export function legend(items: readonly LegendItem[]): Html {
  return html`<ul class="legend">${items.map(
    (item) =>
      html`<li><svg width="22" height="12" aria-hidden="true">${glyph(item)}</svg>${item.label}${
        item.value !== undefined && html` <b>${item.value}</b>`
      }</li>`,
  )}</ul>`;
}

function glyph({ color, mark = "line" }: LegendItem): Html {
  switch (mark) {
    case "dot":
      return html`<circle cx="11" cy="6" r="4.5" fill="${color}"/>`;
    case "ring":
      return html`<circle cx="11" cy="6" r="3.8" fill="none" stroke="${color}" stroke-width="1.6"/>`;
    case "dash":
      return html`<path d="M5,6H17" stroke="${color}" stroke-width="3"/>`;
    case "square":
      return html`<rect x="6" y="1" width="10" height="10" rx="2" fill="${color}"/>`;
    case "dashed":
      return html`<path d="M1,6H21" stroke="${color}" stroke-width="2" stroke-dasharray="5 3"/>`;
    default:
      return html`<path d="M1,6H21" stroke="${color}" stroke-width="2.5"/>`;
  }
}

export const TEACHER = "var(--teacher)";
export const DISTILLED = "var(--c1)";
export const LABELS_ALONE = "var(--c2)";
export const BEFORE = "var(--before)";
const OTHERS = ["var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];

/** One colour per model and run, the same in every chart. */
export function assignColors(data: ReportData): (label: string) => string {
  const { student, baseline } = protagonists(data.models);
  const colors = new Map<string, string>();
  let next = 0;
  const other = () => OTHERS[next++ % OTHERS.length]!;
  const ofModel = (m: ModelRow) =>
    m.role === "teacher" ? TEACHER : m === student ? DISTILLED : m === baseline ? LABELS_ALONE : other();
  for (const model of data.models) if (!colors.has(model.label)) colors.set(model.label, ofModel(model));
  const taken = new Set(colors.values());
  for (const { label } of data.runs) {
    if (colors.has(label)) continue;
    const color = [DISTILLED, LABELS_ALONE].find((c) => !taken.has(c)) ?? other();
    colors.set(label, color);
    taken.add(color);
  }
  return (label) => colors.get(label) ?? "var(--c3)";
}
