// Small residual networks for images, as used in the demo and the benchmarks.
// Source: K. He et al., "Deep residual learning for image recognition", 2016, section 4.2, with projection shortcuts.
import { checkKeys, DistillError } from "../base/errors.ts";
import { formatShape } from "../base/tensor.ts";
import type { Model } from "../onnx/model.ts";
import { relu } from "./activations.ts";
import { buildModel } from "./build-model.ts";
import { block, residual, sequential } from "./containers.ts";
import { conv } from "./convolution.ts";
import { checkCount, type Layer } from "./layer.ts";
import { linear } from "./linear.ts";
import { globalAveragePool } from "./pooling.ts";
import { batchNorm } from "./regularization.ts";

export interface ResNetOptions {
  /** Channels of each stage, as [16, 32, 64]; every stage but the first halves the map. */
  readonly widths: readonly number[];
  /** Basic blocks in each stage. */
  readonly blocks: number;
  /** Channels of the image: 1 or 3, mostly. */
  readonly inputChannels: number;
  /** Height and width of the image, in pixels. Default 32. */
  readonly size?: number;
  readonly classes: number;
  /** Default 0. */
  readonly seed?: number;
  /** Default "resnet". */
  readonly name?: string;
  /** Name of the input. Default "image". */
  readonly input?: string;
}

/**
 * A ResNet of basic blocks: 3×3 stem, stages, global average, linear. Convolutions without bias, PyTorch's initialisation.
 *
 * Input `image` [batch, inputChannels, size, size], output `logits` [batch, classes]. The map after the last block is named
 * `features` [batch, last width, …]; others are `stage1/block1/relu2` and so on.
 *
 * @example
 * const teacher = resnet({ widths: [32, 64, 128], blocks: 3, inputChannels: 3, classes: 10 });
 */
export function resnet(options: ResNetOptions): Model {
  checkKeys("resnet", options, [
    "widths",
    "blocks",
    "inputChannels",
    "size",
    "classes",
    "seed",
    "name",
    "input",
  ]);
  const { widths, blocks, inputChannels, size = 32, classes, seed = 0 } = options;
  if (widths.length === 0 || widths.some((w) => !Number.isInteger(w) || w < 1))
    throw new DistillError(
      "E_ARGUMENT",
      `resnet: widths must be one or more whole numbers from 1 on, got ${formatShape(widths)}`,
    );
  checkCount(blocks, "resnet: blocks");
  const stages = widths.map((width, s) =>
    block(
      `stage${s + 1}`,
      ...Array.from({ length: blocks }, (_, i) => {
        const first = s > 0 && i === 0;
        const last = s === widths.length - 1 && i === blocks - 1;
        return basicBlock(`block${i + 1}`, width, first, last);
      }),
    ),
  );
  return buildModel(
    {
      input: { name: options.input ?? "image", dims: ["batch", inputChannels, size, size] },
      seed,
      name: options.name ?? "resnet",
    },
    sequential(
      block("stem", convBn(widths[0] as number, 3, 1), relu()),
      ...stages,
      globalAveragePool(),
      linear(classes),
    ),
  );
}

/** Convolution without bias and batch normalisation; "same" in size, or halved. */
export function convBn(width: number, kernel: number, stride: number): Layer {
  return sequential(conv(width, kernel, { stride, padding: (kernel - 1) / 2, bias: false }), batchNorm());
}

function basicBlock(name: string, width: number, halves: boolean, last: boolean): Layer {
  const stride = halves ? 2 : 1;
  return residual(sequential(convBn(width, 3, stride), relu(), convBn(width, 3, 1)), {
    name,
    activation: last ? relu({ name: "features" }) : relu(),
    ...(halves ? { shortcut: convBn(width, 1, stride) } : {}),
  });
}
