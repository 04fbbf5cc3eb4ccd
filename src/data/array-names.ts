// What the name of an array, or of a file that holds one, says of it: samples or labels, and of which part.

export interface ArrayRole {
  readonly kind: "samples" | "labels";
  /** "other": a part that is neither (validation). */
  readonly part: "train" | "test" | "other" | "all";
  /** Among names of its kind, 0 for the usual one. */
  readonly rank: number;
  /** What else the name says, as the name of the data set: samples and labels that belong together agree in it. */
  readonly rest: string;
}

const samples = ["x", "images", "image", "imgs", "img", "data", "samples", "inputs", "input", "features"];
const labels = ["y", "labels", "label", "lbls", "targets", "target"];
const parts: Readonly<Record<string, ArrayRole["part"]>> = {
  train: "train",
  training: "train",
  test: "test",
  testing: "test",
  t10k: "test",
  val: "other",
  valid: "other",
  validation: "other",
  dev: "other",
};

/** `x_train`, `trainX`, `Xtrain`, `train-images-idx3-ubyte`, `kmnist-test-labels`, …; undefined where it says neither. */
export function roleOf(name: string): ArrayRole | undefined {
  const { words, part } = wordsOf(name);
  const kinds = words.filter((w) => samples.includes(w) || labels.includes(w));
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1 || part === undefined) return undefined;
  const rest = words.filter((w) => w !== kind).join(" ");
  const known = samples.includes(kind) ? samples : labels;
  return { kind: known === samples ? "samples" : "labels", part, rank: known.indexOf(kind), rest };
}

/** The part that a name says and nothing else: `train`, `test_set`; undefined for every other. */
export function partOf(name: string): ArrayRole["part"] | undefined {
  const { words, part } = wordsOf(name);
  return words.every((w) => w === "set" || w === "data") ? part : undefined;
}

/** `part` is undefined where a name says two. */
function wordsOf(name: string): { words: string[]; part: ArrayRole["part"] | undefined } {
  const all = name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, " ")
    .replace(/\b([xy])(train|test|val)\b/g, "$1 $2")
    .replace(/\b(train|test|val)([xy])\b/g, "$1 $2")
    .split(" ")
    .filter((w) => w !== "" && !/^(idx\d|ubyte|gz|npy|npz)$/.test(w));
  const said = all.filter((w) => Object.hasOwn(parts, w));
  const part = said.length > 1 ? undefined : said.length === 1 ? parts[said[0] as string] : "all";
  return { words: all.filter((w) => !Object.hasOwn(parts, w)), part };
}
