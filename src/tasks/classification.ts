// One class for each sample: logits [N, C], labels [N].
import { ResponseDistillationStrategy } from "../strategies/index.ts";
import { categoricalEvaluator, categoricalFeeds, firstClasses } from "./categorical.ts";
import { rowsShape } from "./rows.ts";
import type { Task, TaskOptions } from "./task.ts";

export function classification({ ignoreIndex }: TaskOptions): Task {
  const options = { task: "classification", ignoreIndex };
  return {
    name: options.task,
    logits: "[N, C]",
    labels: "[N] class indices",
    takesRank: (rank) => rank === 2,
    activation: "softmax",
    timeFirst: false,
    ignores: ignoreIndex !== undefined,
    feeds: (labels, logits, source) => categoricalFeeds(labels, logits, source, options),
    classesOf: (logits) => rowsShape(logits)[1],
    predictions: firstClasses,
    metrics: ["top1", "top5", "loss", "agreement"],
    monitors: ["top1", "agreement"],
    evaluator: () =>
      categoricalEvaluator(options, (s) => ({
        ...(s.labelled > 0 && {
          top1: s.first / s.labelled,
          top5: s.firstFive / s.labelled,
          loss: s.loss / s.labelled,
        }),
        ...(s.compared > 0 && { agreement: s.agreed / s.compared }),
      })),
    strategy: (o) => new ResponseDistillationStrategy(o),
  };
}
