// Several yes-or-no answers for each sample: logits [N, L] (or maps), labels 0 or 1 of the same shape. With one logit, it is
// binary classification.
import { MultiLabelDistillationStrategy } from "../strategies/index.ts";
import { binaryCrossEntropy } from "../strategies/multi-label-loss.ts";
import { averagePrecision } from "./average-precision.ts";
import { elementwiseFeeds } from "./elementwise.ts";
import { rowsOfTensor } from "./rows.ts";
import type { Evaluator, Task, TaskOptions } from "./task.ts";

/** Scores kept for average precision: 256 MiB of float32, and as much of labels in a quarter. */
const mostScores = 2 ** 26;

export function multiLabel(_: TaskOptions): Task {
  const feeds: Task["feeds"] = (labels, logits, source) =>
    elementwiseFeeds(labels, logits, source, "multi-label", (y) =>
      y >= 0 && y <= 1
        ? undefined
        : "each must lie in [0, 1]: 1 for a label that holds, 0 for one that does not",
    );
  return {
    name: "multi-label",
    outputs: "sigmoid",
    rows: "labels",
    logits: "[N, L]",
    labels: "[N, L] of 0 and 1",
    takesRank: (rank) => rank >= 1 && rank <= 5,
    timeFirst: false,
    ignores: false,
    learnsFromLabels: true,
    feeds,
    classesOf: () => undefined,
    predictions: (rows) => Uint8Array.from(rows.data as Float32Array, (z) => (z > 0 ? 1 : 0)),
    metrics: ["meanAveragePrecision", "microF1", "macroF1", "loss", "agreement"],
    monitors: ["meanAveragePrecision", "microF1", "agreement"],
    evaluator: () => multiLabelEvaluator(feeds),
    strategy: (o) => new MultiLabelDistillationStrategy(o),
  };
}

interface Counts {
  truePositive: number;
  falsePositive: number;
  falseNegative: number;
}

function multiLabelEvaluator(feeds: Task["feeds"]): Evaluator {
  let counts: Counts[] | undefined;
  let loss = 0;
  let labelled = 0;
  let compared = 0;
  let agreed = 0;
  const kept: { scores: Float32Array; holds: Uint8Array }[] = [];
  return {
    add({ rows, shape, predictions, labels, teacher, source }) {
      const columns = rows.dims[1] as number;
      if (teacher)
        for (let i = 0; i < predictions.length; i++) {
          compared++;
          if (predictions[i] === teacher[i]) agreed++;
        }
      const fed = labels && feeds(labels, shape, source);
      if (!fed) return;
      const scores = rows.data as Float32Array;
      const y = rowsOfTensor(fed.labels).data as Float32Array;
      const holds = Uint8Array.from(y, (v) => (v >= 0.5 ? 1 : 0));
      counts ??= Array.from({ length: columns }, () => ({
        truePositive: 0,
        falsePositive: 0,
        falseNegative: 0,
      }));
      for (let i = 0; i < scores.length; i++) {
        loss += binaryCrossEntropy(scores[i] as number, y[i] as number);
        const c = counts[i % columns] as Counts;
        if (predictions[i] === 1) holds[i] ? c.truePositive++ : c.falsePositive++;
        else if (holds[i]) c.falseNegative++;
      }
      labelled += scores.length;
      if (labelled <= mostScores) kept.push({ scores, holds });
      else kept.length = 0;
    },
    result() {
      const all = counts ?? [];
      const total = all.reduce(
        (a, c) => ({
          truePositive: a.truePositive + c.truePositive,
          falsePositive: a.falsePositive + c.falsePositive,
          falseNegative: a.falseNegative + c.falseNegative,
        }),
        { truePositive: 0, falsePositive: 0, falseNegative: 0 },
      );
      const micro = f1(total);
      const each = all.map(f1).filter((v) => v !== undefined);
      const precision = labelled <= mostScores ? averagePrecision(kept, all.length) : undefined;
      return {
        metrics: {
          ...(precision !== undefined && { meanAveragePrecision: precision }),
          ...(micro !== undefined && { microF1: micro }),
          ...(each.length > 0 && { macroF1: each.reduce((a, v) => a + v, 0) / each.length }),
          ...(labelled > 0 && { loss: loss / labelled }),
          ...(compared > 0 && { agreement: agreed / compared }),
        },
      };
    },
  };
}

/** 2·TP / (2·TP + FP + FN); undefined for a label that neither holds anywhere nor is predicted. */
function f1({ truePositive, falsePositive, falseNegative }: Counts): number | undefined {
  const all = 2 * truePositive + falsePositive + falseNegative;
  return all === 0 ? undefined : (2 * truePositive) / all;
}
