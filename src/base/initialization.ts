// How new weights are filled. Sources: K. He et al., "Delving deep into rectifiers", 2015; X. Glorot and Y. Bengio,
// "Understanding the difficulty of training deep feedforward neural networks", 2010; PyTorch's defaults of 2026.
import { DistillError, didYouMean } from "./errors.ts";
import type { Random } from "./random.ts";

/**
 * - `"pytorch"` (default): uniform in ±1/√fan_in, weights and bias alike; what PyTorch's Conv and Linear do.
 * - `"kaiming-normal"`: normal with standard deviation √(2/fan_in), for ReLU; bias 0.
 * - `"xavier-uniform"`: uniform in ±√(6/(fan_in + fan_out)), for tanh and sigmoid; bias 0.
 * - `"normal"`: normal with standard deviation 0.02, what BERT and GPT-2 fill embeddings with; bias 0.
 * - `"trunc-normal"`: the same without what lies beyond ±0.04 (two standard deviations), which is drawn again; what BERT and
 *   vision transformers fill everything with; bias 0.
 * - `"zeros"`: all 0.
 *
 * fan_in = input channels / groups × kernel elements, fan_out = output channels × kernel elements.
 */
export type Initialization = keyof typeof samplers;

type Draw = (random: Random, fanIn: number, fanOut: number) => () => number;

const uniform =
  (random: Random, bound: number): (() => number) =>
  () =>
    bound * (2 * random.nextFloat() - 1);

const samplers = {
  pytorch: (random, fanIn) => uniform(random, 1 / Math.sqrt(fanIn)),
  "kaiming-normal": (random, fanIn) => () => random.nextNormal() * Math.sqrt(2 / fanIn),
  "xavier-uniform": (random, fanIn, fanOut) => uniform(random, Math.sqrt(6 / (fanIn + fanOut))),
  normal: (random) => () => 0.02 * random.nextNormal(),
  "trunc-normal": (random) => () => {
    let z = random.nextNormal();
    while (Math.abs(z) > 2) z = random.nextNormal();
    return 0.02 * z;
  },
  zeros: () => () => 0,
} as const satisfies Record<string, Draw>;

export function sampler(
  how: Initialization,
  fans: { readonly fanIn: number; readonly fanOut: number },
  random: Random,
): () => number {
  return samplers[how](random, fans.fanIn, fans.fanOut);
}

/** The initialisation of a bias beside weights that are filled by `how`. */
export function biasInitialization(how: Initialization): Initialization {
  return how === "pytorch" ? how : "zeros";
}

export function checkInitialization(how: string, where: string): void {
  const known = Object.keys(samplers);
  if (!known.includes(how))
    throw new DistillError(
      "E_OPTION",
      `${where}: no initialisation "${how}"; use ${known.join(", ")}.${didYouMean(how, known)}`,
    );
}
