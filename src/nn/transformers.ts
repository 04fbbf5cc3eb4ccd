// Small transformers for images and for token ids, as used in the examples and the benchmarks.
import { checkKeys, DistillError } from "../base/errors.ts";
import type { Model } from "../onnx/model.ts";
import { transformerBlock } from "./attention.ts";
import { buildModel } from "./build-model.ts";
import { block, sequential } from "./containers.ts";
import { conv } from "./convolution.ts";
import { checkCount, type Layer } from "./layer.ts";
import { linear } from "./linear.ts";
import { embedding, layerNorm, meanPool, positionEmbedding, tokens } from "./sequence.ts";

export interface TransformerOptions {
  /** C, the features of each position; a multiple of `heads`. */
  readonly width: number;
  /** Number of blocks. */
  readonly depth: number;
  readonly heads: number;
  readonly classes: number;
  /** Default 0. */
  readonly seed?: number;
  /** Share that is dropped in training behind attention and perceptron. Default 0. */
  readonly dropout?: number;
  readonly name?: string;
}

const shared = ["width", "depth", "heads", "classes", "seed", "dropout", "name"];

export interface VisionTransformerOptions extends TransformerOptions {
  /** Height and width of the image, in pixels; a multiple of `patch`. Default 32. */
  readonly size?: number;
  /** Height and width of a patch. Default 4. */
  readonly patch?: number;
  /** Default 3. */
  readonly inputChannels?: number;
}

/**
 * A vision transformer: patches, learned positions, blocks that normalise first, the mean over positions, linear.
 *
 * Input `image` [batch, inputChannels, size, size], output `logits` [batch, classes]. The sequence after the last block,
 * normalised, is named `features` [batch, positions, width].
 * Source: A. Dosovitskiy et al., "An image is worth 16x16 words", 2020, with the mean instead of a class token.
 *
 * @example
 * const teacher = visionTransformer({ width: 192, depth: 12, heads: 3, classes: 10 });
 */
export function visionTransformer(options: VisionTransformerOptions): Model {
  checkKeys("visionTransformer", options, [...shared, "size", "patch", "inputChannels"]);
  const { width, size = 32, patch = 4, inputChannels = 3 } = options;
  checkCount(patch, "visionTransformer: patch");
  if (size % patch !== 0)
    throw new DistillError(
      "E_ARGUMENT",
      `visionTransformer: patches of ${patch} do not divide an image of ${size}; choose a divisor`,
    );
  return buildModel(
    {
      input: { name: "image", dims: ["batch", inputChannels, size, size] },
      seed: options.seed ?? 0,
      name: options.name ?? "visionTransformer",
    },
    sequential(
      block("patches", conv(width, patch, { stride: patch }), tokens(), positionEmbedding()),
      body(options),
    ),
  );
}

export interface TextTransformerOptions extends TransformerOptions {
  /** Number of token ids. */
  readonly vocabulary: number;
  /** T, the positions of a sample. */
  readonly length: number;
}

/**
 * A classifier of token ids: embedding, learned positions, blocks that normalise first, the mean over positions, linear.
 *
 * Input `ids` int64 [batch, length], output `logits` [batch, classes]. The sequence after the last block, normalised, is
 * named `features` [batch, length, width].
 * Source: after J. Devlin et al., "BERT", 2018, with the normalisation first and the mean instead of a class token.
 *
 * @example
 * const student = textTransformer({ vocabulary: 8000, length: 64, width: 64, depth: 2, heads: 2, classes: 4 });
 */
export function textTransformer(options: TextTransformerOptions): Model {
  checkKeys("textTransformer", options, [...shared, "vocabulary", "length"]);
  const { vocabulary, length, width } = options;
  checkCount(length, "textTransformer: length");
  return buildModel(
    {
      input: { name: "ids", dtype: "int64", dims: ["batch", length] },
      seed: options.seed ?? 0,
      name: options.name ?? "textTransformer",
    },
    sequential(block("ids", embedding(vocabulary, width), positionEmbedding()), body(options)),
  );
}

function body({ depth, heads, classes, dropout = 0 }: TransformerOptions): Layer {
  checkCount(depth, "transformer: depth");
  const blocks = Array.from({ length: depth }, (_, i) =>
    transformerBlock(heads, { name: `block${i + 1}`, dropout }),
  );
  return sequential(...blocks, layerNorm({ name: "features" }), meanPool(), linear(classes));
}
