// --class-map: the teacher's class of each of the student's, as typed or from a file (JSON or text), by number or by name.
import { DistillError, didYouMean } from "../base/errors.ts";
import type { ClassMap } from "../train/class-map.ts";
import { readOptionFile } from "./option-file.ts";

const forms =
  'numbers of the teacher\'s classes, one for each of the student\'s (2,0 or [2, [0, 4]] or one a line), or names, {"teacher": ["a", "b", …], "student": ["b", …]}';

/** Error: E_OPTION for what is neither a map nor a file that holds one. */
export function readClassMap(text: string): ClassMap {
  const typed = fromText(text, ",");
  if (typed) return typed;
  const content = readOptionFile("--class-map", text, forms);
  const read =
    fromJson(text, content) ?? fromText(content.trim(), /[\r\n]+/) ?? fromText(content.trim(), /[,;\s]+/);
  if (!read) throw new DistillError("E_OPTION", `--class-map ${text}: the file holds no map; write ${forms}`);
  return read;
}

/** 2,0 and, taken together, 0+4. */
function fromText(text: string, between: string | RegExp): ClassMap | undefined {
  const entries = text.split(between).map((e) => e.trim());
  if (!entries.every((e) => /^\d+(\s*\+\s*\d+)*$/.test(e))) return undefined;
  return entries
    .map((e) => e.split("+").map(Number))
    .map((all) => (all.length === 1 ? (all[0] as number) : all));
}

function fromJson(source: string, content: string): ClassMap | undefined {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return undefined;
  }
  if (Array.isArray(value)) return value as ClassMap;
  const { teacher, student } = (value ?? {}) as { teacher?: unknown; student?: unknown };
  if (!isNames(teacher) || !isNames(student)) return undefined;
  return student.map((name) => {
    const at = teacher.indexOf(name);
    if (at >= 0) return at;
    throw new DistillError(
      "E_OPTION",
      `--class-map ${source}: the teacher has no class "${name}".${didYouMean(name, teacher)}`,
    );
  });
}

const isNames = (v: unknown): v is string[] => Array.isArray(v) && v.every((n) => typeof n === "string");
