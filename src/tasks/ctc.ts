// Recognisers of sequences in the manner of CTC (Graves et al. 2006): logits [N, T, C] or [T, N, C], one of the classes being
// the blank. The student learns the teacher's distribution at each time step; labels, which name a sequence but not when each
// symbol comes, serve evaluation only.
import { DistillError } from "../base/errors.ts";
import { formatShape, isFloat, type Shape, type Tensor, toNumbers } from "../base/tensor.ts";
import { ResponseDistillationStrategy } from "../strategies/index.ts";
import { firstClasses } from "./categorical.ts";
import { rowsShape } from "./rows.ts";
import type { Evaluator, LabelSource, Task, TaskOptions } from "./task.ts";
import { DEFAULT_IGNORE_INDEX } from "./tokens.ts";

export function ctc({ ignoreIndex = DEFAULT_IGNORE_INDEX, blankIndex = 0 }: TaskOptions): Task {
  const read = (labels: Tensor, logits: Shape, source: LabelSource): number[][] =>
    sequences(labels, logits, source, ignoreIndex);
  return {
    name: "ctc",
    outputs: "softmax",
    rows: "time steps",
    logits: "[N, T, C] or [T, N, C]",
    labels: "[N, L] symbols",
    takesRank: (rank) => rank === 3,
    timeFirst: true,
    ignores: false,
    learnsFromLabels: false,
    feeds(labels, logits, source) {
      read(labels, logits, source);
      return undefined;
    },
    classesOf: (logits) => rowsShape(logits)[1],
    predictions: firstClasses,
    metrics: ["sequenceAccuracy", "characterErrorRate", "sequenceAgreement", "agreement"],
    monitors: ["sequenceAccuracy", "sequenceAgreement", "agreement"],
    evaluator: () => ctcEvaluator(blankIndex, read),
    strategy: (o) => new ResponseDistillationStrategy(o),
  };
}

/** The symbols of each sample: what is left of a row without the ignore index. */
function sequences(labels: Tensor, logits: Shape, source: LabelSource, ignoreIndex: number): number[][] {
  const [n, , classes] = logits as readonly [number, number, number];
  if (isFloat(labels.dtype) || labels.dims.length !== 2 || labels.dims[0] !== n)
    throw new DistillError(
      "E_DATA",
      `${source.name}: labels are ${labels.dtype} ${formatShape(labels.dims)}; with logits ${formatShape(logits)}, task ctc takes whole numbers [${n},L], the symbols of each sequence, filled up with ${ignoreIndex}`,
    );
  const length = labels.dims[1] as number;
  const values = toNumbers(labels);
  return Array.from({ length: n }, (_, i) =>
    values.slice(i * length, (i + 1) * length).filter((symbol) => {
      if (symbol === ignoreIndex) return false;
      if (symbol >= 0 && symbol < classes) return true;
      throw new DistillError(
        "E_DATA",
        `${source.name}: sample ${source.samples[i]} has label ${symbol}, but ${classes} classes leave only 0 to ${classes - 1}, and ${ignoreIndex} to fill up; correct the label or the number of classes`,
      );
    }),
  );
}

/** The sequence that the likeliest classes spell: repeats made one, blanks dropped. */
export function greedyDecode(classes: ArrayLike<number>, blank: number): number[] {
  return Array.from(classes).filter((c, t) => c !== blank && c !== classes[t - 1]);
}

function ctcEvaluator(
  blank: number,
  read: (labels: Tensor, logits: Shape, source: LabelSource) => number[][],
): Evaluator {
  const sums = { samples: 0, right: 0, edits: 0, symbols: 0 };
  const agreement = { steps: 0, same: 0, sequences: 0, equal: 0 };
  return {
    add({ shape, predictions, labels, teacher, source }) {
      const [n, time] = shape as readonly [number, number];
      const decoded = (all: ArrayLike<number>, i: number): number[] =>
        greedyDecode(
          Array.from({ length: time }, (_, t) => all[i * time + t] as number),
          blank,
        );
      const wanted = labels && read(labels, shape, source);
      for (let i = 0; i < n; i++) {
        const own = decoded(predictions, i);
        if (wanted) {
          const truth = wanted[i] as number[];
          const edits = editDistance(own, truth);
          sums.samples++;
          sums.symbols += truth.length;
          sums.edits += edits;
          if (edits === 0) sums.right++;
        }
        if (!teacher) continue;
        agreement.sequences++;
        if (String(own) === String(decoded(teacher, i))) agreement.equal++;
      }
      if (!teacher) return;
      for (let k = 0; k < n * time; k++) if (predictions[k] === teacher[k]) agreement.same++;
      agreement.steps += n * time;
    },
    result: () => ({
      metrics: {
        ...(sums.samples > 0 && { sequenceAccuracy: sums.right / sums.samples }),
        ...(sums.symbols > 0 && { characterErrorRate: sums.edits / sums.symbols }),
        ...(agreement.sequences > 0 && {
          sequenceAgreement: agreement.equal / agreement.sequences,
          agreement: agreement.same / agreement.steps,
        }),
      },
    }),
  };
}

/** Levenshtein's distance: insertions, deletions and replacements. */
export function editDistance(a: readonly number[], b: readonly number[]): number {
  const row = Array.from({ length: b.length + 1 }, (_, j) => j);
  a.forEach((x, i) => {
    let diagonal = row[0] as number;
    row[0] = i + 1;
    for (let j = 1; j <= b.length; j++) {
      const above = row[j] as number;
      row[j] = Math.min(above + 1, (row[j - 1] as number) + 1, diagonal + (x === b[j - 1] ? 0 : 1));
      diagonal = above;
    }
  });
  return row[b.length] as number;
}
