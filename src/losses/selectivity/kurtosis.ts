// m₄ / (m₂ + ε²)².
import type { Value } from "../../graph/graph.ts";
import { RESPONSE_FLOOR } from "../../strategies/index.ts";
import { centralMoments, mixCentralMoments } from "./central-moments.ts";
import type { EmittedMetric } from "./metric.ts";

export const kurtosis: EmittedMetric = {
  moments: (s) => centralMoments(s, 4),
  mix: mixCentralMoments,
  score: ({ b }, [, m2, , m4]) => b.div(m4 as Value, b.square(b.shift(m2 as Value, RESPONSE_FLOOR ** 2))),
};
