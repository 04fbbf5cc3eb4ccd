// Every layer whose spellings are compared.

import { gelu, hardSwish, mish, relu6, swish } from "./activations.ts";
import { attention } from "./attention.ts";
import { embedding, head, linear, padded } from "./layers.ts";
import { shuffle, upsampling } from "./movement.ts";
import { batchNorm, groupNorm, layerNorm, rmsNorm } from "./normalizations.ts";
import type { Meaning } from "./spelling.ts";

export const meanings: readonly Meaning[] = [
  linear,
  padded,
  head,
  embedding,
  shuffle,
  upsampling,
  layerNorm,
  rmsNorm,
  batchNorm,
  groupNorm,
  attention,
  relu6,
  gelu,
  hardSwish,
  swish,
  mish,
];
