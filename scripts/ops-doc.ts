// Writes docs/ops.md from the op table.
//
//   npx tsx scripts/ops-doc.ts
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { tableKey } from "../src/ops/builder.ts";
import { isPrimitive, isRefusal, notDifferentiable, type OpDefinition, zero } from "../src/ops/define.ts";
import { opTable } from "../src/ops/index.ts";
import { conformanceSection, readSummary } from "../test/conformance/summary.ts";

export const opsDocPath = fileURLToPath(new URL("../docs/ops.md", import.meta.url));

const kinds = ["rule", "composed", "zero", "none", "refused"] as const;
type Kind = (typeof kinds)[number];

function kindOf(definition: OpDefinition): Kind {
  if (isRefusal(definition)) return "refused";
  if (!isPrimitive(definition)) return "composed";
  if (definition.grad === notDifferentiable) return "none";
  return definition.grad === zero ? "zero" : "rule";
}

const titles: Record<Kind, string> = {
  rule: `## With a gradient rule of their own`,
  composed: `## Composed: written as other ops, whose gradients make theirs`,
  zero: `## Without effect on the gradient: it is zero wherever it exists`,
  none: `## Without a gradient: an error if a trained weight needs it`,
  refused: `## Refused in a student, before anything runs`,
};

/** The text of docs/ops.md. */
export function opsDoc(): string {
  const all = [...opTable.values()].sort((a, b) => (name(a) < name(b) ? -1 : 1));
  const parts = kinds.flatMap((kind) => {
    const rows = all.filter((d) => kindOf(d) === kind);
    return rows.length === 0 ? [] : [`${titles[kind]} (${rows.length})\n\n${table(kind, rows)}`];
  });
  return `${head}\n\n${parts.join("\n\n")}\n\n${conformanceSection(readSummary())}\n`;
}

const head = `# Ops of a student

Written from the op table in \`src/ops/\` by \`npx tsx scripts/ops-doc.ts\`; do not edit. A test holds it to the table.

A student may contain these ops, in the versions that the opsets in the second column began; a version is read by every later
opset until the next one. A teacher may contain whatever ONNX Runtime runs. Model-local functions, and \`If\` nodes whose
condition follows from constants or shapes, are written out first, so what counts is what is in them. What is computed from
shapes and constants alone is computed once, before training, and needs no gradient whatever its op. What comes before the first
trained weight, or behind frozen ones alone, may be anything that ONNX Runtime runs: what has no rule runs as it stands, before
each step.
\`onnx-distill inspect model.onnx\` says the same of one model.`;

const name = (d: OpDefinition): string => tableKey(d.op, d.domain);

function table(kind: Kind, rows: readonly OpDefinition[]): string {
  if (kind === "refused")
    return ["| op | because |", "| --- | --- |", ...rows.map((d) => `| ${name(d)} | ${reason(d)} |`)].join(
      "\n",
    );
  return [
    "| op | since opset | remarks |",
    "| --- | --- | --- |",
    ...rows.map((d) => `| ${name(d)} | ${d.versions.join(", ")} | ${remark(d)} |`),
  ].join("\n");
}

const reason = (d: OpDefinition): string => (isRefusal(d) ? d.refused : "");
const remark = (d: OpDefinition): string => (isRefusal(d) ? "" : (d.note ?? ""));

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(opsDocPath, opsDoc());
