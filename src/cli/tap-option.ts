// `--tap [name=]teacher[:student]` -> a tap. Names of ONNX values may hold ":" and "=" themselves, so the models decide.
import { DistillError, didYouMean } from "../base/errors.ts";
import type { NamedTap } from "../train/options.ts";

/** Whether a model has a value of that name. */
export interface NameSet {
  has(name: string): boolean;
}

/**
 * Reads the text in every way that its "=" and ":" allow and takes the first way in which both values exist: the
 * whole text as one value's name first, then with a tap name before each "=" from the left, and each of these with
 * the student's value after each ":" from the right. Where no way fits, the one that comes nearest, so
 * that the error which follows names the value that is missing.
 *
 * @example
 * parseTap("features=/layer3/relu:/stage2/relu", teacher, student);
 * // { name: "features", teacher: "/layer3/relu", student: "/stage2/relu" }
 */
export function parseTap(text: string, teacher: NameSet, student: NameSet): NamedTap {
  const readings = readingsOf(text);
  const both = readings.find((r) => teacher.has(r.teacher) && student.has(r.student));
  if (both) return both;
  const one = readings.filter((r) => teacher.has(r.teacher) || student.has(r.student));
  // "relu" in the teacher and not in the student could be half of many readings; the one with the most parts is meant.
  return one.at(-1) ?? plain(text);
}

export interface TapTexts {
  readonly tap?: readonly string[];
  /** Names of taps. */
  readonly project?: readonly string[];
}

/**
 * What all `--tap` and `--project` options together ask for; undefined without a `--tap`. `auto` alone, unless both
 * models have a value of that name, leaves the choice to distill().
 *
 * Errors: E_OPTION for `auto` beside others, E_NAME for a `--project` that no `--tap` has.
 */
export function parseTaps(
  { tap, project = [] }: TapTexts,
  teacher: NameSet,
  student: NameSet,
): NamedTap[] | "auto" | undefined {
  const automatic = tap?.includes("auto") && !(teacher.has("auto") && student.has("auto"));
  if (automatic && tap && tap.length > 1)
    throw new DistillError("E_OPTION", "--tap auto chooses every tap; leave it out, or the others");
  const named = automatic ? [] : (tap ?? []).map((text) => parseTap(text, teacher, student));
  const taps = projectedTaps(named, project);
  return automatic ? "auto" : tap && taps;
}

/** The taps with a learned projection on those that `--project` names. */
export function projectedTaps(taps: readonly NamedTap[], names: readonly string[]): NamedTap[] {
  const known = taps.map((t) => t.name);
  for (const name of names)
    if (!known.includes(name))
      throw new DistillError(
        "E_NAME",
        `--project ${name}: no --tap has that name.${didYouMean(name, known)} There ${known.length === 0 ? "is no tap." : `are: ${known.join(", ")}.`}`,
      );
  return taps.map((t) => (names.includes(t.name) ? { ...t, project: true } : t));
}

function readingsOf(text: string): NamedTap[] {
  const starts = [0, ...places(text, "=").map((i) => i + 1)];
  return starts.flatMap((start) => {
    const name = start === 0 ? undefined : text.slice(0, start - 1);
    const rest = text.slice(start);
    if (name === "" || rest === "") return [];
    const pairs = places(rest, ":")
      .toReversed()
      .map((i) => [rest.slice(0, i), rest.slice(i + 1)] as const)
      .filter(([a, b]) => a !== "" && b !== "");
    return [[rest, rest] as const, ...pairs].map(([t, s]) => ({ name: name ?? s, teacher: t, student: s }));
  });
}

/** The first "=" and the last ":" taken at their word. */
function plain(text: string): NamedTap {
  const equals = text.indexOf("=");
  const rest = equals > 0 ? text.slice(equals + 1) : text;
  const colon = rest.lastIndexOf(":");
  const [teacher, student] =
    colon > 0 && colon < rest.length - 1 ? [rest.slice(0, colon), rest.slice(colon + 1)] : [rest, rest];
  return { name: equals > 0 ? text.slice(0, equals) : student, teacher, student };
}

function places(text: string, mark: string): number[] {
  return [...text.matchAll(new RegExp(mark, "g"))].map((m) => m.index);
}
