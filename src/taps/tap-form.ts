// How the two sides of a tap are brought into one form: neurons on the axis where they are expected, and the larger
// resolution pooled to the smaller, as implementations of neuron selectivity transfer do (Huang and Wang, 2017).
// Decides by shapes alone; emit-form.ts does it. Numbers of neurons are the strategy's business.
import { DistillError } from "../base/errors.ts";
import { neuronAxis } from "../base/layout.ts";
import { formatShape, type Shape, sameShape } from "../base/tensor.ts";

/** One side of a tap as its model gives it. */
export interface TapSide {
  readonly dims: Shape;
  /** The axis that counts neurons; default: as `neuronAxis` has it for the rank. */
  readonly axis?: number | undefined;
}

/** What is done to one side, in this order; what is absent is not done. Speaks of no batch size, and is plain JSON. */
export interface TapForm {
  /** Axes in their new order: the neurons come to where `neuronAxis` says. */
  readonly transpose?: readonly number[];
  /** [N, 1+T, C] -> [N, T, C]: the first token, which stands for no position, is left out. */
  readonly dropFirst?: true;
  /** [N, h·w, C] -> [N, C, h, w]: the tokens are the positions of a map, row by row. */
  readonly grid?: Shape;
  /** [N, C, …space] -> [N, positions, C]. */
  readonly flatten?: true;
  /** Sizes that the axes of samples are averaged to (adaptive average pooling). */
  readonly pool?: Shape;
  /** [N, 1, C] or [N, C, 1, …] -> [N, C]. */
  readonly squeeze?: true;
}

export interface TapForms {
  readonly student: TapForm;
  readonly teacher: TapForm;
  /** What is doubtful about it, one clause each. */
  readonly doubts: readonly string[];
}

/** The shape that `form` makes of `dims`. */
export function formedShape(dims: Shape, form: TapForm): Shape {
  let shape = form.transpose ? form.transpose.map((axis) => dims[axis] as number) : [...dims];
  const neurons = shape[neuronAxis(shape.length)] as number;
  const batch = shape[0] as number;
  if (form.dropFirst) shape[1] = (shape[1] as number) - 1;
  if (form.grid) shape = [batch, neurons, ...form.grid];
  if (form.flatten) shape = [batch, shape.slice(2).reduce((a, b) => a * b, 1), neurons];
  if (form.pool) {
    const axis = neuronAxis(shape.length);
    shape = axis === 1 ? [batch, neurons, ...form.pool] : [batch, ...form.pool, neurons];
  }
  return form.squeeze ? [batch, neurons] : shape;
}

/** Whether a form leaves a value as it is. */
export function isPlain(form: TapForm): boolean {
  return Object.keys(form).length === 0;
}

/**
 * The forms in which both sides have the same samples: axes of space of equal count are pooled to the smaller of both
 * sizes, tokens likewise; tokens beside a map are laid out as one where they fill a grid of its proportions (with or
 * without a first token that stands for no position), otherwise the map becomes tokens; a map or tokens beside a
 * vector are pooled to one position.
 *
 * @throws E_SHAPE where a side has no neurons (rank below 2) or the numbers of samples in the batch differ.
 */
export function commonForms(student: TapSide, teacher: TapSide): TapForms {
  const forms = { student: standard(student), teacher: standard(teacher) };
  const shapes = {
    student: formedShape(student.dims, forms.student),
    teacher: formedShape(teacher.dims, forms.teacher),
  };
  if (shapes.student[0] !== shapes.teacher[0])
    throw new DistillError("E_SHAPE", "the numbers of samples differ");
  const doubts: string[] = [];
  const kinds = { student: kindOf(shapes.student), teacher: kindOf(shapes.teacher) };
  for (const [side, other] of [
    ["student", "teacher"],
    ["teacher", "student"],
  ] as const) {
    if (kinds[side] !== "tokens" || kinds[other] !== "map") continue;
    const found = gridOf(shapes[side][1] as number, shapes[other].slice(2));
    if (found) forms[side] = { ...forms[side], ...found };
    else {
      forms[other] = { ...forms[other], flatten: true };
      doubts.push(
        `${shapes[side][1]} tokens are no grid like the map ${shapes[other].slice(2).join("x")}, so its positions are compared as a row`,
      );
    }
  }
  const formed = {
    student: formedShape(student.dims, forms.student),
    teacher: formedShape(teacher.dims, forms.teacher),
  };
  const vector = kinds.student === "vector" || kinds.teacher === "vector";
  const space = { student: spaceOf(formed.student), teacher: spaceOf(formed.teacher) };
  if (!vector && space.student.length !== space.teacher.length)
    throw new DistillError(
      "E_SHAPE",
      `maps of ${space.student.length} and ${space.teacher.length} axes of space cannot be pooled to one another`,
    );
  for (const side of ["student", "teacher"] as const) {
    const sizes = space[side];
    if (sizes.length === 0) continue;
    if (vector) {
      const one = sizes.map(() => 1);
      forms[side] = { ...forms[side], ...(sameShape(sizes, one) ? {} : { pool: one }), squeeze: true };
      continue;
    }
    const other = space[side === "student" ? "teacher" : "student"];
    const smaller = sizes.map((size, i) => Math.min(size, other[i] as number));
    if (!sameShape(sizes, smaller)) forms[side] = { ...forms[side], pool: smaller };
  }
  const [fewer, more] = [space.student[0] as number, space.teacher[0] as number].sort((a, b) => a - b);
  const tokens = (side: "student" | "teacher") => kinds[side] === "tokens" && !forms[side].transpose;
  if (tokens("student") && tokens("teacher") && fewer !== more)
    doubts.push(
      `${more} tokens are averaged with their neighbours into ${fewer}, a class token with its first patches`,
    );
  return { ...forms, doubts };
}

/** `teacher's [8,64,16,16] is pooled to 8x8`: what a form does, for the user; undefined where it only moves axes. */
export function tellForm(dims: Shape, form: TapForm): string | undefined {
  const parts: string[] = [];
  if (form.dropFirst) parts.push("loses its first token");
  if (form.grid) parts.push(`is laid out as a map ${form.grid.join("x")}`);
  if (form.pool) parts.push(`is pooled to ${form.pool.join("x")}`);
  return parts.length === 0 ? undefined : `${formatShape(dims)} ${parts.join(" and ")}`;
}

function kindOf(dims: Shape): "vector" | "tokens" | "map" {
  return dims.length === 2 ? "vector" : dims.length === 3 ? "tokens" : "map";
}

/** The sizes of the axes of samples behind the batch. */
function spaceOf(dims: Shape): Shape {
  return dims.filter((_, axis) => axis !== 0 && axis !== neuronAxis(dims.length));
}

/** The neurons brought to where they are expected. */
function standard({ dims, axis }: TapSide): TapForm {
  if (dims.length < 2)
    throw new DistillError(
      "E_SHAPE",
      `a value of shape ${formatShape(dims)} has no neurons; tap one of rank 2 or more`,
    );
  const wanted = neuronAxis(dims.length);
  if (axis === undefined || axis === wanted) return {};
  const others = dims.map((_, i) => i).filter((i) => i !== axis);
  return { transpose: [...others.slice(0, wanted), axis, ...others.slice(wanted)] };
}

/** `tokens`, or all but the first, as a grid of the proportions of `space`. */
function gridOf(tokens: number, space: Shape): Pick<TapForm, "grid" | "dropFirst"> | undefined {
  const positions = space.reduce((a, b) => a * b, 1);
  for (const dropFirst of [false, true]) {
    const count = tokens - (dropFirst ? 1 : 0);
    const scale = (count / positions) ** (1 / space.length);
    const grid = space.map((size) => Math.round(size * scale));
    const fits = grid.every(
      (g, i) => g > 0 && g * (space[0] as number) === (grid[0] as number) * (space[i] as number),
    );
    if (fits && grid.reduce((a, b) => a * b, 1) === count) return { grid, ...(dropFirst && { dropFirst }) };
  }
  return undefined;
}
