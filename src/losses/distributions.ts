// Distributions over classes as graph values: standardised logits, divergences, what the losses on outputs share. The emitted
// twins of strategies/responses/tempered-row.ts and divergence.ts.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { Divergence } from "../strategies/index.ts";
import { STANDARDIZE_EPSILON } from "../strategies/responses/tempered-row.ts";

/** (z − mean(z)) / (std(z) + ε) of each row, std with n − 1; zeros, and no gradient, where std ≤ ε. */
export function standardized(b: Builder, z: Value): Value {
  const columns = b.dims(z)[1] as number;
  // Less the largest first, so that equal logits give exactly 0; standardising takes any constant away.
  const shifted = b.sub(z, b.stopGradient(b.reduceMax(z, [1], true)));
  const centred = b.sub(shifted, b.reduceMean(shifted, [1], true));
  const squares = b.reduceSumSquare(centred, [1], true);
  const variance = b.scale(squares, 1 / Math.max(1, columns - 1));
  const varies = b.greater(variance, b.like(variance, STANDARDIZE_EPSILON ** 2));
  const std = b.sqrt(b.where(varies, variance, b.like(variance, 1)));
  return b.where(varies, b.div(centred, b.shift(std, STANDARDIZE_EPSILON)), b.like(centred, 0));
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

/** D(p, q) of each row [R], from log-probabilities [R, C]; the gradient is that by the logits of q. */
export const divergences: Record<Divergence, (b: Builder, logP: Value, logQ: Value) => Value> = {
  "forward-kl": klDivergence,
  "reverse-kl": reverseKl,
  jeffreys: (b, logP, logQ) => b.add(klDivergence(b, logP, logQ), reverseKl(b, logP, logQ)),
  "jensen-shannon": (b, logP, logQ) => {
    // log m = max + log(1 + exp(−|log p − log q|)) − log 2
    const apart = b.neg(b.abs(b.sub(logP, logQ)));
    const logM = b.shift(b.add(b.max(logP, logQ), b.log(b.shift(b.exp(apart), 1))), -Math.LN2);
    return b.scale(b.add(klDivergence(b, logP, logM), klDivergence(b, logQ, logM)), 0.5);
  },
};
