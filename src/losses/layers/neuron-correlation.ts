// 1 − Pearson's correlation of each of the teacher's neurons with the student's that is matched with it, in the graph. The emitted twin of
// NeuronCorrelationStrategy.
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import { CONSTANT_RATIO, DEAD_NORM, type NeuronCorrelationStrategy } from "../../strategies/index.ts";
import type { TapPair } from "../terms.ts";
import { crossProducts, type Groups, groupsOf, rowAxis, toLength } from "./groups.ts";

export function neuronCorrelation(
  b: Builder,
  tap: TapPair,
  { match, over }: NeuronCorrelationStrategy,
): Value {
  const own = groupsOf(b, `tap "${tap.name}": the student's value`, tap.student, over);
  const other = groupsOf(b, `tap "${tap.name}": the teacher's value`, tap.teacher, over);
  const [mean, otherMean] = [own, other].map((g) => b.reduceMean(g.x, [rowAxis(g)], true)) as [Value, Value];
  const [x, y] = [standardized(b, own, mean), standardized(b, other, otherMean)];
  const correlations =
    match === "index" ? b.mul(x, y) : b.reduceMax(crossProducts(b, { ...other, x: y }, { ...own, x }), [2]);
  const loss = b.sub(b.like(x, 1), b.scale(b.reduceSum(correlations), 1 / (other.groups * other.neurons)));
  // ReduceMax passes over a neuron of the student's that is NaN.
  return match === "index" ? loss : b.add(loss, b.stopGradient(b.scale(b.reduceSum(mean), 0)));
}

/** Centred, and of length 1; 0 where nothing but rounding of the mean would be left. */
function standardized(b: Builder, g: Groups, mean: Value): Value {
  const rounding = b.scale(b.square(mean), CONSTANT_RATIO ** 2 * g.rows);
  return toLength(b, b.sub(g.x, mean), rowAxis(g), b.max(rounding, b.like(mean, DEAD_NORM ** 2)));
}
