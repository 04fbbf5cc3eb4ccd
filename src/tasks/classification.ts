// One class for each sample: logits [N, C], labels [N].
import { categoricalTask } from "./categorical.ts";
import type { Task, TaskOptions } from "./task.ts";

export function classification({ ignoreIndex }: TaskOptions): Task {
  return categoricalTask({
    name: "classification",
    rows: "samples",
    logits: "[N, C]",
    labels: "[N] class indices",
    ranks: [2],
    ignoreIndex,
    confusion: true,
    metrics: ["top1", "top5", "loss", "agreement"],
    monitors: ["top1", "agreement"],
    metricsOf: (s) => ({
      ...(s.labelled > 0 && {
        top1: s.first / s.labelled,
        top5: s.firstFive / s.labelled,
        loss: s.loss / s.labelled,
      }),
      ...(s.compared > 0 && { agreement: s.agreed / s.compared }),
    }),
  });
}
