// The one error class of the project. Every message says what, where, what was found and how to mend it, in
// one line; the code is for programs, the cause for `--debug`.
import { distance } from "fastest-levenshtein";

export type ErrorCode =
  | "E_ARGUMENT" // a value given by the caller is out of its domain
  | "E_SHAPE" // rows, columns or ranks do not fit
  | "E_NOT_FINITE" // NaN or infinity where numbers are needed
  | "E_OPTION" // an unknown or contradictory option
  | "E_FILE" // a file is missing, unreadable, cut short or not what its name says
  | "E_MODEL" // an ONNX model that cannot be read or used
  | "E_NAME" // a name (tap, input, output) that does not exist
  | "E_NO_GRADIENT" // an op without a gradient rule stands between a parameter and the loss
  | "E_OP" // an op, or a form of it, that we do not know
  | "E_DATA" // data that does not fit the model or itself
  | "E_RUN" // a run folder that exists already, is locked or cannot be resumed
  | "E_DIVERGED" // the loss is not finite any more
  | "E_RUNTIME"; // ONNX Runtime refused or failed

export class DistillError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "DistillError";
    this.code = code;
  }
}

/**
 * Up to three of `known` that lie near `name`, nearest first, for "did you mean": at most two letters of five are others, all
 * are the same in another order, or one name holds the other. Of names of two or three letters a letter makes another name.
 */
export function nearestNames(name: string, known: Iterable<string>): string[] {
  const lower = name.toLowerCase();
  return [...known]
    .map((k) => ({ k, d: nearness(lower, k.toLowerCase()) }))
    .filter(({ d }) => d <= 0.5)
    .sort((a, b) => a.d - b.d)
    .slice(0, 3)
    .map(({ k }) => k);
}

/** 0 for equal names, up to 0.5 for near ones. */
function nearness(a: string, b: string): number {
  if (a === b) return 0;
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  const letters = (text: string) => [...text].sort().join("");
  const edits = distance(a, b) / long.length;
  if (long.length > 3 && (edits <= 0.4 || letters(a) === letters(b))) return Math.min(edits, 0.4);
  const holds = long.includes(short) && (short.length > 2 || long.length - short.length < 2);
  return holds ? 0.5 : Infinity;
}

/** ` Did you mean "a" or "b"?`, or nothing. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const near = nearestNames(name, known).map((k) => JSON.stringify(k));
  if (near.length === 0) return "";
  return ` Did you mean ${near.length > 1 ? `${near.slice(0, -1).join(", ")} or ${near.at(-1)}` : near[0]}?`;
}

/** Refuses keys that `known` does not have: a misspelt option must not be silently ignored. */
export function checkKeys(what: string, given: object, known: readonly string[]): void {
  for (const key of Object.keys(given)) {
    if (!known.includes(key))
      throw new DistillError("E_OPTION", `${what}: unknown option "${key}".${didYouMean(key, known)}`);
  }
}
