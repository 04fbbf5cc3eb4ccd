// Distributions over classes as graph values: standardised logits, divergences, what the losses on outputs share. The emitted
// twins of strategies/responses/tempered-row.ts and divergence.ts.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { Divergence } from "../strategies/index.ts";
import { STANDARDIZE_EPSILON } from "../strategies/responses/tempered-row.ts";
import { LOG_ZERO } from "./infinite.ts";

/**
 * log softmax(z) of each row; a class whose logit is −∞, which the model rules out, gets {@link LOG_ZERO}, so that 0·log 0 is
 * 0. A row of nothing but −∞, and one with +∞ or NaN, is NaN. By Clip, which costs two thirds of a Max.
 */
export function logProbabilities(b: Builder, z: Value): Value {
  const exact = b.logSoftmax(z);
  const y = b.node("Clip", [exact, b.like(exact, LOG_ZERO)]);
  b.region({ inputs: [exact], outputs: [y], grad: (dy) => [() => dy(0)] });
  return y;
}

/** (z − mean(z)) / (std(z) + ε) of each row, std with n − 1; zeros, and no gradient, where std ≤ ε. */
export function standardized(b: Builder, z: Value): Value {
  const columns = b.dims(z)[1] as number;
  // Less the largest first, so that equal logits give exactly 0; standardising takes any constant away.
  const shifted = b.sub(z, b.stopGradient(b.reduceMax(z, [1], true)));
  const centred = b.sub(shifted, b.reduceMean(shifted, [1], true));
  const squares = b.reduceSumSquare(centred, [1], true);
  const variance = b.scale(squares, 1 / Math.max(1, columns - 1));
  const flat = b.lessOrEqual(variance, b.like(variance, STANDARDIZE_EPSILON ** 2)); // NaN is not, and stays NaN
  const std = b.sqrt(b.where(flat, b.like(variance, 1), variance));
  return b.where(flat, b.like(centred, 0), b.div(centred, b.shift(std, STANDARDIZE_EPSILON)));
}

/** Σ p (log p − log q) of each row [R, 1]. */
function klDivergence(b: Builder, logP: Value, logQ: Value): Value {
  return b.reduceSum(b.mul(b.exp(logP), b.sub(logP, logQ)), [1], true);
}

/**
 * D(softmax(t/T), softmax(s/T)) of each row [R] of logits [R, C]; t is a constant. `by` is the gradient by s/T: given by hand
 * from s on, it needs neither log-softmax's own nor a product with 1/T of [R, C], which pays for the two Clips.
 */
const divergence =
  (of: (b: Builder, logP: Value, logQ: Value) => { value: Value; by: () => Value }) =>
  (b: Builder, t: Value, s: Value, temperature: number): Value => {
    const [logP, logQ] = [t, s].map((z) => logProbabilities(b, b.scale(z, 1 / temperature))) as [
      Value,
      Value,
    ];
    const { value, by } = of(b, logP, logQ);
    const y = b.reshape(value, [b.dims(value)[0] as number]);
    b.region({
      inputs: [s],
      outputs: [y],
      grad: (dy) => [() => b.mul(by(), b.reshape(b.scale(dy(0), 1 / temperature), b.dims(value)))],
    });
    return y;
  };

/** KL(p ‖ q);  by s/T: q − p. */
const forwardKl = divergence((b, logP, logQ) => ({
  value: klDivergence(b, logP, logQ),
  by: () => b.sub(b.exp(logQ), b.exp(logP)),
}));

/** KL(q ‖ p);  by s/T: q·(log q − log p − KL), whose sum is 0. */
const reverseKl = divergence((b, logP, logQ) => {
  const value = klDivergence(b, logQ, logP);
  return { value, by: () => b.mul(b.exp(logQ), b.sub(b.sub(logQ, logP), value)) };
});

/** (KL(p ‖ m) + KL(q ‖ m))/2, m = (p + q)/2;  by s/T: q·(log q − log m − KL(q ‖ m))/2. */
const jensenShannon = divergence((b, logP, logQ) => {
  // log m = max + log(1 + exp(−|log p − log q|)) − log 2
  const apart = b.neg(b.abs(b.sub(logP, logQ)));
  const logM = b.shift(b.add(b.max(logP, logQ), b.log(b.shift(b.exp(apart), 1))), -Math.LN2);
  const own = klDivergence(b, logQ, logM);
  return {
    value: b.scale(b.add(klDivergence(b, logP, logM), own), 0.5),
    by: () => b.mul(b.scale(b.exp(logQ), 0.5), b.sub(b.sub(logQ, logM), own)),
  };
});

export const divergences: Record<Divergence, ReturnType<typeof divergence>> = {
  "forward-kl": forwardKl,
  "reverse-kl": reverseKl,
  jeffreys: (b, t, s, temperature) => b.add(forwardKl(b, t, s, temperature), reverseKl(b, t, s, temperature)),
  "jensen-shannon": jensenShannon,
};
