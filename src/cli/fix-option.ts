// `--fix name=value`: inputs that are one value for all samples, as text -> as the options of distill() take them.
import { DistillError } from "../base/errors.ts";
import type { Fix, FixedValue } from "../prepare/fixed-inputs.ts";
import { option, several } from "./parse.ts";

export interface FixFlags {
  fix?: string[];
  studentFix?: string[];
  teacherFix?: string[];
}

export const fixOption = (flag = "--fix", what = "an input that is one value for all samples") =>
  option(
    `${flag} <name=value>`,
    `${what}: a number, numbers with commas, zeros, ones or empty (sr=16000, state=zeros); * in the name for any characters; may be repeated`,
    several,
  );

/** Undefined where none is given. E_OPTION for what is no name and value. */
export function parseFix(texts: readonly string[] | undefined, flag = "--fix"): Fix | undefined {
  return texts && Object.fromEntries(texts.map((text) => parseOne(text, flag)));
}

function parseOne(text: string, flag: string): [string, FixedValue] {
  const at = text.lastIndexOf("=");
  const value = at > 0 ? parseValue(text.slice(at + 1).trim()) : undefined;
  if (value === undefined)
    throw new DistillError(
      "E_OPTION",
      `${flag} ${text}: expected an input and its value, for example sr=16000, scales=0.5,1,0.8 or state=zeros`,
    );
  return [text.slice(0, at), value];
}

function parseValue(text: string): FixedValue | undefined {
  if (text === "zeros" || text === "ones" || text === "empty") return text;
  if (text === "true" || text === "false") return text === "true";
  const infinite: Readonly<Record<string, number>> = { inf: Infinity, "-inf": -Infinity };
  const values = text.split(",").map((t) => infinite[t.trim()] ?? (t.trim() === "" ? Number.NaN : Number(t)));
  if (values.some(Number.isNaN)) return undefined;
  return values.length === 1 ? values[0] : values;
}
