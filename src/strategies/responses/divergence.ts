// Divergences between two distributions given as log-probabilities, with their derivatives by the student's logits.
import { checkOneOf } from "../checks.ts";
import { klDivergence } from "./tempered-row.ts";

/**
 * How the teacher's distribution p and the student's q are compared:
 *
 * - "forward-kl": KL(p ‖ q), Hinton et al. 2015: q covers all of p;
 * - "reverse-kl": KL(q ‖ p), as MiniLLM (Gu et al. 2024) uses it: q seeks the modes of p;
 * - "jeffreys": KL(p ‖ q) + KL(q ‖ p) (Jeffreys 1946);
 * - "jensen-shannon": ½·KL(p ‖ m) + ½·KL(q ‖ m), m = (p + q)/2, at most log 2 (Lin 1991).
 */
export const Divergence = {
  ForwardKl: "forward-kl",
  ReverseKl: "reverse-kl",
  Jeffreys: "jeffreys",
  JensenShannon: "jensen-shannon",
} as const;
export type Divergence = (typeof Divergence)[keyof typeof Divergence];

/** The divergence of p from q; adds dD/du to `g` where given, u being the logits that q is the softmax of. */
export type DivergenceOf = (logP: Float64Array, logQ: Float64Array, g?: Float64Array) => number;

const divergences: Record<Divergence, DivergenceOf> = {
  /** dD/du = q − p. */
  "forward-kl": (logP, logQ, g) => {
    if (g) for (let c = 0; c < g.length; c++) g[c]! += Math.exp(logQ[c]!) - Math.exp(logP[c]!);
    return klDivergence(logP, logQ);
  },
  /** dD/du = q·(log q − log p − D). */
  "reverse-kl": (logP, logQ, g) => {
    const value = klDivergence(logQ, logP);
    if (g) addWeighted(g, logQ, (c) => logQ[c]! - logP[c]!, 1);
    return value;
  },
  jeffreys: (logP, logQ, g) =>
    divergences["forward-kl"](logP, logQ, g) + divergences["reverse-kl"](logP, logQ, g),
  /** dD/du = ½·q·(log(q/m) − Σ q log(q/m)). */
  "jensen-shannon": (logP, logQ, g) => {
    const logM = logP.map((lp, c) => logMean(lp, logQ[c]!));
    if (g) addWeighted(g, logQ, (c) => logQ[c]! - logM[c]!, 0.5);
    return 0.5 * klDivergence(logP, logM) + 0.5 * klDivergence(logQ, logM);
  },
};

export function divergenceNamed(owner: string, name: Divergence): DivergenceOf {
  return divergences[checkOneOf(owner, "divergence", name, Object.values(Divergence))];
}

/** Adds factor · q·(x − Σ q x) to `g`: what a derivative by probabilities is by logits. q = 0 takes no part. */
function addWeighted(g: Float64Array, logQ: Float64Array, x: (c: number) => number, factor: number): void {
  let mean = 0;
  for (let c = 0; c < g.length; c++) {
    const q = Math.exp(logQ[c]!);
    if (q > 0) mean += q * x(c);
  }
  for (let c = 0; c < g.length; c++) {
    const q = Math.exp(logQ[c]!);
    if (q > 0) g[c]! += factor * q * (x(c) - mean);
  }
}

/** log((exp a + exp b) / 2). */
function logMean(a: number, b: number): number {
  const max = Math.max(a, b);
  return max === -Infinity ? max : max + Math.log1p(Math.exp(Math.min(a, b) - max)) - Math.LN2;
}
