// --class-weights: "balanced", numbers with commas between them, or a file of numbers (a JSON array, or text).
import { DistillError } from "../base/errors.ts";
import { readOptionFile } from "./option-file.ts";

/** Error: E_OPTION for what is neither. */
export function readClassWeights(text: string): readonly number[] | "balanced" {
  if (text === "balanced") return text;
  const typed = toNumbers(text);
  if (typed) return typed;
  const content = readOptionFile("--class-weights", text, "0.5,2 say, a file of numbers, or balanced");
  const read = toNumbers(content.trim().replace(/^\[|\]$/g, ""));
  if (!read)
    throw new DistillError(
      "E_OPTION",
      `--class-weights ${text}: the file holds something else than numbers; write one for each class, as a JSON array or with commas, spaces or line ends between them`,
    );
  return read;
}

function toNumbers(text: string): number[] | undefined {
  const values = text
    .trim()
    .split(/\s*[,;\s]\s*/)
    .map((t) => (t === "" ? Number.NaN : Number(t)));
  return values.every((v) => Number.isFinite(v)) ? values : undefined;
}
