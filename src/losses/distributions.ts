// Distributions over classes as graph values: standardised logits, divergences, what the losses on outputs share. The emitted
// twins of strategies/responses/tempered-row.ts and divergence.ts.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { Divergence } from "../strategies/index.ts";
import { STANDARDIZE_EPSILON } from "../strategies/responses/tempered-row.ts";
import { LOG_ZERO } from "./infinite.ts";

/**
 * log softmax(z) of each row; a class whose logit is −∞, which the model rules out, gets {@link LOG_ZERO}, so that 0·log 0 is
 * 0. A row of nothing but −∞, and one with +∞ or NaN, is NaN.
 */
export function logProbabilities(b: Builder, z: Value): Value {
  const exact = b.logSoftmax(z);
  const y = b.max(exact, b.like(exact, LOG_ZERO));
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

/** Σ p (log p − log q) of each row. */
export function klDivergence(b: Builder, logP: Value, logQ: Value): Value {
  return b.reduceSum(b.mul(b.exp(logP), b.sub(logP, logQ)), [1]);
}

/**
 * KL(q ‖ p) of each row. Its gradient by log q is given as q·(log q − log p − KL), which is the true one less KL + 1 times
 * q: log-softmax takes any multiple of q away again, and the large numbers with it before they are rounded.
 */
function reverseKl(b: Builder, logP: Value, logQ: Value): Value {
  const [q, gap] = [b.exp(logQ), b.sub(logQ, logP)];
  const kl = b.reduceSum(b.mul(q, gap), [1], true);
  const y = b.reshape(kl, [b.dims(kl)[0] as number]);
  b.region({
    inputs: [logQ],
    outputs: [y],
    grad: (dy) => [() => b.mul(b.reshape(dy(0), b.dims(kl)), b.mul(q, b.sub(gap, kl)))],
  });
  return y;
}

/** KL(softmax(t) ‖ softmax(s)) of each row;  ds = dy · (softmax(s) − softmax(t)), which needs half the room of its parts. */
function forwardKl(b: Builder, t: Value, s: Value): Value {
  const [logP, logQ] = [logProbabilities(b, t), logProbabilities(b, s)];
  const y = klDivergence(b, logP, logQ);
  b.region({
    inputs: [s],
    outputs: [y],
    grad: (dy) => [
      () => b.mul(b.sub(b.exp(logQ), b.exp(logP)), b.reshape(dy(0), [b.dims(s)[0] as number, 1])),
    ],
  });
  return y;
}

/** Of log-probabilities instead of logits. */
const ofLogs =
  (divergence: (b: Builder, logP: Value, logQ: Value) => Value) =>
  (b: Builder, t: Value, s: Value): Value =>
    divergence(b, logProbabilities(b, t), logProbabilities(b, s));

/** D(softmax(t), softmax(s)) of each row [R] of logits [R, C], and its gradient by s; t is a constant. */
export const divergences: Record<Divergence, (b: Builder, t: Value, s: Value) => Value> = {
  "forward-kl": forwardKl,
  "reverse-kl": ofLogs(reverseKl),
  jeffreys: (b, t, s) => b.add(forwardKl(b, t, s), ofLogs(reverseKl)(b, t, s)),
  "jensen-shannon": ofLogs((b, logP, logQ) => {
    // log m = max + log(1 + exp(−|log p − log q|)) − log 2
    const apart = b.neg(b.abs(b.sub(logP, logQ)));
    const logM = b.shift(b.add(b.max(logP, logQ), b.log(b.shift(b.exp(apart), 1))), -Math.LN2);
    return b.scale(b.add(klDivergence(b, logP, logM), klDivergence(b, logQ, logM)), 0.5);
  }),
};
