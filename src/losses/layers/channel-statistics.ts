// Mean and standard deviation of each neuron, matched in the graph. The emitted twin of ChannelStatisticsStrategy
// (WKD-F of Lv et al. 2024).
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import type { ChannelStatisticsStrategy } from "../../strategies/index.ts";
import type { TapPair } from "../terms.ts";
import { type Groups, groupsOf, rowAxis } from "./groups.ts";

export function channelStatistics(
  b: Builder,
  tap: TapPair,
  { over, deviationWeight }: ChannelStatisticsStrategy,
): Value {
  const own = groupsOf(b, `tap "${tap.name}": the student's value`, tap.student, over);
  const other = groupsOf(b, `tap "${tap.name}": the teacher's value`, tap.teacher, over);
  const [s, t] = [statistics(b, own), statistics(b, other)];
  const apart = (x: Value, y: Value) => b.reduceSumSquare(b.sub(x, y));
  const deviations = b.scale(apart(s.deviation, t.deviation), deviationWeight);
  return b.scale(b.add(apart(s.mean, t.mean), deviations), 1 / (own.groups * own.neurons));
}

/** [groups, neurons] each; a deviation of 0 passes nothing back. */
function statistics(b: Builder, g: Groups): { mean: Value; deviation: Value } {
  const axis = rowAxis(g);
  const mean = b.reduceMean(g.x, [axis], true);
  const variance = b.scale(b.reduceSumSquare(b.sub(g.x, mean), [axis], true), 1 / g.rows);
  const varies = b.greater(variance, b.like(variance, 0));
  const root = b.sqrt(b.where(varies, variance, b.like(variance, 1)));
  const flat = (x: Value) => b.reshape(x, [g.groups, g.neurons]);
  return { mean: flat(mean), deviation: flat(b.where(varies, root, b.like(variance, 0))) };
}
