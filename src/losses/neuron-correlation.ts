// 1 − Pearson's correlation of each neuron with the teacher's of the same index, in the graph. The emitted twin of
// NeuronCorrelationStrategy.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { CONSTANT_RATIO, DEAD_NORM, type NeuronCorrelationStrategy } from "../strategies/index.ts";
import { type Groups, groupsOf, rowAxis, toLength } from "./groups.ts";
import type { TapPair } from "./terms.ts";

export function neuronCorrelation(b: Builder, tap: TapPair, { over }: NeuronCorrelationStrategy): Value {
  const own = groupsOf(b, `tap "${tap.name}": the student's value`, tap.student, over);
  const other = groupsOf(b, `tap "${tap.name}": the teacher's value`, tap.teacher, over);
  const products = b.mul(standardized(b, own), standardized(b, other));
  return b.sub(b.like(products, 1), b.scale(b.reduceSum(products), 1 / (own.groups * own.neurons)));
}

/** Centred, and of length 1; 0 where nothing but rounding of the mean would be left. */
function standardized(b: Builder, g: Groups): Value {
  const mean = b.reduceMean(g.x, [rowAxis(g)], true);
  const rounding = b.scale(b.square(mean), CONSTANT_RATIO ** 2 * g.rows);
  return toLength(b, b.sub(g.x, mean), rowAxis(g), b.max(rounding, b.like(mean, DEAD_NORM ** 2)));
}
