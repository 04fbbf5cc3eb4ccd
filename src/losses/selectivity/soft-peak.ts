// (mean w⁴)^(1/8) / (mean w)^(1/2) with w = a² + ε².
import type { Value } from "../../graph/graph.ts";
import { RESPONSE_FLOOR } from "../../strategies/index.ts";
import { type EmittedMetric, mixMeans } from "./metric.ts";

export const softPeak: EmittedMetric = {
  moments: (s) => {
    const w = s.b.shift(s.b.square(s.x), RESPONSE_FLOOR ** 2);
    return [s.mean(w), s.mean(s.b.square(s.b.square(w)))];
  },
  mix: mixMeans,
  score: ({ b }, [q, p]) => b.div(b.sqrt(b.sqrt(b.sqrt(p as Value))), b.sqrt(q as Value)),
};
