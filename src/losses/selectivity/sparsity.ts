// Share of |a| > τ; its gradient is that of the mean of σ(k(|a| − τ)).
import { ACTIVITY_THRESHOLD, SURROGATE_STEEPNESS } from "../../strategies/index.ts";
import { averagedScores } from "./metric.ts";

export const sparsity = averagedScores((s) => {
  const { b, x, count } = s;
  const size = b.abs(x);
  // |a|/|a| is 1, and NaN where a is.
  const inactive = b.lessOrEqual(size, b.like(x, ACTIVITY_THRESHOLD));
  const score = s.mean(b.where(inactive, b.like(x, 0), b.div(size, size)));
  b.region({
    inputs: [x],
    outputs: [score],
    grad: (dy) => [
      () => {
        // The runtime's Sigmoid is right here: of −1 and more.
        const smooth = b.node("Sigmoid", [b.scale(b.shift(size, -ACTIVITY_THRESHOLD), SURROGATE_STEEPNESS)]);
        const slope = b.scale(b.mul(smooth, b.sub(b.like(x, 1), smooth)), SURROGATE_STEEPNESS / count);
        return b.mul(dy(0), b.mul(slope, b.sign(x)));
      },
    ],
  });
  return score;
});
