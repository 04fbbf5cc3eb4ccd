// Progress of long work: a bar on a terminal, plain lines anywhere else (a pipe, a log file, CI). Owns one line of the
// stream and nothing more: no timers (a training step may block the event loop, so they would not fire), no hidden cursor
// to restore after a crash. Must not decide what is worth logging; the caller does.
import { stripVTControlCharacters } from "node:util";
import stringWidth from "string-width";
import { formatCount, formatDuration, formatPercent, formatRate } from "../base/format.ts";

/** The part of a writable stream that is needed; `process.stderr` fits. */
export interface ProgressStream {
  write(text: string): unknown;
  /** True on a terminal. */
  readonly isTTY?: boolean | undefined;
  /** Width of the terminal now; read at every redraw, so a resized window is followed. */
  readonly columns?: number | undefined;
}

export interface ProgressOptions {
  stream: ProgressStream;
  /** Units of work in all. 0 or a value that is not finite means unknown: no bar, no time left. */
  total: number;
  /** What is being done, e.g. "student". Stands first in the line. */
  label: string;
  /** Units that were done before (a resumed run); they do not count towards the rate. Default 0. */
  start?: number;
  /** One unit of work, singular. Default "step". */
  unit?: string;
  /** Milliseconds, monotonic. Default `performance.now`. */
  now?: () => number;
  /** Draw a bar? Default: `stream.isTTY`, unless `TERM` is "dumb". */
  bar?: boolean;
}

export interface Progress {
  /** `done` units of `total` are done; `text` is the rest of the line, e.g. the loss terms. Cheap: call it every step. */
  update(done: number, text?: string): void;
  /** Prints a line of its own above the bar. */
  log(line: string): void;
  /** Clears the bar and prints a closing line (`text`, or units, time and rate). Later calls do nothing. */
  finish(text?: string): void;
}

const REDRAW_MS = 100;
const PLAIN_LINE_MS = 10_000;
/** The rate follows about this much of the past, so that a slow start is soon forgotten. */
const RATE_WINDOW_MS = 15_000;
const CLEAR = "\r\x1b[2K";

/**
 * Shows how far work of known length has come.
 *
 * @example
 * const progress = createProgress({ stream: process.stderr, total: 500, label: "student" });
 * for (let step = 1; step <= 500; step++) progress.update(step, "loss 0.41  hard 0.62");
 * progress.finish();
 * // student  42 % ███████▌░░░░░░░░░░ 210/500  8.1 steps/s  36 s left  loss 0.41  hard 0.62
 */
export function createProgress(options: ProgressOptions): Progress {
  const { stream, total, label, start = 0, unit = "step", now = () => performance.now() } = options;
  const drawsBar = options.bar ?? (stream.isTTY === true && process.env.TERM !== "dumb");
  const begin = now();
  const rate = createRate(begin, start);
  let done = start;
  let text = "";
  let lastOutput = drawsBar ? Number.NEGATIVE_INFINITY : begin;
  let barShown = false;
  let finished = false;

  const parts = (): ProgressParts => ({ label, done, total, text, unit, perSecond: rate.perSecond() });

  function draw(): void {
    stream.write(CLEAR + barLine(parts(), stream.columns || 80));
    barShown = true;
  }

  return {
    update(newDone, newText = text) {
      if (finished) return;
      done = newDone;
      text = oneLine(newText);
      const time = now();
      rate.add(time, done);
      const due = time - lastOutput >= (drawsBar ? REDRAW_MS : PLAIN_LINE_MS);
      if (!due && !(drawsBar && done >= total)) return;
      lastOutput = time;
      if (drawsBar) draw();
      else stream.write(`${plainLine(parts())}\n`);
    },
    log(line) {
      stream.write(`${barShown ? CLEAR : ""}${line}\n`);
      if (barShown && !finished) draw();
      else if (!drawsBar) lastOutput = now();
    },
    finish(closing) {
      if (finished) return;
      finished = true;
      const seconds = (now() - begin) / 1000;
      const units = done - start;
      const speed = seconds > 0 ? `, ${formatRate(units / seconds, unit)}` : "";
      const line =
        closing ??
        `${label}: ${formatCount(units)} ${unit}${units === 1 ? "" : "s"} in ${formatDuration(seconds)}${speed}`;
      stream.write(`${barShown ? CLEAR : ""}${line === "" ? "" : `${line}\n`}`);
      barShown = false;
    },
  };
}

/** Units per second over the last `RATE_WINDOW_MS`, from a handful of marks. */
function createRate(begin: number, start: number) {
  let marks = [{ time: begin, done: start }];
  let latest = marks[0]!;
  return {
    add(time: number, done: number): void {
      latest = { time, done };
      if (time - marks.at(-1)!.time >= RATE_WINDOW_MS / 10) marks.push(latest);
      const recent = marks.findIndex((mark) => time - mark.time <= RATE_WINDOW_MS);
      // One mark older than the window stays: without it a unit slower than the window would have no rate.
      if (recent > 1) marks = marks.slice(recent - 1);
      else if (recent < 0) marks = marks.slice(-1);
    },
    perSecond(): number {
      const from = marks.findLast((mark) => mark.time < latest.time);
      const first = marks[0]!.time < latest.time ? marks[0]! : from;
      return first ? ((latest.done - first.done) / (latest.time - first.time)) * 1000 : Number.NaN;
    },
  };
}

interface ProgressParts {
  label: string;
  done: number;
  total: number;
  text: string;
  unit: string;
  perSecond: number;
}

function facts({ done, total, unit, perSecond }: ProgressParts): string[] {
  const known = Number.isFinite(total) && total > 0;
  const left = (total - done) / perSecond;
  return [
    known ? `${formatCount(done)}/${formatCount(total)}` : `${formatCount(done)} ${unit}s`,
    ...(perSecond > 0 ? [formatRate(perSecond, unit)] : []),
    ...(known && perSecond > 0 && left > 0 ? [`${formatDuration(Math.ceil(left))} left`] : []),
  ];
}

function share({ done, total }: ProgressParts): number | undefined {
  return Number.isFinite(total) && total > 0 ? Math.min(1, Math.max(0, done / total)) : undefined;
}

/** 99.9 % is not yet 100 %: rounded down. */
function percent(part: number): string {
  return formatPercent(Math.floor(part * 100) / 100, 0).padStart(5);
}

function plainLine(p: ProgressParts): string {
  const part = share(p);
  return [
    `${p.label}${part === undefined ? "" : ` ${percent(part).trim()}`}`,
    ...facts(p),
    ...(p.text ? [p.text] : []),
  ].join("  ");
}

/** At most `columns - 1` wide: a line as wide as the terminal would wrap on some. */
function barLine(p: ProgressParts, columns: number): string {
  const room = Math.max(1, columns - 1);
  const part = share(p);
  const head = `${p.label}${part === undefined ? "" : ` ${percent(part)}`}`;
  const tail = [...facts(p), ...(p.text ? [p.text] : [])].join("  ");
  const free = room - stringWidth(head) - stringWidth(tail) - 3;
  const size = part === undefined || room < 40 ? 0 : Math.max(8, Math.min(30, free));
  return truncate(size === 0 ? `${head}  ${tail}` : `${head} ${bar(part!, size)} ${tail}`, room);
}

const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

function bar(part: number, size: number): string {
  const eighths = Math.floor(part * size * 8);
  const filled = "█".repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
  return filled + "░".repeat(size - filled.length);
}

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

/** The text in at most `columns` columns, the last one "…" where something was cut off. */
function truncate(text: string, columns: number): string {
  if (stringWidth(text) <= columns) return text;
  let kept = "";
  let used = 0;
  for (const { segment } of graphemes.segment(text)) {
    used += stringWidth(segment);
    if (used > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** The line that is redrawn must stay one line. */
function oneLine(text: string): string {
  return stripVTControlCharacters(text).replace(/\s*[\r\n]+\s*/g, " ");
}
