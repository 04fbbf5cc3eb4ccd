// Names of the selectivity loss's state for one tap: what the training loop sets, and what the step carries.
import type { NeuronSelectivityDistillationStrategy } from "../../strategies/index.ts";

export function stateNames(
  tap: string,
  { metric, over, match }: Pick<NeuronSelectivityDistillationStrategy, "metric" | "over" | "match">,
) {
  const of = (what: string): string => `selectivity/${tap}/${metric}/${over}/${match}/${what}`;
  return { teacher: of("teacher"), assignment: of("assignment"), running: of("running") };
}
