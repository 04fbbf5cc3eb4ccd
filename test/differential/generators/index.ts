// How to draw a node of each op of the table: an op without a generator does not compile.
import type { OpKey } from "../../../src/ops/index.ts";
import type { Generator, UpTo } from "../case.ts";
import { activation } from "./activation.ts";
import { attention } from "./attention.ts";
import { convolution } from "./convolution.ts";
import { elementwise } from "./elementwise.ts";
import { fourier } from "./fourier.ts";
import { gridSample } from "./grid-sample.ts";
import { linear } from "./linear.ts";
import { movement } from "./movement.ts";
import { normalizations } from "./normalization.ts";
import { quantization } from "./quantization.ts";
import { recurrents } from "./recurrent.ts";
import { reductions } from "./reduction.ts";
import { resampling } from "./resampling.ts";
import { shapes } from "./shapes.ts";

export const generators: Readonly<Record<OpKey, Generator | UpTo>> = {
  ...elementwise,
  ...activation,
  ...reductions,
  ...linear,
  ...convolution,
  ...normalizations,
  ...movement,
  ...resampling,
  ...gridSample,
  ...shapes,
  ...fourier,
  ...attention,
  ...recurrents,
  ...quantization,
};
