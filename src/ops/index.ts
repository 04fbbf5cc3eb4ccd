// The op table: every op that can be part of a student or of a training step.
import { DistillError } from "../base/errors.ts";
import { Graph } from "../graph/graph.ts";
import { activationOps } from "./activation.ts";
import { attentionOps } from "./attention.ts";
import { Builder, type OpTable, tableKey } from "./builder.ts";
import { convolutionOps } from "./convolution.ts";
import type { OpDefinition } from "./define.ts";
import { deformConvOps } from "./deform-conv.ts";
import { einsumOps } from "./einsum.ts";
import { elementwiseOps } from "./elementwise.ts";
import { foldBlockOps } from "./fold-blocks.ts";
import { fourierOps } from "./fourier.ts";
import { fusedOps } from "./fused.ts";
import { gridSampleOps } from "./grid-sample.ts";
import { indexingOps } from "./indexing.ts";
import { linearOps } from "./linear.ts";
import { movementOps } from "./movement.ts";
import { normalizationOps } from "./normalization.ts";
import { fusedNormalizationOps } from "./normalization-fused.ts";
import { poolingOps } from "./pooling.ts";
import { quantizationOps } from "./quantization.ts";
import { recurrentOps } from "./recurrent.ts";
import { reductionOps } from "./reduction.ts";
import { refusedOps } from "./refused.ts";
import { resamplingOps } from "./resampling.ts";
import { roiAlignOps } from "./roi-align.ts";
import { rotaryOps } from "./rotary.ts";
import { shapeArithmeticOps } from "./shape-arithmetic.ts";
import type { Target } from "./target.ts";

/** All families; each lists its ops with their names known to the compiler. */
const families = [
  elementwiseOps,
  activationOps,
  reductionOps,
  linearOps,
  convolutionOps,
  poolingOps,
  normalizationOps,
  fusedNormalizationOps,
  movementOps,
  indexingOps,
  resamplingOps,
  gridSampleOps,
  roiAlignOps,
  deformConvOps,
  fourierOps,
  foldBlockOps,
  shapeArithmeticOps,
  einsumOps,
  fusedOps,
  attentionOps,
  rotaryOps,
  recurrentOps,
  quantizationOps,
] as const;

type Defined = (typeof families)[number][number];
type KeyOf<D extends OpDefinition> = D extends { readonly domain: infer Domain extends string }
  ? Domain extends ""
    ? D["op"]
    : `${Domain}::${D["op"]}`
  : D["op"];
type Known<Key extends string> = string extends Key ? "a family lost the names of its ops" : Key;

/** The table's keys (`tableKey`) of all ops but the refused ones, so that a table by op that leaves one out does not compile. */
export type OpKey = Known<KeyOf<Defined>>;

export const opTable: OpTable = tableOf([...families, refusedOps]);

function tableOf(families: readonly (readonly OpDefinition[])[]): OpTable {
  const table = new Map<string, OpDefinition>();
  for (const definition of families.flat()) {
    const key = tableKey(definition.op, definition.domain);
    if (table.has(key)) throw new DistillError("E_OP", `op ${key} is defined twice in src/ops`);
    table.set(key, definition);
  }
  return table;
}

/** A builder on a new, empty graph for `target`; `away` as `Graph` has it. */
export function newBuilder(name: string, target: Target, away?: (base: string) => string): Builder {
  const opsets: [string, number][] = [["", target.opset]];
  if (target.fusedMatMul) opsets.push(["com.microsoft", 1]);
  return new Builder(new Graph(name, opsets, away), target, opTable);
}
