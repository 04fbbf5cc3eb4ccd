// Real numbers: outputs [N, D] (or [N], or maps [N, D, H, W]), targets of the same shape.
import { DistillError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { RegressionDistillationStrategy } from "../strategies/index.ts";
import { elementwiseFeeds } from "./elementwise.ts";
import { rowsOfTensor } from "./rows.ts";
import type { Evaluator, Task, TaskOptions } from "./task.ts";

export function regression({ huberDelta }: TaskOptions): Task {
  const feeds: Task["feeds"] = (labels, outputs, source) =>
    elementwiseFeeds(labels, outputs, source, "regression", (y) =>
      Number.isFinite(y) ? undefined : "a target must be finite; drop or repair such samples before training",
    );
  return {
    name: "regression",
    outputs: "identity",
    rows: "samples",
    logits: "[N, D]",
    labels: "[N, D] numbers",
    takesRank: (rank) => rank >= 1 && rank <= 5,
    timeFirst: false,
    ignores: false,
    learnsFromLabels: true,
    feeds,
    classesOf: () => undefined,
    predictions: (rows) => rows.data as Float32Array,
    metrics: ["mse", "mae", "r2", "teacherMse"],
    monitors: ["mse", "teacherMse"],
    evaluator: () => regressionEvaluator(feeds),
    strategy({ alpha, temperature }) {
      if (temperature !== undefined)
        throw new DistillError("E_OPTION", "task regression has no temperature; leave it out");
      return new RegressionDistillationStrategy({
        ...(alpha !== undefined && { alpha }),
        ...(huberDelta !== undefined && { huberDelta }),
      });
    },
  };
}

/** Sums of one output over the rows. Targets are taken relative to the first, so that their variance keeps its digits. */
interface Sums {
  readonly origin: number;
  y: number;
  ySquared: number;
  residual: number;
}

function regressionEvaluator(feeds: Task["feeds"]): Evaluator {
  let labelled = 0;
  let absolute = 0;
  let compared = 0;
  let toTeacher = 0;
  let outputs: Sums[] | undefined;
  return {
    add({ rows, shape, predictions, labels, teacher, source }) {
      const [n, columns] = rows.dims as readonly [number, number];
      if (teacher)
        for (let i = 0; i < predictions.length; i++) {
          toTeacher += ((predictions[i] as number) - (teacher[i] as number)) ** 2;
          compared++;
        }
      const fed = labels && feeds(labels, shape, source);
      if (!fed) return;
      const targets = rowsOfTensor(fed.labels as Tensor).data as Float32Array;
      outputs ??= Array.from({ length: columns }, (_, c) => ({
        origin: targets[c] as number,
        y: 0,
        ySquared: 0,
        residual: 0,
      }));
      for (let i = 0; i < n * columns; i++) {
        const sums = outputs[i % columns] as Sums;
        const y = (targets[i] as number) - sums.origin;
        const d = (predictions[i] as number) - (targets[i] as number);
        sums.y += y;
        sums.ySquared += y * y;
        sums.residual += d * d;
        absolute += Math.abs(d);
      }
      labelled += n;
    },
    result() {
      const all = outputs ?? [];
      const count = labelled * all.length;
      const r2 = meanR2(all, labelled);
      return {
        metrics: {
          ...(count > 0 && { mse: all.reduce((a, s) => a + s.residual, 0) / count, mae: absolute / count }),
          ...(r2 !== undefined && { r2 }),
          ...(compared > 0 && { teacherMse: toTeacher / compared }),
        },
      };
    },
  };
}

/** Mean over the outputs of 1 − Σ(s − y)² / Σ(y − ȳ)²; an output whose targets are all the same has none. */
function meanR2(outputs: readonly Sums[], n: number): number | undefined {
  const each = outputs
    .map((s) => ({ residual: s.residual, total: s.ySquared - (s.y * s.y) / n }))
    .filter(({ total }) => total > 0)
    .map(({ residual, total }) => 1 - residual / total);
  return each.length === 0 ? undefined : each.reduce((a, r) => a + r, 0) / each.length;
}
