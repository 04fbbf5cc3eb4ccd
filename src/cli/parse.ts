// Values of options as text -> checked values, and the few options that several commands share. Every refusal says
// what would have been right.
import { InvalidArgumentError, Option } from "commander";
import { didYouMean } from "../base/errors.ts";

/** A finite number; `least` and `most` are bounds with, `above` and `below` without the bound itself. */
export function number(bounds: { least?: number; above?: number; most?: number; below?: number } = {}) {
  const { least, above, most, below } = bounds;
  const wanted =
    least !== undefined && most !== undefined
      ? ` from ${least} to ${most}`
      : least !== undefined && below !== undefined
        ? ` from ${least} to less than ${below}`
        : above !== undefined
          ? ` above ${above}`
          : least !== undefined
            ? ` from ${least} on`
            : "";
  return (text: string): number => {
    const value = toNumber(text);
    const fits =
      value !== undefined &&
      (least === undefined || value >= least) &&
      (above === undefined || value > above) &&
      (most === undefined || value <= most) &&
      (below === undefined || value < below);
    if (!fits) throw new InvalidArgumentError(`Expected a number${wanted}.`);
    return value;
  };
}

/** A whole number, from `least` on if that is given. */
export function whole(least?: number) {
  return (text: string): number => {
    const value = toNumber(text);
    if (value === undefined || !Number.isSafeInteger(value) || (least !== undefined && value < least))
      throw new InvalidArgumentError(
        `Expected a whole number${least === undefined ? "" : ` from ${least} on`}.`,
      );
    return value;
  };
}

/** One number, or several with commas between them. */
export function numbers(text: string): number | number[] {
  const values = text.split(",").map(toNumber);
  if (values.includes(undefined))
    throw new InvalidArgumentError("Expected a number, or one per channel with commas between them.");
  return values.length === 1 ? (values[0] as number) : (values as number[]);
}

/** `name=64`, collected over the times that the option is given. */
export function sizes(text: string, before: Record<string, number> = {}): Record<string, number> {
  const at = text.lastIndexOf("=");
  const size = at > 0 ? toNumber(text.slice(at + 1)) : undefined;
  if (size === undefined || !Number.isSafeInteger(size) || size < 1)
    throw new InvalidArgumentError("Expected a dimension's name and its size, for example height=64.");
  return { ...before, [text.slice(0, at)]: size };
}

/** Collects the values of an option that may be given more than once. */
export const several = (text: string, before: string[] = []): string[] => [...before, text];

function toNumber(text: string): number | undefined {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** An option whose value is checked by `parse`. */
/** An option whose value is one of a few words; another is refused with the nearest. */
export function choice(flags: string, description: string, known: readonly string[]): Option {
  // The parser after the choices: help lists them, and the refusal is ours.
  return new Option(flags, description).choices(known).argParser((text: string) => {
    if (known.includes(text)) return text;
    throw new InvalidArgumentError(`Allowed choices are ${known.join(", ")}.${didYouMean(text, known)}`);
  });
}

export function option<T>(
  flags: string,
  description: string,
  parse?: (text: string, before: T) => T,
): Option {
  const made = new Option(flags, description);
  return parse ? made.argParser<T>(parse) : made;
}

export const dataOptions = (what: string): Option[] => [
  option("--data <path>", what),
  option(
    "--mean <numbers>",
    "subtracted from each value after it is scaled to [0, 1] (uint8 data alone is scaled): one number, or one per channel with commas (default: 0)",
    numbers,
  ),
  option(
    "--std <numbers>",
    "divided by after that: one number, or one per channel with commas (default: 1)",
    numbers,
  ),
];

export const threadsOption = (): Option =>
  option("--threads <n>", "threads of ONNX Runtime (default: one per physical core)", whole(1));

export const jsonOption = (what: string): Option => option("--json", what);
