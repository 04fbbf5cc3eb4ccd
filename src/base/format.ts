// Numbers as a person reads them: durations, counts, bytes, percentages. Used by the command line and the report, so that
// both say the same. English grouping whatever the machine's locale: output must not differ from machine to machine.

/** A number that may be missing: JSON turns NaN and infinities into null. */
export type MaybeNumber = number | null | undefined;

/** Stands where a number is missing or not a number. */
export const MISSING = "–";

/** True for a number that is neither NaN nor infinite. */
export function isFiniteNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function special(value: unknown): string | undefined {
  if (isFiniteNumber(value)) return undefined;
  if (value === Number.POSITIVE_INFINITY) return "∞";
  if (value === Number.NEGATIVE_INFINITY) return "−∞";
  return MISSING;
}

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** `11,034`. Rounded to a whole number. */
export function formatCount(value: MaybeNumber): string {
  return special(value) ?? grouped.format(value!);
}

/** `950`, `11 k`, `175 k`, `1.3 M`, `2.1 G`: at most three digits, for axes and narrow places. */
export function formatCompact(value: MaybeNumber): string {
  return special(value) ?? withPrefix(value!, ["", " k", " M", " G", " T"]);
}

/** `512 B`, `44.1 kB`, `1.3 MB`: decimal units, three digits. */
export function formatBytes(value: MaybeNumber): string {
  return special(value) ?? withPrefix(value!, [" B", " kB", " MB", " GB", " TB"]);
}

/** Three significant digits with the first unit in which the rounded figure stays below 1000. */
function withPrefix(value: number, units: readonly string[]): string {
  const sign = value < 0 ? "−" : "";
  let size = Math.abs(value);
  let unit = 0;
  while (unit < units.length - 1 && Number(size.toPrecision(3)) >= 1000) {
    size /= 1000;
    unit++;
  }
  const rounded = unit === 0 ? Math.round(size) : Number(size.toPrecision(3));
  return `${sign}${rounded}${units[unit]}`;
}

/** A share in [0, 1] as `88.1 %`. `digits` after the point, default 1. */
export function formatPercent(share: MaybeNumber, digits = 1): string {
  return special(share) ?? `${formatFixed(share! * 100, digits)} %`;
}

/** `0.412`, `12.3`, `1,234`, `4.1e-7`: about three significant digits (`digits`), no trailing noise. */
export function formatNumber(value: MaybeNumber, digits = 3): string {
  const odd = special(value);
  if (odd !== undefined) return odd;
  const v = value!;
  const size = Math.abs(v);
  if (size === 0) return "0";
  if (size >= 1e7 || size < 1e-4) {
    const [mantissa, exponent] = v.toExponential(digits - 1).split("e");
    return `${minus(String(Number(mantissa)))}e${Number(exponent)}`;
  }
  if (size >= 1000) return minus(grouped.format(v));
  return minus(String(Number(v.toPrecision(digits))));
}

/** Always `digits` figures after the point: columns of figures line up. Never `-0.0`. */
export function formatFixed(value: MaybeNumber, digits: number): string {
  const odd = special(value);
  if (odd !== undefined) return odd;
  const text = value!.toFixed(digits);
  return minus(Number(text) === 0 ? text.replace("-", "") : text);
}

function minus(text: string): string {
  return text.replace(/^-/, "−");
}

/** Seconds as `340 ms`, `8.2 s`, `42 s`, `3 min 05 s`, `2 h 04 min`, `1 d 3 h`. Negative counts as 0. */
export function formatDuration(seconds: MaybeNumber): string {
  const odd = special(seconds);
  if (odd !== undefined) return odd;
  const s = Math.max(0, seconds!);
  if (s === 0) return "0 s";
  if (s < 0.9995) return `${s < 0.01 ? Number((s * 1000).toPrecision(2)) : Math.round(s * 1000)} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  const whole = Math.round(s);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
  const hours = Math.round(s / 3600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Milliseconds as `5.67 µs`, `1.2 ms`, `34.1 ms`: for the time that one sample takes. */
export function formatMilliseconds(ms: MaybeNumber): string {
  const odd = special(ms);
  if (odd !== undefined) return odd;
  return ms! < 1 ? `${formatNumber(ms! * 1000)} µs` : `${formatNumber(ms)} ms`;
}

function pad(n: number): string {
  return String(n).padStart(2, "0");
}

/** Things per second as `12.3 steps/s`, or below one a second as `4.2 s/step`. */
export function formatRate(perSecond: MaybeNumber, unit = "step"): string {
  if (!isFiniteNumber(perSecond) || perSecond <= 0) return `${MISSING} ${unit}s/s`;
  if (perSecond >= 1) return `${formatNumber(perSecond)} ${unit}s/s`;
  return `${formatDuration(1 / perSecond)}/${unit}`;
}
