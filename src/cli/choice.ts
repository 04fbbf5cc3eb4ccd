// `name[:option=value,…]`, the form of --loss and --intermediate -> a name and typed options, by a table of what there is.
// Checks names and kinds; whether a value makes sense is the strategy's job.
import { DistillError, didYouMean } from "../base/errors.ts";
import type { WeightSchedule } from "../strategies/weight-schedule.ts";

/** What the text of an option becomes. */
export type OptionKind = "number" | "text" | "switch" | "number or text";

export interface Choosable {
  readonly summary: string;
  /** By name as it is typed; without those that all of a table have. */
  readonly options: Readonly<Record<string, OptionKind>>;
}

export interface Choice<Name extends string> {
  readonly name: Name;
  /** In camelCase, as constructors take them. */
  readonly options: Readonly<Record<string, unknown>>;
  /** How the weight moves over the run, where that was said. */
  readonly schedule?: WeightSchedule;
}

/** Options of every loss that say how its weight moves over the run (see WeightSchedule). */
export const scheduleOptions = {
  start: "number",
  warmup: "number",
  decay: "text",
  end: "number",
  final: "number",
  unit: "text",
} as const satisfies Record<string, OptionKind>;

export interface ChoiceTable<Name extends string> {
  /** `--intermediate` */
  readonly flag: string;
  readonly choices: Readonly<Record<Name, Choosable>>;
  /** Options that all of them have. */
  readonly common: Readonly<Record<string, OptionKind>>;
}

/** Error: `E_OPTION`, with the nearest names. */
export function parseChoice<Name extends string>(text: string, table: ChoiceTable<Name>): Choice<Name> {
  const { flag, choices, common } = table;
  const names = Object.keys(choices);
  const colon = text.indexOf(":");
  const name = (colon < 0 ? text : text.slice(0, colon)) as Name;
  if (!names.includes(name))
    throw new DistillError(
      "E_OPTION",
      `${flag} ${text}: there is no loss "${name}".${didYouMean(name, names)} Known: ${names.join(", ")}.`,
    );
  const kinds: Record<string, OptionKind> = { ...common, ...choices[name].options, ...scheduleOptions };
  const options: Record<string, unknown> = {};
  const schedule: Record<string, unknown> = {};
  for (const part of colon < 0 ? [] : text.slice(colon + 1).split(",")) {
    const equals = part.indexOf("=");
    const key = equals < 0 ? part : part.slice(0, equals);
    const kind = Object.hasOwn(kinds, key) ? kinds[key] : undefined;
    if (kind === undefined)
      throw new DistillError(
        "E_OPTION",
        `${flag} ${text}: ${name} has no option "${key}".${didYouMean(key, Object.keys(kinds))} Its options: ${Object.keys(kinds).join(", ")}.`,
      );
    const value = readValue(`${flag} ${text}`, part, kind, equals < 0 ? undefined : part.slice(equals + 1));
    if (Object.hasOwn(scheduleOptions, key)) schedule[key] = value;
    else options[key.replace(/-([a-z])/g, (_, c: string) => c.toUpperCase())] = value;
  }
  return { name, options, ...(Object.keys(schedule).length > 0 && { schedule: schedule as WeightSchedule }) };
}

/** Runs `make`, so that an error of the strategy's names the option as it was typed. */
export function named<T>(flag: string, text: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof DistillError)) throw cause;
    throw new DistillError(cause.code, `${flag} ${text}: ${cause.message}`, { cause });
  }
}

/** A line for each of a table, for help. */
export function choiceLines(choices: Readonly<Record<string, Choosable>>): string {
  const width = Math.max(...Object.keys(choices).map((n) => n.length)) + 1;
  return Object.entries(choices)
    .map(([name, { summary, options }]) => {
      const keys = Object.keys(options);
      return `  ${name.padEnd(width)} ${summary}${keys.length > 0 ? ` (options: ${keys.join(", ")})` : ""}`;
    })
    .join("\n");
}

function readValue(where: string, part: string, kind: OptionKind, value: string | undefined): unknown {
  const refuse = (wanted: string) => new DistillError("E_OPTION", `${where}: "${part}" should be ${wanted}`);
  if (kind === "switch") {
    if (value === undefined || value === "true") return true;
    if (value === "false") return false;
    throw refuse("a switch: alone, or with =true or =false");
  }
  if (value === undefined || value === "") throw refuse("name=value");
  const number = Number(value);
  if (kind === "text" || (kind === "number or text" && Number.isNaN(number))) return value;
  if (!Number.isFinite(number)) throw refuse("a number");
  return number;
}
