// Where sampling at real-valued places reads a map, and with which weights: for the gradients of GridSample and its kin. A
// place on an axis of length `size` reads `taps` neighbours; what lies outside is zero, the border or the reflection.
import { tensor } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";

export type Padding = "zeros" | "border" | "reflection";

/** Weights of the neighbours as polynomials of the place's fraction: row i holds the coefficients of fraction^i. */
interface Kernel {
  readonly rows: readonly (readonly number[])[];
  /** Of the first neighbour, from the whole number below. */
  readonly first: number;
}

/** Keys' cubic convolution. */
const a = -0.75;
export const kernels = {
  nearest: { rows: [[1]], first: 0 },
  linear: {
    rows: [
      [1, 0],
      [-1, 1],
    ],
    first: 0,
  },
  cubic: {
    rows: [
      [0, 1, 0, 0],
      [a, 0, -a, 0],
      [-2 * a, -(a + 3), 2 * a + 3, a],
      [a, a + 2, -(a + 2), -a],
    ],
    first: -1,
  },
} as const satisfies Record<string, Kernel>;

export type KernelName = keyof typeof kernels;

/** The neighbours of places [...] on one axis. */
export interface AxisTaps {
  /** [..., taps], int64, within the axis. */
  readonly indices: Value;
  /** [..., taps]; 0 for what is outside and padded with zeros. */
  readonly weights: Value;
  /** d weights / d place. */
  readonly slopes: Value;
}

export interface AxisOptions {
  readonly size: number;
  readonly kernel: KernelName;
  readonly padding: Padding;
  /** Reflection about the centres of the outermost pixels, instead of their outer edges. */
  readonly alignCorners: boolean;
}

export function axisTaps(b: Builder, places: Value, o: AxisOptions): AxisTaps {
  const { rows, first }: Kernel = kernels[o.kernel];
  const { dtype, dims } = typeOf(places);
  const count = rows[0]?.length ?? 1;
  const column = b.reshape(places, [...dims, 1]);
  const base = b.node(o.kernel === "nearest" ? "Round" : "Floor", [column]);
  const numbers = (values: readonly number[], shape: readonly number[]): Value =>
    b.constant(tensor(dtype as "float32", values, shape), "taps");
  const neighbours = b.add(
    base,
    numbers(
      Array.from({ length: count }, (_, i) => i + first),
      [count],
    ),
  );
  const fraction = b.sub(column, base);
  const powers = rows
    .slice(1)
    .reduce<Value[]>(
      (list) => [...list, list.length === 1 ? fraction : b.mul(list.at(-1) as Value, fraction)],
      [b.expand(b.like(places, 1), [...dims, 1])],
    );
  const matrix = numbers(rows.flat(), [rows.length, count]);
  const weights = b.matmul(b.concat(powers, dims.length), matrix);
  const slopes = (): Value => {
    const steep = numbers(
      rows.slice(1).flatMap((row, i) => row.map((v) => v * (i + 1))),
      [rows.length - 1, count],
    );
    return b.matmul(b.concat(powers.slice(0, -1), dims.length), steep);
  };
  const inside = o.padding === "zeros" ? b.cast(isInside(b, neighbours, o.size), dtype) : undefined;
  const masked = (v: Value): Value => (inside ? b.mul(v, inside) : v);
  const folded = o.padding === "reflection" ? reflected(b, neighbours, o) : neighbours;
  return {
    indices: b.cast(withinAxis(b, folded, o.size), "int64"),
    weights: masked(weights),
    get slopes() {
      return masked(slopes());
    },
  };
}

function isInside(b: Builder, x: Value, size: number): Value {
  return b.and(b.greaterOrEqual(x, b.like(x, 0)), b.lessOrEqual(x, b.like(x, size - 1)));
}

/** NaN becomes a place of the axis too: an index must be one. */
function withinAxis(b: Builder, x: Value, size: number): Value {
  const below = b.where(b.lessOrEqual(x, b.like(x, size - 1)), x, b.like(x, size - 1));
  return b.where(b.greaterOrEqual(below, b.like(x, 0)), below, b.like(x, 0));
}

/** Whole numbers mirrored into the axis, as often as it takes. */
function reflected(b: Builder, x: Value, { size, alignCorners }: AxisOptions): Value {
  const period = alignCorners ? 2 * (size - 1) : 2 * size;
  if (period === 0) return b.mul(x, b.like(x, 0));
  const turn = b.sub(x, b.scale(b.node("Floor", [b.div(x, b.like(x, period))]), period));
  const back = b.sub(b.like(x, alignCorners ? period : period - 1), turn);
  return b.min(turn, back);
}

/** All combinations of the neighbours on several axes, the last fastest. */
export interface Taps {
  /** [..., taps], int64: places in the row-major order of the axes. */
  readonly indices: Value;
  readonly weights: Value;
  /** d weights / d place on axis i. */
  slope(i: number): Value;
}

/** `axes` from the slowest to the fastest, each of places [...]. */
export function combineTaps(
  b: Builder,
  axes: readonly { readonly taps: AxisTaps; readonly size: number }[],
): Taps {
  const lead = b.dims(axes[0]?.taps.weights as Value).slice(0, -1);
  const spread = (v: Value, at: number): Value =>
    b.reshape(v, [...lead, ...axes.map((_, i) => (i === at ? (b.dims(v).at(-1) as number) : 1))]);
  const all = axes.reduce((n, { taps }) => n * (b.dims(taps.weights).at(-1) as number), 1);
  const flat = (v: Value): Value => b.reshape(v, [...lead, all]);
  const product = (pick: (taps: AxisTaps, at: number) => Value): Value =>
    flat(axes.map(({ taps }, i) => spread(pick(taps, i), i)).reduce((p, q) => b.mul(p, q)));
  const strides = axes.map((_, i) => axes.slice(i + 1).reduce((n, { size }) => n * size, 1));
  const indices = axes
    .map(({ taps }, i) => spread(b.scale(taps.indices, strides[i] as number), i))
    .reduce((p, q) => b.add(p, q));
  return {
    indices: flat(indices),
    weights: product((t) => t.weights),
    slope: (i) => product((t, at) => (at === i ? t.slopes : t.weights)),
  };
}
