// Whether a model normalises what flows through it. Exporters fold BatchNormalization into the convolutions before it,
// and such a model trains poorly from fresh weights.
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { tableKey } from "../ops/builder.ts";

const normalizations: ReadonlySet<string> = new Set([
  "BatchNormalization",
  "InstanceNormalization",
  "GroupNormalization",
  "LayerNormalization",
  "RMSNormalization",
  "SimplifiedLayerNormalization",
  "LpNormalization",
  "LRN",
  "MeanVarianceNormalization",
  "com.microsoft::SimplifiedLayerNormalization",
  "com.microsoft::SkipLayerNormalization",
  "com.microsoft::SkipSimplifiedLayerNormalization",
  "com.microsoft::EmbedLayerNormalization",
  "com.microsoft::GroupNorm",
]);

export function isNormalization(node: Node): boolean {
  return normalizations.has(tableKey(node.op, node.domain)) || isDeviation(node);
}

/** √(mean of something + ε): what a normalisation that is written out divides by. */
function isDeviation(node: Node): boolean {
  if (node.op !== "Sqrt" || node.domain !== "") return false;
  const isMean = (x: Value | undefined): boolean => x?.producer?.op === "ReduceMean";
  const x = node.inputs[0];
  return isMean(x) || (x?.producer?.op === "Add" && x.producer.inputs.some(isMean));
}

export function isConvolution(node: Node): boolean {
  return node.domain === "" && (node.op === "Conv" || node.op === "ConvTranspose");
}

/** How many convolutions a model without any normalisation has; 0 for one that normalises. */
export function bareConvolutions(model: Model): number {
  const { nodes } = model.graph;
  if (nodes.some(isNormalization)) return 0;
  return nodes.filter((n) => isConvolution(n) || (n.op === "FusedConv" && n.domain === "com.microsoft"))
    .length;
}

/** The remark about them, for `inspect` and before training. */
export function describeBareConvolutions(count: number): string | undefined {
  if (count === 0) return undefined;
  const [have, them] = count === 1 ? ["1 convolution", "it"] : [`${count} convolutions`, "them"];
  return `${have} and no normalisation: BatchNormalization was probably folded into ${them} on export, and without it training from fresh weights is slow or fails; --insert-batchnorm trains with one after each and folds it back on export`;
}
