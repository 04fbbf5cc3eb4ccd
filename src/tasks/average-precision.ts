// Average precision of a ranking: the area under the curve of precision over recall, without interpolation, as
// scikit-learn's average_precision_score computes it.

/** Rows of scores, and whether each label holds, both [rows, columns]. */
export interface Scored {
  readonly scores: Float32Array;
  readonly holds: Uint8Array;
}

/** The mean over the columns in which something holds; undefined where nothing does. */
export function averagePrecision(parts: readonly Scored[], columns: number): number | undefined {
  const found = Array.from({ length: columns }, (_, c) => ofColumn(parts, columns, c)).filter(
    (v) => v !== undefined,
  );
  return found.length === 0 ? undefined : found.reduce((a, v) => a + v, 0) / found.length;
}

/** Σ (recall − recall before) · precision, over the scores from the highest down; equal scores count as one step. */
function ofColumn(parts: readonly Scored[], columns: number, column: number): number | undefined {
  const rows: { score: number; holds: number }[] = [];
  for (const { scores, holds } of parts)
    for (let i = column; i < scores.length; i += columns)
      rows.push({ score: scores[i] as number, holds: holds[i] as number });
  const positives = rows.reduce((n, r) => n + r.holds, 0);
  if (positives === 0) return undefined;
  rows.sort((a, b) => b.score - a.score);
  let [right, before, sum] = [0, 0, 0];
  for (let i = 0; i < rows.length; i++) {
    right += (rows[i] as { holds: number }).holds;
    if (rows[i + 1]?.score === rows[i]?.score) continue;
    sum += (right - before) * (right / (i + 1));
    before = right;
  }
  // Divided once: a perfect ranking sums to a whole number, and is 1 exactly.
  return sum / positives;
}
