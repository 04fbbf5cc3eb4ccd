// Stochastic gradient descent as PyTorch's torch.optim.SGD defines it (dampening 0).
import { checkKeys, DistillError } from "../base/errors.ts";
import type { Optimizer } from "./optimizer.ts";

export interface SgdOptions {
  /** μ ≥ 0; default 0.9. */
  readonly momentum?: number;
  /** Look ahead along the momentum (Sutskever et al. 2013); default true when momentum > 0. */
  readonly nesterov?: boolean;
  /** λ ≥ 0, added to the gradient as λ·w; default 0. */
  readonly weightDecay?: number;
}

/**
 * g ← g + λw;  m ← μm + g;  w ← w − lr·(g + μm) with Nesterov, w − lr·m without; w − lr·g for μ = 0.
 *
 * @throws E_ARGUMENT for negative or non-finite options, or Nesterov without momentum.
 */
export function sgd(options: SgdOptions = {}): Optimizer {
  checkKeys("sgd", options, ["momentum", "nesterov", "weightDecay"]);
  const { momentum = 0.9, weightDecay = 0 } = options;
  const nesterov = options.nesterov ?? momentum > 0;
  for (const [name, v] of Object.entries({ momentum, weightDecay }))
    if (!(Number.isFinite(v) && v >= 0))
      throw new DistillError("E_ARGUMENT", `sgd: ${name} must be a finite number >= 0, got ${v}`);
  if (nesterov && momentum === 0)
    throw new DistillError("E_ARGUMENT", "sgd: nesterov needs a momentum above 0");
  return {
    name: "sgd",
    weightDecay,
    slots: momentum > 0 ? ["momentum"] : [],
    scalarNames: ["lr"],
    scalars: (_step, lr) => ({ lr }),
    update: ({ b, weight, gradient, slots, scalars, weightDecay: own = weightDecay }) => {
      const pull = () => (typeof own === "number" ? b.scale(weight, own) : b.mul(weight, own));
      const g = own === 0 ? gradient : b.add(gradient, pull());
      const [m] = slots;
      const next = m && b.add(b.scale(m, momentum), g);
      const direction = !next ? g : nesterov ? b.add(g, b.scale(next, momentum)) : next;
      return {
        weight: b.sub(weight, b.mul(direction, scalars.lr!)),
        slots: next ? [next] : [],
      };
    },
  };
}
