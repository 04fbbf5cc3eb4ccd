// HTML by a tagged template that escapes everything it is given: names come from users' files. Only `raw` lets markup
// through, and only charts and the style sheet use it.

/** Markup that is safe to put on the page. */
export interface Html {
  readonly markup: string;
}

type Part = Html | string | number | undefined | false | readonly Part[];

/** Text with the five characters that mean something in HTML replaced. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** Marks a string as markup. Never for text from outside. */
export function raw(markup: string): Html {
  return { markup };
}

/**
 * @example
 * html`<li>${"<b>"}</li>`.markup // "<li>&#60;b&#62;</li>"
 */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return { markup: strings.map((s, i) => s + (i < parts.length ? render(parts[i]) : "")).join("") };
}

function render(part: Part): string {
  if (part === undefined || part === false) return "";
  if (typeof part === "number") return escapeHtml(String(part));
  if (typeof part === "string") return escapeHtml(keepUnits(part));
  if (isHtml(part)) return part.markup;
  return part.map(render).join("");
}

function isHtml(part: Part): part is Html {
  return typeof part === "object" && part !== null && "markup" in part;
}

/** A line must not break between a figure and its unit: "88.1 %". */
export function keepUnits(text: string): string {
  return text.replace(/(\d) (?=(%|[kMGT]?B|[kMGT]|m?s|min|h|d)(?![\w]))/g, "$1\u00a0");
}
