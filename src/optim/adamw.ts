// AdamW (Loshchilov & Hutter 2019), as torch.optim.AdamW computes it.
import { checkKeys, DistillError } from "../base/errors.ts";
import type { Optimizer } from "./optimizer.ts";

export interface AdamWOptions {
  /** β₁ in [0, 1); default 0.9. */
  readonly beta1?: number;
  /** β₂ in [0, 1); default 0.999. */
  readonly beta2?: number;
  /** ε > 0; default 1e-8. */
  readonly epsilon?: number;
  /** λ ≥ 0, decoupled: w ← w·(1 − lr·λ); default 0.01. */
  readonly weightDecay?: number;
}

/**
 * w ← w(1 − lr·λ);  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;
 * w ← w − lr · (m / (1−β₁ᵗ)) / (√(v / (1−β₂ᵗ)) + ε), t counted from 1.
 *
 * @throws E_ARGUMENT for options outside their ranges.
 */
export function adamW(options: AdamWOptions = {}): Optimizer {
  checkKeys("adamw", options, ["beta1", "beta2", "epsilon", "weightDecay"]);
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  for (const [name, v] of Object.entries({ beta1, beta2 }))
    if (!(v >= 0 && v < 1))
      throw new DistillError("E_ARGUMENT", `adamw: ${name} must lie in [0, 1), got ${v}`);
  if (!(Number.isFinite(epsilon) && epsilon > 0))
    throw new DistillError("E_ARGUMENT", `adamw: epsilon must be above 0, got ${epsilon}`);
  if (!(Number.isFinite(weightDecay) && weightDecay >= 0))
    throw new DistillError(
      "E_ARGUMENT",
      `adamw: weightDecay must be a finite number >= 0, got ${weightDecay}`,
    );
  return {
    name: "adamw",
    weightDecay,
    slots: ["m", "v"],
    scalarNames: ["lr", "stepSize", "secondCorrection"],
    // lr/(1−β₁ᵗ) and 1/√(1−β₂ᵗ) are formed here in float64; as float32 powers they would lose digits.
    scalars: (step, lr) => ({
      lr,
      stepSize: lr / (1 - beta1 ** (step + 1)),
      secondCorrection: 1 / Math.sqrt(1 - beta2 ** (step + 1)),
    }),
    update: ({ b, weight, gradient, slots, scalars, weightDecay: own = weightDecay }) => {
      const [m, v] = slots as [typeof weight, typeof weight];
      const nextM = b.add(b.scale(m, beta1), b.scale(gradient, 1 - beta1));
      const nextV = b.add(b.scale(v, beta2), b.scale(b.square(gradient), 1 - beta2));
      const lr = scalars.lr as typeof weight;
      const pull = () => (typeof own === "number" ? b.scale(lr, own) : b.mul(own, lr));
      const decayed = own === 0 ? weight : b.sub(weight, b.mul(weight, pull()));
      const denominator = b.shift(b.mul(b.sqrt(nextV), scalars.secondCorrection!), epsilon);
      return {
        weight: b.sub(decayed, b.div(b.mul(nextM, scalars.stepSize!), denominator)),
        slots: [nextM, nextV],
      };
    },
  };
}
