// Patterns of names, as --freeze and --train take them: `*` stands for any characters, the rest for itself.
import { DistillError, didYouMean } from "../base/errors.ts";

export interface NamePattern {
  readonly pattern: string;
  readonly test: (name: string) => boolean;
  /** Characters that stand for themselves; an exact name is more specific than any pattern with `*`. */
  readonly specific: number;
}

/** Whether a name fits a pattern. */
export function patternTest(pattern: string): (name: string) => boolean {
  const parts = pattern.split("*").map((s) => s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const regex = new RegExp(`^${parts.join(".*")}$`);
  return (name) => regex.test(name);
}

/** @throws E_NAME, naming the option (`--freeze`), for a pattern that none of the names fits. */
export function namePatterns(
  option: string,
  patterns: readonly string[],
  names: readonly string[],
  source: string,
): NamePattern[] {
  return patterns.map((pattern) => {
    const parts = pattern.split("*");
    const test = patternTest(pattern);
    if (!names.some(test))
      throw new DistillError(
        "E_NAME",
        `${option} '${pattern}' matches no weight of ${source}.${didYouMean(pattern.replaceAll("*", ""), names)}`,
      );
    const literal = parts.join("").length;
    return { pattern, test, specific: parts.length === 1 ? Number.POSITIVE_INFINITY : literal };
  });
}

/** The most specific of the patterns that fit one of the names; undefined if none does. */
export function fitting(patterns: readonly NamePattern[], names: readonly string[]): NamePattern | undefined {
  return patterns
    .filter((p) => names.some(p.test))
    .reduce<NamePattern | undefined>(
      (best, p) => (best && best.specific >= p.specific ? best : p),
      undefined,
    );
}
