// Class selectivity index and class-conditional mean response: both from the mean response of each neuron to each class.
import { DistillError } from "../../base/errors.ts";
import { typeOf, type Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import { RESPONSE_FLOOR } from "../../strategies/index.ts";
import { type EmittedMetric, mixMeans } from "./metric.ts";
import { positionAxes, type Samples } from "./samples.ts";

/** (t − o) / (t + o + ε) for the largest class mean t of |a| and the mean o of the others; 0 with fewer than two classes. */
export const classSelectivity: EmittedMetric = {
  moments: (s) => classMoments(s, s.b.abs(s.x)),
  mix: mixMeans,
  score: ({ b }, moments) => {
    const means = classMeans(b, moments);
    const top = b.reduceMax(means, [0]);
    const count = b.reduceSum(presentClasses(b, moments));
    const one = b.like(count, 1);
    const others = b.div(b.sub(b.reduceSum(means, [0]), top), b.max(b.sub(count, one), one));
    const index = b.div(b.sub(top, others), b.shift(b.add(top, others), RESPONSE_FLOOR));
    return b.mul(index, b.cast(b.greater(count, one), typeOf(index).dtype));
  },
};

/** The mean of a for each class, [K, C]; 0 for a class without samples. */
export const classResponse: EmittedMetric = {
  moments: (s) => classMoments(s, s.x),
  mix: mixMeans,
  score: ({ b }, moments) => classMeans(b, moments),
};

/** The mean of each label, [K], and of label · response, [K, C]. */
function classMoments({ b, classes }: Samples, response: Value): Value[] {
  if (!classes)
    throw new DistillError(
      "E_OPTION",
      "this selectivity metric tells classes apart: give labels, or a teacher with logits",
    );
  const positions = positionAxes(b.dims(response).length);
  const perSample = positions.length > 0 ? b.reduceMean(response, positions) : response;
  const samples = b.dims(perSample)[0] as number;
  return [b.reduceMean(classes, [0]), b.scale(b.matmulT(classes, true, perSample, false), 1 / samples)];
}

/** 1 for a class that has samples, else 0: [K, 1]. */
export function presentClasses(b: Builder, [share]: readonly Value[]): Value {
  const column = b.reshape(share as Value, [b.dims(share as Value)[0] as number, 1]);
  return b.cast(b.greater(column, b.like(column, 0)), typeOf(column).dtype);
}

function classMeans(b: Builder, moments: readonly Value[]): Value {
  const [share, sums] = moments as [Value, Value];
  const column = b.reshape(share, [b.dims(share)[0] as number, 1]);
  const isPresent = b.greater(column, b.like(column, 0));
  return b.where(isPresent, b.div(sums, b.where(isPresent, column, b.like(column, 1))), b.like(sums, 0));
}
