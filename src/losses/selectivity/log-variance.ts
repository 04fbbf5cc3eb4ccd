// ln(v + ε²), v the variance.
import type { Value } from "../../graph/graph.ts";
import { RESPONSE_FLOOR } from "../../strategies/index.ts";
import type { EmittedMetric } from "./metric.ts";
import { variance } from "./variance.ts";

export const logVariance: EmittedMetric = {
  ...variance,
  score: ({ b }, [, v]) => b.log(b.shift(v as Value, RESPONSE_FLOOR ** 2)),
};
