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
  return `${head}\n\n${[...parts, served, conformanceSection(readSummary())].join("\n\n")}\n`;
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

/** Where ONNX Runtime was found to differ from the specification or from PyTorch, on valid input. */
const served = `## What is trained is what is served

A random search (\`npm run test:differential\`) holds each op of a step to ONNX Runtime's own kernel. Where the specification leaves
room, or the runtime does otherwise, a step does as the runtime does, because that is what the exported student will do:

| op | ONNX Runtime and the step | elsewhere |
| --- | --- | --- |
| Resize, Upsample | sizes from scales, and places, in float32; nearest takes two neighbours for a tie within 1e-6 | PyTorch takes sizes in double from the scale as it was written (10 · 0.7 is 7 there, too) |
| Resize, antialiased | an axis that keeps its size is copied, whatever its scale | ONNX filters it |
| AffineGrid | places at the distance of a rounding from the middle (of 8: 0.12500004 and −0.12499994) | PyTorch: symmetric |
| Attention | a query that may look at nothing (bool, −∞, lowest float) gives 0 | PyTorch: 0 for bool and −∞, the mean of all values for the lowest float |
| com.microsoft Attention, MultiHeadAttention | such a query looks at all keys alike, also at later ones; \`unidirectional\` leaves the last query all keys |  |
| LSTM, GRU, RNN | the last state of a sequence of length 0 is 0; an LSTM's cell is not clipped; Affine, ScaledTanh and ThresholdedRelu without parameters have 0 | ONNX: the initial state; PyTorch takes no sequence of length 0 |
| MaxPool, AveragePool, LpPool | SAME padding does not count dilations | ONNX counts them |
| ConvTranspose | SAME padding adds nothing where the windows do not reach that far | ONNX pads the output |
| MeanVarianceNormalization | NaN where x is constant | ONNX adds 1e-9 to the deviation: 0 |
| Clip | without a bound, the largest finite number is one | PyTorch lets ∞ pass |
| Slice | a start beyond the first element is the first element; 2³¹ − 1 as an end is open in either direction | NumPy finds nothing there |
| Celu, Shrink, Range, Dropout | the runtime's order of comparisons and sums; the mask of a Dropout that does nothing is false before opset 12 | |

Left as they are, with numbers that no model should rely on: NaN to QuantizeLinear stays NaN (the runtime makes the lowest number of
it), so that a run that diverges is seen to; LRN beside a NaN or ∞, which the runtime spreads over later channels; extrema beside
NaN in Hardmax; Softplus above 88 inside of LSTM, GRU and RNN, which overflows there.`;

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
