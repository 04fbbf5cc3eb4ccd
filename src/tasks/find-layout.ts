// Which axes of a model's output count samples and classes, from what is known of it. Refuses where two readings fit.
import { DistillError } from "../base/errors.ts";
import { formatShape, isFloat, type Shape, sameShape, type TensorType } from "../base/tensor.ts";
import { type OutputLayout, readShape, usualLayout } from "./reading.ts";
import type { Task } from "./task.ts";

/** Axes that a user names; negative ones count from the end. */
export interface AskedAxes {
  readonly batchAxis?: number | undefined;
  readonly classAxis?: number | undefined;
}

/** What a graph says of the axes of its output. */
export type ToldAxes = AskedAxes;

export interface LayoutClues {
  readonly task: Task;
  /** Of the output, for `samples` samples. */
  readonly dims: Shape;
  readonly samples: number;
  readonly asked?: AskedAxes | undefined;
  /** Undefined: what gives it is no graph, but keeps to the shapes that the task documents. */
  readonly told?: ToldAxes | undefined;
  /** Of the same samples. */
  readonly labels?: TensorType | undefined;
  /** E.g. `the student's logits "y" (student.onnx)`. */
  readonly what: string;
}

/**
 * The reading that fits: samples along one of the first two axes, classes along the axis that was asked for, that the graph
 * tells, or that the labels leave.
 *
 * Errors: E_SHAPE where no reading fits, or more than one; E_ARGUMENT for an axis that was asked for and does not exist.
 */
export function findLayout(clues: LayoutClues): OutputLayout {
  const { task, dims, samples, asked = {}, told, labels, what } = clues;
  const rank = dims.length;
  const named = { batchAxis: axisOf("batch", asked, clues), classAxis: axisOf("class", asked, clues) };
  const batches = (named.batchAxis === undefined ? [0, 1] : [named.batchAxis]).filter(
    (a) => dims[a] === samples,
  );
  const toldBatches = those(batches, (a) => a === told?.batchAxis);
  const fitting = (classAxes: readonly number[]): OutputLayout[] => {
    if (rank === 1) return [usualLayout(1)];
    return toldBatches
      .flatMap((batchAxis) => classAxes.map((classAxis) => ({ rank, batchAxis, classAxis })))
      .filter((l) => l.batchAxis !== l.classAxis && readShape(dims, l, task));
  };
  // What is left of [C, N]; of more axes, classes lie in front only where somebody says so.
  const inFront = rank === 2 && !toldBatches.includes(0) ? [0] : [];
  const anyClass = [...new Set([1, rank - 1, ...inFront])];
  const classes =
    named.classAxis === undefined
      ? told?.classAxis === undefined
        ? []
        : [told.classAxis]
      : [named.classAxis];
  let found = fitting(classes);
  if (found.length === 0 && named.classAxis === undefined) found = fitting(anyClass);
  found = differing(found, dims);
  if (found.length > 1 && labels) found = those(found, (l) => takesLabels(l, dims, labels, task));
  const usual = usualLayout(rank);
  // Where classes are not weighed against each other, their axis decides of no loss. And [N, C] is what everybody gives.
  const conventional = told === undefined || task.outputs !== "softmax" || rank === 2;
  if (found.length > 1 && conventional) {
    if (!task.timeFirst) found = those(found, (l) => l.batchAxis === 0);
    found = those(found, (l) => l.classAxis === usual.classAxis);
  }
  const [only, second] = found;
  if (!only) throw noReading(clues);
  if (second) throw twoReadings(only, second, clues);
  if (task.outputs === "softmax") checkClasses(only, dims, task, what);
  return only;
}

/** Those of which it holds; all where it holds of none. */
function those<T>(all: readonly T[], holds: (one: T) => boolean): T[] {
  const some = all.filter(holds);
  return some.length > 0 ? some : [...all];
}

/** One of those that read the same: axes of length 1 can trade places. */
function differing(layouts: readonly OutputLayout[], dims: Shape): OutputLayout[] {
  const key = ({ batchAxis, classAxis }: OutputLayout): string =>
    [batchAxis, classAxis].map((axis) => (axis === undefined || dims[axis] === 1 ? "one" : axis)).join();
  return layouts.filter((l, i) => layouts.findIndex((other) => key(other) === key(l)) === i);
}

function takesLabels(layout: OutputLayout, dims: Shape, labels: TensorType, task: Task): boolean {
  if (!task.learnsFromLabels || isFloat(labels.dtype) || task.outputs !== "softmax") return true;
  const { batchAxis, classAxis } = layout;
  const positions = dims.filter((_, i) => i !== batchAxis && i !== classAxis);
  return sameShape(withoutOnes(labels.dims), withoutOnes([dims[batchAxis] as number, ...positions]));
}

/** A shape without its axes of length 1, but for the first, which counts samples. */
export function withoutOnes(dims: Shape): Shape {
  return dims.filter((d, i) => i === 0 || d !== 1);
}

function axisOf(kind: "batch" | "class", asked: AskedAxes, { dims, what }: LayoutClues): number | undefined {
  const given = asked[`${kind}Axis`];
  if (given === undefined) return undefined;
  const axis = given < 0 ? given + dims.length : given;
  if (Number.isInteger(axis) && axis >= 0 && axis < dims.length) return axis;
  throw new DistillError(
    "E_ARGUMENT",
    `${what} are ${formatShape(dims)}: there is no axis ${given} (--${kind}-axis); it has 0 to ${dims.length - 1}`,
  );
}

function noReading({ task, dims, samples, asked, what }: LayoutClues): DistillError {
  const named = asked?.batchAxis !== undefined || asked?.classAxis !== undefined;
  return new DistillError(
    "E_SHAPE",
    named
      ? `${what} are ${formatShape(dims)}, which task ${task.name} cannot read with samples along axis ${asked?.batchAxis ?? "0 or 1"}${asked?.classAxis === undefined ? "" : ` and classes along axis ${asked.classAxis}`}; it expects ${task.logits} (--batch-axis, --class-axis)`
      : `${what} are ${formatShape(dims)} for a batch of ${samples}; expected ${task.logits}; where another axis counts the samples, name it with --batch-axis`,
  );
}

function twoReadings(a: OutputLayout, b: OutputLayout, { dims, samples, what }: LayoutClues): DistillError {
  const batch = a.batchAxis !== b.batchAxis;
  return new DistillError(
    "E_SHAPE",
    batch
      ? `${what} are ${formatShape(dims)} for a batch of ${samples}: samples may lie along axis ${a.batchAxis} or ${b.batchAxis}; say which with --batch-axis, or choose another batch size`
      : `${what} are ${formatShape(dims)}: classes may lie along axis ${a.classAxis} or ${b.classAxis}, and neither the graph nor the labels tell; say which with --class-axis`,
  );
}

/** The softmax of one logit is 1 whatever the logit is: any loss of it is constant, and every prediction right. */
function checkClasses({ classAxis }: OutputLayout, dims: Shape, task: Task, what: string): void {
  if (classAxis !== undefined && dims[classAxis] !== 1) return;
  throw new DistillError(
    "E_SHAPE",
    `${what} are ${formatShape(dims)}: one logit, whose softmax is 1 whatever it is, so a loss of task ${task.name} would be constant; for one yes or no take --task multi-label (labels 0 and 1), for one number --task regression`,
  );
}
