// The moving average of weights and running statistics: a vector beside each of theirs, moved once a step. It is state like an
// optimizer's slots, and what an exported student is made of where a run keeps one.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { Pack } from "./state.ts";
import { addOutput, names, slotKey, vector } from "./step-names.ts";

/** The key, among all state, of a pack's average. */
export const averageKey = (pack: Pack): string => slotKey("average", pack);

/** average + rate · (next − average) for each of the packs; the rate is a scalar input. */
export function emitAverage(b: Builder, packs: readonly Pack[], next: ReadonlyMap<string, Value>): void {
  b.scope("average", () => {
    const rate = b.graph.addInput(names.scalar("average"), { dtype: "float32", dims: [] });
    for (const pack of packs) {
      const average = b.graph.addInput(names.state(averageKey(pack)), vector(pack));
      const moved = b.mul(b.sub(next.get(pack.key) as Value, average), rate);
      addOutput(b, names.next(averageKey(pack)), b.add(average, moved));
    }
  });
}
