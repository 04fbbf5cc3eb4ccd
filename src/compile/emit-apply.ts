// The optimizer's half of a step: gradients, weights and slots -> next weights and next slots.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { CompileOptions } from "./compile-options.ts";
import type { ParameterGroup } from "./parameter-groups.ts";
import type { Pack } from "./state.ts";
import { addOutput, names, slotKey, vector } from "./step-names.ts";

/** The optimizer's scalars as inputs, made when they are asked for: the run's, and those of groups with another learning rate. */
export function scalarInputs(b: Builder, optimizer: Optimizer): (group?: ParameterGroup) => Scalars {
  const made = new Map<ParameterGroup | undefined, Scalars>();
  return (group) => {
    const found =
      made.get(group) ??
      Object.fromEntries(
        optimizer.scalarNames.map((n) => [
          n,
          b.graph.addInput(names.scalar(n, group?.match), { dtype: "float32", dims: [] }),
        ]),
      );
    made.set(group, found);
    return found;
  };
}

/** One number for all of a pack, or a vector of each element's; undefined: the optimizer's. */
function decayOf(
  b: Builder,
  { weightDecay, tensors, size }: Pack,
  otherwise: number,
): number | Value | undefined {
  if (typeof weightDecay !== "object") return weightDecay;
  const each = new Float32Array(size);
  for (const [i, t] of tensors.entries()) each.fill(weightDecay[i] ?? otherwise, t.offset, t.offset + t.size);
  return b.constant({ dtype: "float32", dims: [size], data: each }, "weight-decay");
}

type Scalars = Readonly<Record<string, Value>>;

/** Returns the next weights by the keys of their packs. */
export function emitApply(
  b: Builder,
  { optimizer, clipNorm }: CompileOptions,
  packs: readonly Pack[],
  weights: ReadonlyMap<string, Value>,
  gradients: ReadonlyMap<string, Value>,
  scalars: (group?: ParameterGroup) => Scalars,
): Map<string, Value> {
  const next = new Map<string, Value>();
  b.scope("optimizer", () => {
    let factor: Value | undefined;
    if (clipNorm !== undefined) {
      const norm = b.sqrt(
        [...gradients.values()].map((g) => b.reduceSumSquare(g)).reduce((a, c) => b.add(a, c)),
      );
      factor = b.min(b.like(norm, 1), b.div(b.like(norm, clipNorm), b.shift(norm, 1e-6)));
    }
    for (const pack of packs) {
      const g = gradients.get(pack.key) as Value;
      const slots = optimizer.slots.map((s) => b.graph.addInput(names.state(slotKey(s, pack)), vector(pack)));
      const updated = optimizer.update({
        b,
        weight: weights.get(pack.key) as Value,
        gradient: factor ? b.mul(g, factor) : g,
        slots,
        scalars: scalars(pack.group),
        weightDecay: decayOf(b, pack, optimizer.weightDecay),
      });
      next.set(pack.key, updated.weight);
      addOutput(b, names.next(pack.key), updated.weight);
      optimizer.slots.forEach((s, i) => {
        addOutput(b, names.next(slotKey(s, pack)), updated.slots[i] as Value);
      });
    }
  });
  return next;
}
