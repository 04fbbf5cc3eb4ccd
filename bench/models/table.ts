// The comparisons as tables of docs/models.md: one line for each architecture, the worst of what its exporters made.
import {
  type Comparison,
  differs,
  type FormComparison,
  type GradientError,
  largest,
} from "./compare-model.ts";
import type { Exported, Reference } from "./reference.ts";

/** One model of one exporter. */
export interface Line {
  readonly model: Pick<Reference, "name" | "source" | "inputs" | "parameters"> & {
    /** By exporter. */
    readonly made: Readonly<Record<string, Made | { readonly failed: string }>>;
  };
  readonly exporter: string;
  /** Why we could not read, compile or run it. */
  readonly error?: string;
  readonly comparison?: Comparison;
}

type Made = Pick<Exported, "nodes" | "notHeld">;

const frozenHeads = [
  "model",
  "source",
  "inputs",
  "parameters",
  "exporters: nodes",
  "tensors",
  "worst error",
  "of",
  "PyTorch float32",
  "float64",
  "step",
  "result",
];

const trainingHeads = [
  "model",
  "tensors",
  "worst error",
  "of",
  "PyTorch float32",
  "float64",
  "statistics",
  "step",
  "result",
];

/** The tables and what is to be said of single models; what stands around them is the page's. */
export function renderTables(lines: readonly Line[]): string {
  const names = [...new Set(lines.map((l) => l.model.name))];
  const models = names.map((name) => lines.filter((l) => l.model.name === name));
  const training = lines.filter((l) => l.comparison?.training);
  const failing = lines.filter((l) => problems(l).length > 0);
  return [
    "### Running statistics",
    "",
    rendered(frozenHeads, models.map(frozenCells)),
    "",
    "### Statistics of the batch",
    "",
    rendered(trainingHeads, training.map(trainingCells)),
    "",
    `${lines.length - failing.length} of ${lines.length} exported models: same.`,
    ...notes(lines),
    "",
  ].join("\n");
}

function frozenCells(lines: readonly Line[]): string[] {
  const { model } = lines[0] as Line;
  const forms = lines.flatMap((l) => l.comparison?.frozen ?? []);
  return [
    model.name,
    model.source,
    Object.values(model.inputs)
      .map((dims) => dims.join("×"))
      .join(", "),
    model.parameters.toLocaleString("en-US"),
    lines.map((l) => `${l.exporter} ${madeOf(l)?.nodes ?? "–"}`).join(", "),
    range(forms.map((f) => f.gradients.length)),
    ...errorCells(forms),
    lowered(forms),
    result(lines),
  ];
}

function trainingCells(line: Line): string[] {
  const form = line.comparison?.training as FormComparison;
  return [
    line.model.name,
    String(form.gradients.length),
    ...errorCells([form]),
    shortest(largest(form.statistics)?.error),
    lowered([form]),
    result([line]),
  ];
}

/** Worst error, whose it is, PyTorch's own worst, and the worst in float64 where float32 can't tell. */
function errorCells(forms: readonly FormComparison[]): string[] {
  const errors = forms.flatMap((f) => f.gradients);
  const worst = largest(errors);
  const own = errors.filter((e) => !e.zero).map((e) => e.own ?? 0);
  return [
    shortest(worst?.error),
    worst ? `\`${worst.of}\`` : "",
    own.length > 0 ? shortest(Math.max(...own)) : "",
    shortest(largest(errors, "exact")?.exact),
  ];
}

/** What a step took from the loss, as a share of what the gradient promised: the worst. */
function lowered(forms: readonly FormComparison[]): string {
  const shares = forms.map((f) => f.descent);
  if (shares.length === 0) return "";
  return `${(100 * Math.min(...shares)).toFixed(0)} %`;
}

function result(lines: readonly Line[]): string {
  const found = lines.flatMap((l) => problems(l).map((p) => `${l.exporter}: ${p}`));
  return found.length > 0 ? escaped(found.join("; ")) : "same";
}

/** What is the matter with a model; an exporter that made none is not our matter. */
function problems(line: Line): string[] {
  const { error, comparison: c } = line;
  if (!madeOf(line)) return [];
  if (error || !c) return [error ?? "not compared"];
  return [
    c.frozen.gradients.some(differs) ? "gradients differ" : "",
    c.training?.gradients.some(differs) ? "gradients on the statistics of the batch differ" : "",
    c.training?.statistics.some(differs) ? "running statistics differ" : "",
    c.notTrained.length > 0 ? `not trained: ${c.notTrained.join(", ")}` : "",
    c.roundTrip ? "" : "the round trip changes the output",
    c.frozen.descent > 0 && (c.training?.descent ?? 1) > 0 ? "" : "a step does not lower the loss",
  ].filter((p) => p !== "");
}

function madeOf({ model, exporter }: Line): Made | undefined {
  const made = model.made[exporter];
  return made && !("failed" in made) ? made : undefined;
}

/** What a reader should know beside the figures. */
function notes(lines: readonly Line[]): string[] {
  const said = (title: string, of: (line: Line) => readonly string[]): string[] => {
    const items = lines.flatMap((l) => of(l).map((n) => `- ${l.model.name}, ${l.exporter}: ${n}`));
    return items.length > 0 ? ["", title, "", ...items] : [];
  };
  const quoted = (names: readonly string[] = []): string[] => names.map((n) => `\`${n}\``);
  return [
    ...said("Where PyTorch's exporter makes no model:", ({ model, exporter }) => {
      const made = model.made[exporter];
      return made && "failed" in made ? [escaped(made.failed)] : [];
    }),
    ...said("Constants of a model that are trained though they are no parameters of PyTorch's:", (l) =>
      quoted(l.comparison?.alsoTrained),
    ),
    ...said("Parameters of PyTorch's that the exported model does not hold:", (l) =>
      quoted(madeOf(l)?.notHeld),
    ),
    ...zeros(lines),
  ];
}

function zeros(lines: readonly Line[]): string[] {
  const counts = lines.flatMap(({ model, exporter, comparison }) => {
    const all = comparison?.frozen.gradients ?? [];
    const none = all.filter((g) => g.zero);
    return none.length > 0
      ? [`${model.name} (${exporter}) ${none.length}, such as \`${(none[0] as GradientError).of}\``]
      : [];
  });
  return counts.length > 0 ? ["", `Parameters whose gradient is zero: ${counts.join("; ")}.`] : [];
}

function rendered(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  return [heads, heads.map(() => "---"), ...rows].map((r) => `| ${r.join(" | ")} |`).join("\n");
}

function range(counts: readonly number[]): string {
  const [low, high] = [Math.min(...counts), Math.max(...counts)];
  if (counts.length === 0) return "";
  return low === high ? String(low) : `${low}–${high}`;
}

function shortest(error: number | undefined): string {
  return error === undefined ? "" : error.toExponential(1);
}

function escaped(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
