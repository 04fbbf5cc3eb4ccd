// Differences of real numbers as graph values: the emitted twin of RegressionDistillationStrategy's loss.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { hardAndSoft } from "./knowledge-distillation.ts";
import type { LossContext, LossTerm } from "./terms.ts";

/**
 * With targets y and teacher t: α·ℓ(s − y) + (1−α)·ℓ(s − t); one of the two alone at full weight. ℓ is the square, or Huber's
 * loss with δ. Means over the outputs and the rows that count.
 */
export function regression(c: LossContext, alpha: number, huberDelta: number | undefined): LossTerm[] {
  const to = (target: Value): Value => {
    const d = c.b.sub(c.studentLogits, target);
    return c.b.reduceMean(huberDelta === undefined ? c.b.square(d) : huber(c.b, d, huberDelta), [1]);
  };
  return hardAndSoft(
    c,
    alpha,
    () => to(c.labels as Value),
    () => to(c.teacherLogits as Value),
  );
}

/** With m = min(|d|, δ): m·(|d| − m/2), which is d²/2 up to δ and δ·(|d| − δ/2) beyond;  dd = d cut to [−δ, δ]. */
function huber(b: Builder, d: Value, delta: number): Value {
  const size = b.abs(d);
  const near = b.min(size, b.like(d, delta));
  const y = b.mul(near, b.sub(size, b.scale(near, 0.5)));
  b.region({
    inputs: [d],
    outputs: [y],
    grad: (dy) => [() => b.mul(dy(0), b.max(b.min(d, b.like(d, delta)), b.like(d, -delta)))],
  });
  return y;
}
