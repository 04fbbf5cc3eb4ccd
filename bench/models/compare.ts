// Our gradients against PyTorch's on every model that export.py wrote: one line each, and the table of docs/models.md.
//
//   python bench/models/export.py
//   npx tsx bench/models/compare.ts [--folder bench/models/exported] [--write docs/models.md] [NAME ...]
import { existsSync } from "node:fs";
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
if (!existsSync(values.folder)) {
  console.error(`${values.folder} does not exist; make it with: python bench/models/export.py`);
  process.exit(1);
}
const runtime = createNodeRuntime();
const lines: Line[] = [];
for (const name of architecturesIn(values.folder)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const reference = readReference(values.folder, name);
  for (const exporter of Object.keys(reference.models).sort()) {
    const line: Line = { reference, exporter, ...(await compared(reference, exporter)) };
    lines.push(line);
    console.log(oneLine(line));
  }
}
if (values.write) writeWhole(values.write, renderTables(lines));

async function compared(reference: Reference, exporter: string): Promise<Pick<Line, "error" | "comparison">> {
  const model = reference.models[exporter];
  if (!model || "failed" in model) return {};
  try {
    return { comparison: await compareModel(reference, exporter, runtime) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

function oneLine({ reference, exporter, error, comparison }: Line): string {
  const what = `${reference.name.padEnd(18)} ${exporter.padEnd(11)}`;
  const model = reference.models[exporter];
  if (!model || "failed" in model) return `${what} not exported: ${model?.failed}`;
  if (error || !comparison) return `${what} FAILED: ${error}`;
  return `${what} ${figures(comparison, model.notHeld)}`;
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
      "negligible",
      gradients.filter((g) => g.negligible).map((g) => `${g.of} ${g.error.toExponential(1)}`),
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
