// σ over the mean of σ over the neurons, σ² = v + ε², v the variance.
import { neuronAxis } from "../../base/layout.ts";
import type { Value } from "../../graph/graph.ts";
import { RESPONSE_FLOOR } from "../../strategies/index.ts";
import type { EmittedMetric } from "./metric.ts";
import { variance } from "./variance.ts";

export const relativeDeviation: EmittedMetric = {
  ...variance,
  score: ({ b }, [, v]) => {
    const deviation = b.sqrt(b.shift(v as Value, RESPONSE_FLOOR ** 2));
    return b.div(deviation, b.reduceMean(deviation, [neuronAxis(b.dims(deviation).length)], true));
  },
};
