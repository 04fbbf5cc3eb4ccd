// What the tasks share whose rows choose one of C classes: labels that are class indices or distributions, the class that a
// row puts first, and the sums that accuracies are made of.
import { DistillError } from "../base/errors.ts";
import { neuronAxis } from "../base/layout.ts";
import { formatShape, isFloat, type Shape, sameShape, type Tensor, toNumbers } from "../base/tensor.ts";
import { ResponseDistillationStrategy } from "../strategies/index.ts";
import { withoutOnes } from "./find-layout.ts";
import type { MetricKey, Metrics } from "./metrics.ts";
import { rowsOfTensor, rowsShape } from "./rows.ts";
import type { Evaluator, LabelFeeds, LabelSource, Task } from "./task.ts";

/** Confusion matrices of more classes are not kept. */
const mostClassesKept = 1000;

export interface CategoricalOptions {
  readonly name: string;
  readonly rows: string;
  readonly logits: string;
  readonly labels: string;
  readonly ranks: readonly number[];
  /** A label that makes its row not count; undefined: none does. */
  readonly ignoreIndex: number | undefined;
  /** Whether the counts of true against predicted classes are worth keeping. */
  readonly confusion: boolean;
  readonly metrics: readonly MetricKey[];
  readonly monitors: readonly MetricKey[];
  /** Metrics of the sums over a data set; one that was not measured is left out by the caller. */
  metricsOf(sums: CategoricalSums): Metrics;
}

/** A task whose rows choose one class each. */
export function categoricalTask(o: CategoricalOptions): Task {
  return {
    name: o.name,
    outputs: "softmax",
    rows: o.rows,
    logits: o.logits,
    labels: o.labels,
    takesRank: (rank) => o.ranks.includes(rank),
    timeFirst: false,
    ignores: o.ignoreIndex !== undefined,
    learnsFromLabels: true,
    feeds: (labels, logits, source) => categoricalFeeds(labels, logits, source, o),
    classesOf: (logits) => rowsShape(logits)[1],
    predictions: firstClasses,
    metrics: o.metrics,
    monitors: o.monitors,
    evaluator: () => categoricalEvaluator(o),
    strategy: (options) => new ResponseDistillationStrategy(options),
  };
}

/**
 * Labels of whole numbers, shaped like the logits without their classes: class indices. Floats shaped like the logits:
 * distributions, and so are whole numbers of that shape that are one-hot. Axes of length 1 more or less, behind the samples, make no difference.
 */
export function categoricalFeeds(
  labels: Tensor,
  logits: Shape,
  source: LabelSource,
  { name: task, ignoreIndex }: Pick<CategoricalOptions, "name" | "ignoreIndex">,
): LabelFeeds {
  const [rows, classes] = rowsShape(logits);
  const fits = (wanted: Shape): boolean => sameShape(withoutOnes(labels.dims), withoutOnes(wanted));
  if (fits(logits) && (isFloat(labels.dtype) || isOneHot(labels, logits))) {
    const given: Tensor = { dtype: "float32", dims: logits, data: Float32Array.from(toNumbers(labels)) };
    checkDistributions(given, source, task);
    return { labels: given };
  }
  const wanted = logits.toSpliced(neuronAxis(logits.length), 1);
  if (isFloat(labels.dtype) || !fits(wanted)) throw misshapen(labels, wanted, logits, source, task);
  const each = rows / (logits[0] as number);
  const values = labels.data as ArrayLike<number | bigint>;
  const indices = new Int32Array(rows);
  const weights = ignoreIndex === undefined ? undefined : new Float32Array(rows).fill(1);
  for (let i = 0; i < rows; i++) {
    const label = Number(values[i]);
    if (weights && label === ignoreIndex) weights[i] = 0;
    else if (label >= 0 && label < classes) indices[i] = label;
    else {
      const sample = source.samples[Math.floor(i / each)];
      const ignored = ignoreIndex === undefined ? "" : `, and ${ignoreIndex} for what is ignored`;
      throw new DistillError(
        "E_DATA",
        `${source.name}: sample ${sample} has label ${label}, but ${classes} classes leave only 0 to ${classes - 1}${ignored}; correct the label or the number of classes`,
      );
    }
  }
  return {
    labels: { dtype: "int32", dims: [rows], data: indices },
    ...(weights && { weights: { dtype: "float32", dims: [rows], data: weights } }),
  };
}

/** Whole numbers that are 1 for one class of each row and 0 for the others. */
function isOneHot(labels: Tensor, logits: Shape): boolean {
  const values = toNumbers(labels);
  if (values.some((v) => v !== 0 && v !== 1)) return false;
  return sumsOfRows({ dtype: "float32", dims: logits, data: Float32Array.from(values) }).every(
    (s) => s === 1,
  );
}

function sumsOfRows(t: Tensor): Float64Array {
  const { data, dims } = rowsOfTensor(t);
  const [rows, classes] = dims as readonly [number, number];
  const sums = new Float64Array(rows);
  for (let r = 0, i = 0; r < rows; r++)
    for (const end = i + classes; i < end; i++) sums[r]! += data[i] as number;
  return sums;
}

/**
 * Rows may be scaled, as weights of samples or classes scale them. Zeros and ones of which a row has several ones are several
 * labels a sample, or lie along another axis.
 */
function checkDistributions(given: Tensor, source: LabelSource, task: string): void {
  if ((given.data as Float32Array).some((v) => v !== 0 && v !== 1)) return;
  const sums = sumsOfRows(given);
  const at = sums.findIndex((s) => s > 1);
  if (at < 0) return;
  const sample = source.samples[Math.floor(at / (sums.length / (given.dims[0] as number)))];
  throw new DistillError(
    "E_DATA",
    `${source.name}: the labels of sample ${sample} are 1 for ${sums[at]} classes of one row; in the shape of the logits ${formatShape(given.dims)} task ${task} takes a distribution over the classes (several labels a sample: --task multi-label)`,
  );
}

function misshapen(
  labels: Tensor,
  wanted: Shape,
  logits: Shape,
  source: LabelSource,
  task: string,
): DistillError {
  return new DistillError(
    "E_DATA",
    `${source.name}: labels are ${labels.dtype} ${formatShape(labels.dims)}; with logits ${formatShape(logits)}, task ${task} takes whole numbers ${formatShape(wanted)}, the index of the class, or distributions ${formatShape(logits)} of float32`,
  );
}

/** The class with the largest logit, per row. */
export function firstClasses(rows: Tensor): Int32Array {
  const [n, classes] = rows.dims as readonly [number, number];
  const data = rows.data as Float32Array;
  return Int32Array.from({ length: n }, (_, i) => {
    const from = i * classes;
    let best = 0;
    for (let c = 1; c < classes; c++)
      if ((data[from + c] as number) > (data[from + best] as number)) best = c;
    return best;
  });
}

/** Sums over rows that count. Of distributions, the likeliest class is the label. */
export interface CategoricalSums {
  /** Rows with a label. */
  readonly labelled: number;
  readonly first: number;
  readonly firstFive: number;
  /** Of −Σ y log softmax(z), in nats. */
  readonly loss: number;
  /** Rows compared with the teacher, and those that agree. */
  readonly compared: number;
  readonly agreed: number;
  readonly confusion?: number[][] | undefined;
}

function categoricalEvaluator(options: CategoricalOptions): Evaluator {
  const sums = { labelled: 0, first: 0, firstFive: 0, loss: 0, compared: 0, agreed: 0 };
  let confusion: number[][] | undefined;
  return {
    add({ rows, shape, predictions, labels, teacher, source }) {
      const [n, classes] = rows.dims as readonly [number, number];
      const feeds = labels && categoricalFeeds(labels, shape, source, options);
      const soft = feeds && feeds.labels.dtype !== "int32" ? rowsOfTensor(feeds.labels) : undefined;
      const indices = soft ? firstClasses(soft) : (feeds?.labels.data as Int32Array | undefined);
      const weights = feeds?.weights?.data as Float32Array | undefined;
      if (indices && options.confusion && classes <= mostClassesKept)
        confusion ??= Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
      const data = rows.data as Float32Array;
      for (let i = 0; i < n; i++) {
        if (weights?.[i] === 0) continue;
        const best = predictions[i] as number;
        if (teacher) {
          sums.compared++;
          if (teacher[i] === best) sums.agreed++;
        }
        if (!indices) continue;
        const label = indices[i] as number;
        sums.labelled++;
        if (best === label) sums.first++;
        const from = i * classes;
        const own = data[from + label] as number;
        const top = data[from + best] as number;
        let above = 0;
        let sum = 0;
        let wanted = soft ? 0 : own - top;
        for (let c = 0; c < classes; c++) {
          const z = data[from + c] as number;
          if (z > own || (z === own && c < label)) above++;
          sum += Math.exp(z - top);
          const y = soft ? ((soft.data as Float32Array)[from + c] as number) : 0;
          if (y > 0) wanted += y * (z - top); // 0·log 0 = 0, where a class is ruled out
        }
        if (above < 5) sums.firstFive++;
        sums.loss += Math.log(sum) - wanted;
        if (confusion) (confusion[label] as number[])[best]!++;
      }
    },
    result: () => ({
      metrics: options.metricsOf({ ...sums, confusion }),
      ...(confusion && { confusion }),
    }),
  };
}
