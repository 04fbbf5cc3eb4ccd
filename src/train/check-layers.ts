// A strategy that names a layer of which there is no tap would train without it, silently: refused before training.
import { DistillError, didYouMean } from "../base/errors.ts";
import { strategyParts } from "../strategies/combined.ts";
import {
  type AnyStrategy,
  NeuronSelectivityDistillationStrategy,
  type StrategyPart,
} from "../strategies/index.ts";

/** E_NAME where the strategy's `targetLayerName`, or that of a strategy in a sum, is neither "default" nor a tap. */
export function checkLayers(strategy: AnyStrategy, taps: readonly string[]): void {
  for (const { strategy: s, part } of strategyParts(strategy)) {
    if (part === "output" || !("targetLayerName" in s)) continue;
    const layer = s.targetLayerName;
    if (typeof layer !== "string" || layer === "default" || taps.includes(layer)) continue;
    throw new DistillError(
      "E_NAME",
      `${s.constructor.name}: its layer "${layer}" is no tap.${didYouMean(layer, taps)} Taps: ${taps.join(", ") || "none"}.`,
    );
  }
}

/** E_OPTION where a selectivity loss that trains on arrays (a subclass) wants state that lives in the step. */
export function checkArrays(parts: readonly StrategyPart[]): void {
  for (const { strategy: s } of parts) {
    if (!(s instanceof NeuronSelectivityDistillationStrategy)) continue;
    const wanted = [
      ...(s.target === "dataset" ? ['target "dataset"'] : []),
      ...(s.match === "assignment" ? ['match "assignment"'] : []),
      ...(s.momentum > 0 ? [`momentum ${s.momentum}`] : []),
    ];
    if (wanted.length > 0)
      throw new DistillError(
        "E_OPTION",
        `${s.constructor.name}: ${wanted.join(" and ")} train inside the step, but a subclass of NeuronSelectivityDistillationStrategy trains on arrays; leave them out, or use the class itself in a sum with your own`,
      );
  }
}
