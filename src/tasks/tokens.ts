// One class for each token of a sequence: logits [N, T, C], labels [N, T]. Tokens labelled with the ignore index (padding, a
// word's later pieces, what a masked language model need not fill in) count neither in the loss nor in the metrics.
import { categoricalTask } from "./categorical.ts";
import type { Task, TaskOptions } from "./task.ts";

/** PyTorch's `ignore_index`, which tokenizers and exporters pad labels with. */
export const DEFAULT_IGNORE_INDEX = -100;

const shapes = { rows: "tokens", logits: "[N, T, C]", labels: "[N, T] class indices", ranks: [3] };

export function tokenClassification({ ignoreIndex = DEFAULT_IGNORE_INDEX }: TaskOptions): Task {
  return categoricalTask({
    name: "token-classification",
    ...shapes,
    ignoreIndex,
    confusion: true,
    metrics: ["accuracy", "loss", "agreement"],
    monitors: ["accuracy", "agreement"],
    metricsOf: (s) => ({
      ...(s.labelled > 0 && { accuracy: s.first / s.labelled, loss: s.loss / s.labelled }),
      ...(s.compared > 0 && { agreement: s.agreed / s.compared }),
    }),
  });
}

/** The labels are the tokens to be predicted where they stand: of a causal model, the inputs moved by one. */
export function languageModelling({ ignoreIndex = DEFAULT_IGNORE_INDEX }: TaskOptions): Task {
  return categoricalTask({
    name: "language-modelling",
    ...shapes,
    labels: "[N, T] indices of the tokens to predict",
    ignoreIndex,
    confusion: false,
    metrics: ["perplexity", "loss", "accuracy", "agreement"],
    monitors: ["perplexity", "agreement"],
    metricsOf: (s) => ({
      ...(s.labelled > 0 && {
        perplexity: Math.exp(s.loss / s.labelled),
        loss: s.loss / s.labelled,
        accuracy: s.first / s.labelled,
      }),
      ...(s.compared > 0 && { agreement: s.agreed / s.compared }),
    }),
  });
}
