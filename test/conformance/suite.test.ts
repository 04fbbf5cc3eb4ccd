// ONNX's own backend tests, where they are installed: apt-get install libonnx-testdata
import { expect, it } from "vitest";
import { runSuiteCase, type SuiteResult, suiteCases, suiteInstalled } from "./suite.ts";
import { readSummary, summaryOf } from "./summary.ts";

it.skipIf(!suiteInstalled)(
  "ONNX's backend tests agree as docs/ops.md says; `npx tsx scripts/conformance.ts` renews it",
  { timeout: 300_000 },
  async () => {
    const results: SuiteResult[] = [];
    for (const name of suiteCases()) results.push(await runSuiteCase(name));
    const found = summaryOf(results);
    expect(found.differ).toEqual([]);
    const recorded = readSummary();
    // Another release of ONNX has other models.
    if (found.models === recorded.models) expect(found).toEqual(recorded);
  },
);
