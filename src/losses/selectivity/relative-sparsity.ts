// mean σ(k(|a|/r − τ)) with r² = mean a² + ε².
import { RELATIVE_STEEPNESS, RELATIVE_THRESHOLD, RESPONSE_FLOOR } from "../../strategies/index.ts";
import { averagedScores } from "./metric.ts";

export const relativeSparsity = averagedScores((s) => {
  const { b, x } = s;
  const scale = b.sqrt(b.shift(s.mean(b.square(x)), RESPONSE_FLOOR ** 2));
  const excess = b.shift(b.div(b.abs(x), scale), -RELATIVE_THRESHOLD);
  // The runtime's Sigmoid is right here: of −5 and more.
  return s.mean(b.node("Sigmoid", [b.scale(excess, RELATIVE_STEEPNESS)]));
});
