// 1 − (mean|a|² + ε²) / (mean a² + ε²): lifetime sparseness over the samples, population sparseness over the neurons.
import type { Value } from "../../graph/graph.ts";
import { RESPONSE_FLOOR } from "../../strategies/index.ts";
import { type EmittedMetric, mixMeans } from "./metric.ts";

export const trevesRolls: EmittedMetric = {
  moments: (s) => [s.mean(s.b.abs(s.x)), s.mean(s.b.square(s.x))],
  mix: mixMeans,
  score: ({ b }, [mean, square]) => {
    const e = RESPONSE_FLOOR ** 2;
    const ratio = b.div(b.shift(b.square(mean as Value), e), b.shift(square as Value, e));
    return b.sub(b.like(ratio, 1), ratio);
  },
};
