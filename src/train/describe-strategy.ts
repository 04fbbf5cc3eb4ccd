// What run.json records of a strategy: enough to see what was trained with, and to refuse another one on resume.
import { createHash } from "node:crypto";
import { GraphStrategy } from "../losses/graph-strategy.ts";
import { emissionOf } from "../losses/index.ts";
import { type AnyStrategy, CombinedDistillationStrategy } from "../strategies/index.ts";
import { hasOutputLoss } from "../strategies/strategy.ts";

/** Its class, its options (public text, numbers and switches), those of its parts, and for code of the user's own a digest. */
export function describeStrategy(strategy: AnyStrategy): Record<string, unknown> {
  const own = Object.fromEntries(
    Object.entries(strategy).filter(([, v]) => ["string", "number", "boolean"].includes(typeof v)),
  );
  const name = strategy.constructor.name;
  if (strategy instanceof CombinedDistillationStrategy)
    return {
      name,
      strategies: strategy.parts.map(({ strategy: s, schedule, factor: _, ...rest }) => ({
        ...rest,
        ...(schedule.length > 0 && { schedule }),
        strategy: describeStrategy(s),
      })),
    };
  return {
    name,
    ...(hasOutputLoss(strategy) && { temperature: strategy.temperature, alpha: strategy.alpha }),
    ...own,
    ...(strategy instanceof GraphStrategy && { code: digest(String(strategy.loss)) }),
    ...(!emissionOf(strategy) && { code: digest(String(strategy.constructor)) }),
  };
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
