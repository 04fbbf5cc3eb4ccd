// Layers as sets of response vectors, in the graph: which responses belong together, and the few operations that losses
// between layers are made of. Nothing is transposed that a flag of a product can transpose. The arrays' twin is
// strategies/layers/groups.ts.
import { DistillError } from "../../base/errors.ts";
import { neuronAxis } from "../../base/layout.ts";
import { formatShape, sizeOf } from "../../base/tensor.ts";
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import type { SelectivityOver } from "../../strategies/index.ts";

/** Responses `[groups, neurons, rows]` where `neuronsFirst`, `[groups, rows, neurons]` otherwise. */
export interface Groups {
  readonly x: Value;
  readonly groups: number;
  readonly neurons: number;
  readonly rows: number;
  readonly neuronsFirst: boolean;
}

export interface Layout {
  readonly samples: number;
  readonly neurons: number;
  readonly positions: number;
}

/** What the axes of [N, C], [N, T, C] or [N, C, …space] count. */
export function layoutOf(dims: readonly number[]): Layout {
  const samples = dims[0] as number;
  const neurons = dims[neuronAxis(dims.length)] as number;
  return { samples, neurons, positions: sizeOf(dims) / (samples * neurons) };
}

/** Error: `E_SHAPE` where there are fewer than `least` rows to compare. */
export function groupsOf(b: Builder, what: string, value: Value, over: SelectivityOver, least = 2): Groups {
  const dims = b.dims(value);
  const { samples, neurons, positions } = layoutOf(dims);
  const rows = over === "positions" ? positions : over === "samples" ? samples : samples * positions;
  if (rows < least)
    throw new DistillError(
      "E_SHAPE",
      `${what} is ${formatShape(dims)}: ${rows} to compare over ${over.replaceAll("-", " ")}, and at least ${least} are needed; ` +
        (over === "positions" ? "tap a map or a sequence, or compare over samples" : "use a larger batch"),
    );
  const maps = neuronAxis(dims.length) < dims.length - 1;
  const count = { groups: over === "positions" ? samples : 1, neurons, rows };
  if (over === "positions") {
    const x = b.reshape(value, maps ? [samples, neurons, positions] : [samples, positions, neurons]);
    return { x, ...count, neuronsFirst: maps };
  }
  if (over === "samples") {
    const axes = dims.map((_, i) => i).filter((i) => i !== 0 && i !== neuronAxis(dims.length));
    return { x: b.reshape(b.reduceMean(value, axes), [1, samples, neurons]), ...count, neuronsFirst: false };
  }
  if (!maps || positions === 1)
    return { x: b.reshape(value, [1, rows, neurons]), ...count, neuronsFirst: false };
  const together = b.transpose(b.reshape(value, [samples, neurons, positions]), [1, 0, 2]);
  return { x: b.reshape(together, [1, neurons, rows]), ...count, neuronsFirst: true };
}

/** The axis along which a neuron's responses lie. */
export const rowAxis = (g: Groups): number => (g.neuronsFirst ? 2 : 1);

/**
 * Vectors along `axis` brought to `length`; zeros where they are no longer than `floor` (a number, or a value that
 * broadcasts, as its square).
 * y = ℓ·x/‖x‖;  dx = (dy − y·(y·dy)/ℓ²)·ℓ/‖x‖, and 0 for those zeros.
 */
export function toLength(b: Builder, x: Value, axis: number, floor: number | Value, length = 1): Value {
  const squares = b.reduceSumSquare(x, [axis], true);
  const alive = b.greater(squares, typeof floor === "number" ? b.like(x, floor ** 2) : floor);
  const one = b.like(x, 1);
  const inverse = b.where(alive, b.reciprocal(b.sqrt(b.where(alive, squares, one))), b.like(x, 0));
  const factor = b.scale(inverse, length);
  const y = b.mul(x, factor);
  b.region({
    inputs: [x],
    outputs: [y],
    grad: (dy) => [
      () => {
        const along = b.scale(b.reduceSum(b.mul(y, dy(0)), [axis], true), 1 / length ** 2);
        return b.mul(b.sub(dy(0), b.mul(y, along)), factor);
      },
    ],
  });
  return y;
}

/** Every vector along `axis` less its mean. */
export function centred(b: Builder, x: Value, axis: number): Value {
  return b.sub(x, b.reduceMean(x, [axis], true));
}

/**
 * Products of all pairs among the rows of x `[…, m, k]`, `[…, m, m]`; among its columns where `columns`. Both
 * cotangents are summed before the one product: dX = (dY + dYᵀ)·X. `symmetric` promises dY = dYᵀ.
 */
export function gram(b: Builder, x: Value, columns: boolean, symmetric: boolean): Value {
  const y = b.matmulT(x, columns, x, !columns);
  b.region({
    inputs: [x],
    outputs: [y],
    grad: (dy) => [
      () => {
        const both = symmetric ? b.scale(dy(0), 2) : b.add(dy(0), b.swapLast(dy(0)));
        return columns ? b.matmul(x, both) : b.matmul(both, x);
      },
    ],
  });
  return y;
}

/** Products of all pairs of rows, [groups, rows, rows]: samples by samples, or positions by positions. */
export function rowProducts(b: Builder, g: Groups): Value {
  return gram(b, g.x, g.neuronsFirst, true);
}

/** Products of all pairs of neurons, [groups, neurons, neurons]. */
export function neuronProducts(b: Builder, g: Groups): Value {
  return gram(b, g.x, !g.neuronsFirst, true);
}

/** Products of the neurons of h with those of g, [groups, neurons of h, neurons of g]. */
export function crossProducts(b: Builder, h: Groups, g: Groups): Value {
  return b.matmulT(h.x, !h.neuronsFirst, g.x, g.neuronsFirst);
}

/** Whether products of rows take less memory than products of neurons, both layers together. */
export function rowsAreFewer(g: Groups, h: Groups): boolean {
  return 2 * g.rows ** 2 < g.neurons ** 2 + g.neurons * h.neurons + h.neurons ** 2;
}

/** Refuses layers that the loss cannot compare position by position. */
export function samePositions(what: string, b: Builder, student: Value, teacher: Value): void {
  const [s, t] = [layoutOf(b.dims(student)), layoutOf(b.dims(teacher))];
  if (s.positions !== t.positions || s.samples !== t.samples)
    throw new DistillError(
      "E_SHAPE",
      `${what}: the student's value is ${formatShape(b.dims(student))} and the teacher's ${formatShape(b.dims(teacher))}; samples and positions must be the same`,
    );
}
