// Writes the tables of docs/quality.md: each study's compare.md between the marks of its name. Keeps the results of every
// run under bench/quality/results, for whoever wants to test them otherwise.
//
//   npx tsx bench/quality/page.ts [--runs bench/quality/runs]
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { RowResult } from "../../src/compare/comparison.ts";
import { writeWhole } from "../../src/train/run-folder.ts";
import { studies } from "./studies.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({ options: { runs: { type: "string", default: here("./runs") } } });
const page = here("../../docs/quality.md");
let text = readFileSync(page, "utf8");
for (const name of Object.keys(studies)) {
  const folder = join(values.runs, name);
  if (!existsSync(join(folder, "compare.md"))) {
    console.log(`${name}: no finished comparison in ${folder}`);
    continue;
  }
  const [from, to] = [`<!-- ${name} -->\n`, `<!-- end of ${name} -->`];
  const [start, end] = [text.indexOf(from), text.indexOf(to)];
  if (start < 0 || end < start) throw new Error(`${page} has no place for ${name}: ${from.trim()} … ${to}`);
  const table = readFileSync(join(folder, "compare.md"), "utf8");
  text = `${text.slice(0, start + from.length)}\n${table}\n${text.slice(end)}`;
  const { metric, results } = JSON.parse(readFileSync(join(folder, "compare.json"), "utf8")) as {
    metric: string;
    results: RowResult[];
  };
  mkdirSync(here("./results"), { recursive: true });
  writeWhole(here(`./results/${name}.json`), `${JSON.stringify({ metric, results }, null, 2)}\n`);
  console.log(`${name}: ${results.length} runs`);
}
writeWhole(page, text);
