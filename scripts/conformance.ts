// Runs ONNX's backend tests (apt-get install libonnx-testdata) and writes what came out into docs/ops.md.
//
//   npx tsx scripts/conformance.ts
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import {
  runSuiteCase,
  type SuiteResult,
  suiteCases,
  suiteInstalled,
  suiteRoot,
} from "../test/conformance/suite.ts";
import { summaryOf, writeSummary } from "../test/conformance/summary.ts";
import { opsDoc, opsDocPath } from "./ops-doc.ts";

if (!suiteInstalled) {
  console.error(`${suiteRoot} is not there; install Debian's package libonnx-testdata`);
  process.exit(2);
}
const results: SuiteResult[] = [];
for (const name of suiteCases()) results.push(await runSuiteCase(name));
const summary = summaryOf(results);
for (const line of summary.differ) console.log(line);
execFileSync("npx", ["biome", "format", "--write", writeSummary(summary)], { stdio: "ignore" });
writeFileSync(opsDocPath, opsDoc());
console.log(`${summary.agree} of ${summary.models} agree, ${summary.differ.length} differ`);
process.exitCode = summary.differ.length > 0 ? 1 : 0;
