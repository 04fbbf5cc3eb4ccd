// What came out of ONNX's backend tests, as docs/ops.md shows it.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { SuiteResult } from "./suite.ts";

const path = fileURLToPath(new URL("./onnx-suite.json", import.meta.url));

export interface SuiteSummary {
  readonly models: number;
  readonly agree: number;
  readonly differ: readonly string[];
  /** Why the rest is not compared, most frequent first. */
  readonly rest: readonly {
    readonly why: string;
    readonly models: number;
    readonly ops: readonly string[];
  }[];
}

export function summaryOf(results: readonly SuiteResult[]): SuiteSummary {
  const rest = new Map<string, { models: number; ops: Set<string> }>();
  for (const { outcome, ops } of results) {
    if (outcome.kind !== "not run") continue;
    const why = reasonOf(outcome.why, ops);
    const group = rest.get(why) ?? { models: 0, ops: new Set() };
    rest.set(why, group);
    group.models++;
    for (const op of opsOf(outcome.why, ops)) group.ops.add(op);
  }
  return {
    models: results.length,
    agree: results.filter((r) => r.outcome.kind === "agrees").length,
    differ: results.flatMap((r) => (r.outcome.kind === "differs" ? [`${r.name}: ${r.outcome.what}`] : [])),
    rest: [...rest]
      .map(([why, { models, ops }]) => ({ why, models, ops: [...ops].sort() }))
      .sort((p, q) => q.models - p.models || (p.why < q.why ? -1 : 1)),
  };
}

/** Patterns of what stops a model, and what the page says of it. */
const reasons: readonly (readonly [RegExp, string])[] = [
  [/is older than 7/, "an opset below 7: refused with the advice to convert the model"],
  [
    /preview\.training|declares no ai\.onnx opset/,
    "steps of optimizers and gradients as nodes (ai.onnx.preview.training)",
  ],
  [/^E_OP no rule for op/, "no rule: refused, unless no gradient passes it"],
  [/Could not find an implementation/, "ONNX Runtime has no kernel for the element type"],
  [/Unsupported data type: 16/, "bfloat16 is no element type of a student"],
  [/output_mean/, "running statistics as outputs: in a step they are its own"],
];

function reasonOf(why: string, ops: readonly string[]): string {
  const all = `${why} ${ops.join(" ")}`;
  const found = reasons.find(([pattern]) => pattern.test(all));
  if (found) return found[1];
  // Refusals name the op, then say why; an op's own message names its node, too.
  return why.replace(/^E_\w+ /, "").replace(/^\w+( at node "[^"]*")?: /, "");
}

/** The op that stops a model, where it is said; else all of its ops, where they are few. */
function opsOf(why: string, ops: readonly string[]): readonly string[] {
  const named = /^(?:E_\w+ )?(?:no rule for op )?([A-Z]\w+)(?:: | at node )/.exec(why)?.[1];
  if (named) return [named];
  return /is older than 7/.test(why) || ops.length > 2 ? [] : ops;
}

export const readSummary = (): SuiteSummary => JSON.parse(readFileSync(path, "utf8")) as SuiteSummary;
/** Returns the path. */
export function writeSummary(summary: SuiteSummary): string {
  writeFileSync(path, JSON.stringify(summary));
  return path;
}

/** The part of docs/ops.md about them. */
export function conformanceSection({ models, agree, rest }: SuiteSummary): string {
  return `## ONNX's own tests

The backend tests of ONNX 1.12 as Debian packs them (\`libonnx-testdata\`), ${count(models)} models of one op with inputs and outputs: each is read,
run as a step runs it and held to the stored outputs with the suite's own tolerance (0.001 relative). **${count(agree)} agree**, none of
the compared differs; the other ${count(models - agree)} are not compared:

| models | because | ops |
| --- | --- | --- |
${rest.map((r) => `| ${r.models} | ${r.why} | ${r.ops.join(", ")} |`).join("\n")}

\`npx tsx scripts/conformance.ts\` renews this; a test holds it to the suite where the package is installed.`;
}

const count = (n: number): string => n.toLocaleString("en-US");
