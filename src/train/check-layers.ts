// A strategy that names a layer of which there is no tap would train without it, silently: refused before training.
import { DistillError, didYouMean } from "../base/errors.ts";
import { strategyParts } from "../strategies/combined.ts";
import type { AnyStrategy } from "../strategies/index.ts";

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
