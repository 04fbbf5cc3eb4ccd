// Infinite logits in the training step. A class with logit −∞ has probability 0 (PyTorch's `masked_fill`, banned tokens, classes
// of another data set); a number that is as good as −∞ takes its place, because 0 · ∞ is NaN.

/** Stands for log 0: any probability that float32 can hold, times it, is beyond every loss. */
export const LOG_ZERO = -1e38;

/** From here on a loss made of log-probabilities is infinite: something possible was ruled out. */
const INFINITE_LOSS = 1e25;

/** The loss as the mathematics have it: infinite where {@link LOG_ZERO} was counted. */
export function exactLoss(value: number): number {
  return Math.abs(value) < INFINITE_LOSS || Number.isNaN(value) ? value : Math.sign(value) * Infinity;
}
