// Self-attention and the block that transformers are stacked of.
import { checkKeys, DistillError } from "../base/errors.ts";
import { int, ints } from "../graph/graph.ts";
import { gelu } from "./activations.ts";
import { residual, sequential } from "./containers.ts";
import { checkCount, type Draft, type Flow, knownDim, type Layer, type LayerOptions } from "./layer.ts";
import { linear } from "./linear.ts";
import { dropout } from "./regularization.ts";
import { layerNorm, sequenceDims } from "./sequence.ts";

export interface SelfAttentionOptions extends LayerOptions {
  /** Each position sees itself and those before it only. Needs a length that is a number. Default false. */
  readonly causal?: boolean;
}

/**
 * Multi-head self-attention: per head softmax(q·kᵀ/√d)·v, heads side by side, then a linear layer.  [N, T, C] → the
 * same, with d = C / heads.
 *
 * Weights: `q`, `k`, `v` and `out`, each a linear layer [C, C] with bias.
 * Source: A. Vaswani et al., "Attention is all you need", 2017.
 */
export function selfAttention(heads: number, options: SelfAttentionOptions = {}): Layer {
  checkCount(heads, "selfAttention: heads");
  checkKeys("selfAttention", options, ["name", "causal"]);
  const { name, causal = false } = options;
  const build = (draft: Draft, x: Flow, path: string): Flow => {
    const [batch, length] = sequenceDims(x, path, "selfAttention");
    const width = knownDim(x, 2, path, "the width");
    if (width % heads !== 0)
      throw new DistillError(
        "E_SHAPE",
        `layer "${path}": ${heads} heads do not divide a width of ${width}; choose a divisor`,
      );
    const each = width / heads;
    const part = (n: string): Flow => linear(width).build(draft, x, `${path}/${n}`);
    const intoHeads = draft.integers(`${path}.heads`, [0, 0, heads, each]);
    const split = (n: string, last: "positions" | "features"): Flow => {
      const dims = [batch, length, heads, each];
      const apart = draft.node("Reshape", path, [part(n), intoHeads], dims, {}, `${n}/split`);
      const perm = last === "features" ? [0, 2, 1, 3] : [0, 2, 3, 1];
      const moved = perm.map((p) => dims[p]!);
      return draft.node("Transpose", path, [apart], moved, { perm: ints(perm) }, `${n}/moved`);
    };
    const square = [batch, heads, length, length];
    const scale = draft.filled(`${path}.scale`, [], 1 / Math.sqrt(each));
    const q = split("q", "features");
    const scaled = draft.node("Mul", path, [q, scale], q.dims, {}, "scaled");
    let scores = draft.node("MatMul", path, [scaled, split("k", "positions")], square, {}, "scores");
    if (causal) {
      const size = knownDim(x, 1, path, "the length");
      const mask = Float32Array.from({ length: size * size }, (_, i) =>
        i % size > Math.floor(i / size) ? -1e9 : 0,
      );
      // As int64 turned to floats at run time, so that it is no float constant and is not taken for a weight.
      const hidden = draft.integers(`${path}.mask`, [...mask], [1, 1, size, size]);
      const cast = draft.node("Cast", path, [hidden], [1, 1, size, size], { to: int(1) }, "mask");
      scores = draft.node("Add", path, [scores, cast], square, {}, "masked");
    }
    const shares = draft.node("Softmax", path, [scores], square, { axis: int(-1) }, "shares");
    const mixed = draft.node("MatMul", path, [shares, split("v", "features")], q.dims, {}, "mixed");
    const back = { perm: ints([0, 2, 1, 3]) };
    const apart = draft.node("Transpose", path, [mixed], [batch, length, heads, each], back, "back");
    const shape = draft.integers(`${path}.width`, [0, 0, width]);
    const joined = draft.node("Reshape", path, [apart, shape], x.dims, {}, "joined");
    return linear(width).build(draft, joined, `${path}/out`);
  };
  return { kind: "attention", name, build };
}

export interface TransformerBlockOptions {
  readonly name?: string;
  /** Width of the hidden layer of the perceptron, in widths of the sequence. Default 4. */
  readonly expansion?: number;
  /** As {@link SelfAttentionOptions.causal}. */
  readonly causal?: boolean;
  /** Share of attention's and the perceptron's outputs that is dropped in training. Default 0. */
  readonly dropout?: number;
}

/**
 * x + attention(norm(x)), then x + linear(gelu(linear(norm(x)))): the form that normalises first.  [N, T, C] → the same.
 *
 * Source: R. Xiong et al., "On layer normalization in the transformer architecture", 2020.
 */
export function transformerBlock(heads: number, options: TransformerBlockOptions = {}): Layer {
  checkKeys("transformerBlock", options, ["name", "expansion", "causal", "dropout"]);
  const { name, expansion = 4, causal = false, dropout: ratio = 0 } = options;
  const dropped = ratio > 0 ? [dropout(ratio)] : [];
  const perceptron: Layer = {
    kind: "",
    build: (draft, x, path) => {
      const width = knownDim(x, 2, path, "the width");
      return draft.add(
        sequential(linear(Math.round(expansion * width)), gelu(), linear(width), ...dropped),
        x,
      );
    },
  };
  const build = (draft: Draft, x: Flow): Flow =>
    draft.within(draft.pathOf("block", name), () =>
      draft.add(
        sequential(
          residual(sequential(layerNorm(), selfAttention(heads, { causal }), ...dropped), {
            name: "attention",
          }),
          residual(sequential(layerNorm(), perceptron), { name: "perceptron" }),
        ),
        x,
      ),
    );
  return { kind: "", build };
}
