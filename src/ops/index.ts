// The op table: every op that can be part of a student or of a training step.
import { DistillError } from "../base/errors.ts";
import { Graph } from "../graph/graph.ts";
import { activationOps } from "./activation.ts";
import { attentionOps } from "./attention.ts";
import { Builder, type OpTable, tableKey } from "./builder.ts";
import { convolutionOps } from "./convolution.ts";
import type { OpDefinition } from "./define.ts";
import { einsumOps } from "./einsum.ts";
import { elementwiseOps } from "./elementwise.ts";
import { fusedOps } from "./fused.ts";
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
import { rotaryOps } from "./rotary.ts";
import { shapeArithmeticOps } from "./shape-arithmetic.ts";
import type { Target } from "./target.ts";

export const opTable: OpTable = tableOf([
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
  shapeArithmeticOps,
  einsumOps,
  fusedOps,
  attentionOps,
  rotaryOps,
  recurrentOps,
  quantizationOps,
  refusedOps,
]);

function tableOf(families: readonly (readonly OpDefinition[])[]): OpTable {
  const table = new Map<string, OpDefinition>();
  for (const definition of families.flat()) {
    const key = tableKey(definition.op, definition.domain);
    if (table.has(key)) throw new DistillError("E_OP", `op ${key} is defined twice in src/ops`);
    table.set(key, definition);
  }
  return table;
}

/** A builder on a new, empty graph for `target`. */
export function newBuilder(name: string, target: Target): Builder {
  const opsets: [string, number][] = [["", target.opset]];
  if (target.fusedMatMul) opsets.push(["com.microsoft", 1]);
  return new Builder(new Graph(name, opsets), target, opTable);
}
