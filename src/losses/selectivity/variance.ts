// mean (a − μ)².
import type { Value } from "../../graph/graph.ts";
import { centralMoments, mixCentralMoments } from "./central-moments.ts";
import type { EmittedMetric } from "./metric.ts";

export const variance: EmittedMetric = {
  moments: (s) => centralMoments(s, 2),
  mix: mixCentralMoments,
  score: (_, [, v]) => v as Value,
};
