// The frame of every page: head, title, sections that can be jumped to, nothing from outside the file: no scripts, no fonts, no
// requests. What stands in it is its callers' business.
import { type Html, html, raw } from "./html.ts";
import { STYLE } from "./style.ts";

export interface Section {
  id: string;
  title: string;
  intro?: string;
  /** A section without one is left out. */
  body: Html | undefined;
}

export interface Page {
  /** What kind of page it is; stands above the title, with the date. */
  eyebrow: string;
  /** ISO 8601. */
  created: string;
  title: string;
  headline: Html | string;
  tiles?: Html | undefined;
  sections: readonly Section[];
  /** Rules beside those that every page has. */
  style?: string;
}

/** A complete HTML document, well-formed. All text is escaped. */
export function renderPage(p: Page): string {
  const shown = p.sections.filter((s) => s.body !== undefined);
  const page = `<!doctype html>\n${
    html`<html lang="en"><head><meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/><meta name="color-scheme" content="light dark"/><title>${p.title}</title><style>${raw(STYLE + (p.style ?? ""))}</style></head>
<body><header><p class="eyebrow">${p.eyebrow}, ${when(p.created)}</p><h1>${p.title}</h1><p class="headline">${p.headline}</p>
${p.tiles}<nav aria-label="Sections">${shown.map((s) => html`<a href="#${s.id}">${s.title}</a>`)}</nav></header>
<main>${shown.map(
      (s) =>
        html`<section id="${s.id}"><h2>${s.title}</h2>${s.intro !== undefined && html`<p>${s.intro}</p>`}${s.body}</section>`,
    )}</main>
<footer><p>Everything on this page is in this one file. Hover over a mark to read its figures.</p></footer></body></html>`
      .markup
  }\n`;
  // Control characters have no place in HTML, escaped or not.
  return page.replace(/\p{Cc}/gu, (c) => (c === "\n" ? c : " "));
}

/** `2026-11-24 09:30 UTC`; what is not a date is shown as it is. */
function when(created: string): string {
  const date = new Date(created);
  return Number.isNaN(date.getTime()) ? created : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
