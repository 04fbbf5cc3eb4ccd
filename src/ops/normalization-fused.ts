// The normalisations that ONNX Runtime's transformer optimizer leaves in a model: with the residual sum in front, or with
// the embeddings. Sources: ONNX Runtime's contrib operators; RMS normalisation: Zhang and Sennrich 2019.
import { DistillError } from "../base/errors.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { type Builder, float, int, onnxTypeNumber } from "./builder.ts";
import { defineOp, type EmitContext, type EmitRule } from "./define.ts";
import { overRootMeanSquare, trailingAxes } from "./standardize.ts";

/** LayerNormalization along the last axis: y, the mean, and 1/√(σ² + ε). */
function layerNorm(
  b: Builder,
  x: Value,
  scale: Value,
  bias: Value | undefined,
  epsilon: number,
): readonly Value[] {
  const attributes = {
    axis: int(-1),
    epsilon: float(epsilon),
    stash_type: int(onnxTypeNumber(typeOf(x).dtype === "float64" ? "float64" : "float32")),
  };
  return b.nodes("LayerNormalization", [x, scale, bias], attributes, "", 3) as readonly Value[];
}

/** The sum of those inputs that are there. */
function sumOf({ b, has, x }: EmitContext, inputs: readonly number[]): Value {
  return inputs
    .filter(has)
    .map(x)
    .reduce((p, q) => b.add(p, q));
}

/** y = x/√(mean(x²) + ε)·scale;  its second output is 1/√(mean(x²) + ε). RMSNormalization before opset 23. */
const simplifiedLayerNormalization = defineOp({
  op: "SimplifiedLayerNormalization",
  versions: [1],
  weights: [1],
  undecayed: [1],
  composed: true,
  emit: ({ b, x, attr, where }) => {
    const axes = trailingAxes(attr.int("axis", -1), b.dims(x(0)).length, where);
    const { z, inverse } = overRootMeanSquare(b, x(0), axes, attr.float("epsilon", 1e-5));
    return [b.mul(z, x(1)), inverse];
  },
});

/** y = LayerNormalization(x + skip + bias)·scale + shift;  outputs y, mean, 1/√(σ² + ε), and the sum. */
const skipLayerNormalization = defineOp({
  op: "SkipLayerNormalization",
  domain: "com.microsoft",
  versions: [1],
  weights: [2, 3, 4],
  undecayed: [2, 3, 4],
  composed: true,
  emit: (c) => {
    const sum = sumOf(c, [0, 1, 4]);
    const shift = c.has(3) ? c.x(3) : undefined;
    return [...layerNorm(c.b, sum, c.x(2), shift, c.attr.float("epsilon", 1e-12)), sum];
  },
});

/** y = RMS normalisation of (x + skip + bias), times scale;  outputs y, none, 1/√(mean(sum²) + ε), and the sum. */
const skipSimplifiedLayerNormalization = defineOp({
  op: "SkipSimplifiedLayerNormalization",
  domain: "com.microsoft",
  versions: [1],
  weights: [2, 3],
  undecayed: [2, 3],
  composed: true,
  emit: (c) => {
    const { b } = c;
    const sum = sumOf(c, [0, 1, 3]);
    const axis = b.dims(sum).length - 1;
    const { z, inverse } = overRootMeanSquare(b, sum, [axis], c.attr.float("epsilon", 1e-12));
    return [b.mul(z, c.x(2)), undefined, inverse, sum];
  },
});

/**
 * y = LayerNormalization(word[ids] + position[0 … S−1 or as given] + segment[segments])·scale + shift;  ids [B, S]. Outputs:
 * y, how many places of each row the mask shows (0 without a mask), and the sum of the embeddings.
 */
const embedLayerNormalization: EmitRule = (c) => {
  const { b, x, has } = c;
  const [batch, length] = b.dims(x(0)) as [number, number];
  const parts = [b.gather(x(2), x(0), 0)];
  if (has(8)) parts.push(b.gather(x(3), x(8), 0));
  else {
    const rows = b.dims(x(3))[0] as number;
    if (length > rows)
      throw new DistillError(
        "E_SHAPE",
        `${c.where}: ${length} tokens, but the position embedding has ${rows} rows; feed shorter sequences`,
      );
    parts.push(b.slice(x(3), [0], [length], [0]));
  }
  if (has(1) && has(4)) parts.push(b.gather(x(4), x(1), 0));
  const sum = parts.reduce((p, q) => b.add(p, q));
  const y = layerNorm(b, sum, x(5), has(6) ? x(6) : undefined, c.attr.float("epsilon", 1e-12))[0];
  const shown = has(7) ? b.reduceSum(x(7), [1]) : b.full({ dtype: "int32", dims: [batch] }, 0);
  return [y, shown, sum];
};

export const fusedNormalizationOps = [
  simplifiedLayerNormalization,
  skipLayerNormalization,
  skipSimplifiedLayerNormalization,
  defineOp({
    op: "EmbedLayerNormalization",
    domain: "com.microsoft",
    versions: [1],
    weights: [2, 3, 4, 5, 6],
    undecayed: [5, 6],
    composed: true,
    emit: embedLayerNormalization,
  }),
] as const;
