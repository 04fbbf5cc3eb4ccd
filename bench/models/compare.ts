// Our gradients against PyTorch's on the models that export.py wrote: one line each, kept as <folder>/<name>.results.json, and
// the tables of docs/models.md of all that is kept.
//
//   python bench/models/export.py
//   npx tsx bench/models/compare.ts [--folder bench/models/exported] [--write docs/models.md] [NAME ...]
//
// No NAME: every architecture whose results are not kept yet.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";
import { writeWhole } from "../../src/train/run-folder.ts";
import { type Comparison, compareModel, type FormComparison, largest } from "./compare-model.ts";
import { architecturesIn, type Reference, readReference } from "./reference.ts";
import { type Line, renderTables } from "./table.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: "string", default: fileURLToPath(new URL("./exported", import.meta.url)) },
    write: { type: "string" },
  },
});
const { folder, write } = values;
if (!existsSync(folder)) {
  console.error(`${folder} does not exist; make it with: python bench/models/export.py`);
  process.exit(1);
}
const resultsOf = (name: string): string => join(folder, `${name}.results.json`);
const runtime = createNodeRuntime();
const known = architecturesIn(folder);
const unknown = positionals.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`${folder} has no ${unknown.join(", ")}; it has: ${known.join(", ")}`);
  process.exit(1);
}
for (const name of positionals.length > 0 ? positionals : known.filter((n) => !existsSync(resultsOf(n)))) {
  const reference = readReference(folder, name);
  const lines: Line[] = [];
  for (const exporter of Object.keys(reference.models).sort()) {
    lines.push({ model: described(reference), exporter, ...(await compared(reference, exporter)) });
    console.log(oneLine(lines.at(-1) as Line));
  }
  writeWhole(resultsOf(name), JSON.stringify(lines));
}
if (write) {
  const kept = known.map(resultsOf).filter((file) => existsSync(file));
  const lines = kept.flatMap((file) => JSON.parse(readFileSync(file, "utf8")) as Line[]);
  writeWhole(write, withTables(readFileSync(write, "utf8"), renderTables(lines)));
}

/** What the tables say of a model beside the comparison. */
function described({ name, source, inputs, parameters, models }: Reference): Line["model"] {
  const made = Object.entries(models).map(([exporter, m]) => [
    exporter,
    "failed" in m ? m : { nodes: m.nodes, notHeld: m.notHeld },
  ]);
  return { name, source, inputs, parameters, made: Object.fromEntries(made) };
}

/** The page with the tables between its two marks. */
function withTables(page: string, tables: string): string {
  const [begin, end] = ["<!-- measured -->", "<!-- end of what was measured -->"];
  const [before, rest] = page.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined)
    throw new Error(`${write} has no place for the tables: "${begin}" and "${end}"`);
  return `${before}${begin}\n\n${tables}\n${end}${after}`;
}

async function compared(reference: Reference, exporter: string): Promise<Pick<Line, "error" | "comparison">> {
  const model = reference.models[exporter];
  if (!model || "failed" in model) return {};
  try {
    return { comparison: await compareModel(reference, exporter, runtime) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

function oneLine({ model, exporter, error, comparison }: Line): string {
  const what = `${model.name.padEnd(18)} ${exporter.padEnd(11)}`;
  const made = model.made[exporter];
  if (!made || "failed" in made) return `${what} not exported: ${made?.failed}`;
  if (error || !comparison) return `${what} FAILED: ${error}`;
  return `${what} ${figures(comparison, made.notHeld)}`;
}

function figures(c: Comparison, notHeld: readonly string[]): string {
  const listed = (what: string, names: readonly string[]) =>
    names.length > 0 ? `${what}: ${names.join(", ")}` : "";
  const { observe, compile, load, run } = c.seconds;
  const { gradients } = c.frozen;
  return [
    `${gradients.length} tensors, ${form(c.frozen)}`,
    c.training ? `training ${form(c.training)}` : "",
    `output ${c.outputError.toExponential(1)}, loss ${c.lossError.toExponential(1)}`,
    c.roundTrip ? "" : "ROUND TRIP DIFFERS",
    listed(
      "zero",
      gradients.filter((g) => g.zero).map((g) => `${g.of} ${g.error.toExponential(1)}`),
    ),
    listed("also trained", c.alsoTrained),
    listed("not trained", c.notTrained),
    listed("not held", notHeld),
    `observe ${observe.toFixed(1)} s, compile ${compile.toFixed(1)}, load ${load.toFixed(1)}, run ${run.toFixed(1)}`,
  ]
    .filter((s) => s !== "")
    .join("; ");
}

function form({ gradients, statistics, descent }: FormComparison): string {
  const worst = largest(gradients);
  const exact = largest(gradients, "exact");
  const statistic = largest(statistics);
  return [
    `worst ${worst ? `${worst.error.toExponential(1)} (${worst.of})` : "none"}`,
    exact ? `in float64 ${exact.exact?.toExponential(1)} (${exact.of})` : "",
    statistic ? `statistics ${statistic.error.toExponential(1)}` : "",
    `descent ${descent.toFixed(3)}`,
  ]
    .filter((s) => s !== "")
    .join(", ");
}
