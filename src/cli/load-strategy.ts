// `--strategy`: a JavaScript module that holds a strategy or makes one.
import { DistillError } from "../base/errors.ts";
import type { AnyStrategy } from "../strategies/index.ts";
import { hasIntermediateLoss, hasOutputLoss, isGraphOnly } from "../strategies/strategy.ts";
import { defaultExport, isClass } from "./load-module.ts";

/** A module's default export is a strategy, a class of one without arguments, or a function that makes one (or a promise of one). */
export async function loadStrategy(path: string): Promise<AnyStrategy> {
  const exported = await defaultExport(path, "E_OPTION");
  const made = isClass(exported) ? new (exported as new () => unknown)() : exported;
  if (isStrategy(made)) return made;
  const found =
    made === undefined
      ? "nothing"
      : typeof made === "object"
        ? "an object without a loss"
        : `a value of type ${typeof made}`;
  throw new DistillError(
    "E_OPTION",
    `${path}: its default export gives ${found}; export a strategy (computeLoss and computeGradient, their intermediate pair, or defineGraphStrategy), or a function () => one`,
  );
}

function isStrategy(value: unknown): value is AnyStrategy {
  if (typeof value !== "object" || value === null) return false;
  const s = value as AnyStrategy;
  return hasOutputLoss(s) || hasIntermediateLoss(s) || isGraphOnly(s);
}
