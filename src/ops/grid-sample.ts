// GridSample and AffineGrid: maps read at places that the data choose. The forward pass is the runtime's own node; the
// gradients are written out, as products over the neighbours of each place (grid-taps.ts). Source: ONNX operator
// specification, GridSample-20 and AffineGrid-20; Jaderberg et al. 2015, Spatial Transformer Networks.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Shape, sizeOf, tensor } from "../base/tensor.ts";
import { string, typeOf, type Value } from "../graph/graph.ts";
import { type Builder, int } from "./builder.ts";
import { defineOp, type GradContext, oneOutput, zero } from "./define.ts";
import { axisTaps, combineTaps, type KernelName, type Padding, type Taps } from "./grid-taps.ts";

const modes: Readonly<Record<string, KernelName>> = {
  bilinear: "linear",
  bicubic: "cubic",
  linear: "linear",
  nearest: "nearest",
  cubic: "cubic",
};
const paddings = ["zeros", "border", "reflection"];

/**
 * y[n, c, p] = Σ_t w_t(grid[n, p]) · x[n, c, i_t(grid[n, p])];  dx = Σ w · dy put back there, d grid = Σ_t w'_t · ⟨x, dy⟩ over
 * the channels. The last axis of the grid counts the axes of x from its last, from −1 to 1.
 */
const gridSample = defineOp({
  op: "GridSample",
  versions: [16, 20, 22],
  note: "linear, nearest (no gradient for the grid), cubic; 4 and 5 axes; all paddings",
  emit: oneOutput((c) => {
    const { b, attr, where } = c;
    const mode = modes[attr.string("mode", c.version === 16 ? "bilinear" : "linear")];
    const padding = attr.string("padding_mode", "zeros");
    if (!mode || !paddings.includes(padding))
      throw new DistillError(
        "E_OP",
        `${where}: mode "${attr.string("mode", "linear")}", padding_mode "${padding}" is not supported; modes are linear, nearest and cubic, paddings ${paddings.join(", ")}`,
      );
    return b.node("GridSample", [c.x(0), c.x(1)], {
      mode: string(mode),
      padding_mode: string(padding),
      align_corners: int(attr.int("align_corners", 0)),
    });
  }),
  infer: (c) => {
    const [x, grid] = [c.dims(0), c.dims(1)];
    const axes = x.length - 2;
    if ((axes !== 2 && axes !== 3) || grid.length !== x.length || grid.at(-1) !== axes || grid[0] !== x[0])
      throw new DistillError(
        "E_SHAPE",
        `${c.where}: a grid ${formatShape(grid)} does not fit ${formatShape(x)}; it must be [N, H, W, 2] for [N, C, H, W], or [N, D, H, W, 3]`,
      );
    return [{ dtype: c.type(0).dtype, dims: [x[0] as number, x[1] as number, ...grid.slice(1, -1)] }];
  },
  grad: (c) => {
    const { b, x, dims, attr } = c;
    const [n, channels, ...space] = dims(0) as [number, number, ...number[]];
    const points = sizeOf(dims(1).slice(1, -1));
    /** dy as [N·P, C]. */
    const dy = (): Value =>
      b.reshape(b.transpose(b.reshape(c.dy(0), [n, channels, points]), [0, 2, 1]), [n * points, channels]);
    return [
      () => {
        const { rows, weights } = gridTaps(c, space, points);
        const rowsOfX = scatterRows(b, dy(), rows, weights, n * sizeOf(space));
        const back = b.transpose(b.reshape(rowsOfX, [n, sizeOf(space), channels]), [0, 2, 1]);
        return b.reshape(back, dims(0));
      },
      attr.string("mode") === "nearest"
        ? zero
        : () => {
            const taps = gridTaps(c, space, points);
            const rowsOfX = b.reshape(b.transpose(b.reshape(x(0), [n, channels, sizeOf(space)]), [0, 2, 1]), [
              n * sizeOf(space),
              channels,
            ]);
            const score = gatherScores(b, rowsOfX, taps.rows, dy());
            const align = attr.int("align_corners") === 1;
            const each = space.map((size, i) =>
              b.scale(b.reduceSum(b.mul(score, taps.slope(i)), [-1], true), (align ? size - 1 : size) / 2),
            );
            return b.reshape(b.concat(each.reverse(), 1), dims(1));
          },
    ];
  },
});

/** The neighbours of every place: rows [N·P, T] of x as [N·S, C], and their weights. */
function gridTaps({ b, x, dims, attr }: GradContext, space: Shape, points: number): Taps & { rows: Value } {
  const n = dims(0)[0] as number;
  const align = attr.int("align_corners") === 1;
  const grid = b.reshape(x(1), [n * points, space.length]);
  const taps = combineTaps(
    b,
    space.map((size, i) => {
      const at = space.length - 1 - i;
      const place = b.reshape(b.slice(grid, [at], [at + 1], [1]), [n * points]);
      // In the order in which the runtime computes it, so that a place falls between the same neighbours.
      const moved = b.shift(place, 1);
      const own = align
        ? b.scale(b.scale(moved, 0.5), size - 1)
        : b.scale(b.shift(b.scale(moved, size), -1), 0.5);
      return {
        size,
        taps: axisTaps(b, own, {
          size,
          kernel: attr.string("mode") as KernelName,
          padding: attr.string("padding_mode") as Padding,
          alignCorners: align,
        }),
      };
    }),
  );
  const first = Array.from({ length: n * points }, (_, i) => Math.floor(i / points) * sizeOf(space));
  const rows = b.add(taps.indices, b.constant(tensor("int64", first, [n * points, 1]), "sample"));
  return { ...taps, rows };
}

/** Σ weights[p, t] · values[p] added up in row rows[p, t] of [count, C]. */
export function scatterRows(b: Builder, values: Value, rows: Value, weights: Value, count: number): Value {
  const [points, channels] = b.dims(values) as [number, number];
  const taps = b.dims(rows)[1] as number;
  const updates = b.mul(b.reshape(values, [points, 1, channels]), b.reshape(weights, [points, taps, 1]));
  const zeros = b.full({ dtype: typeOf(values).dtype, dims: [count, channels] }, 0);
  return b.node(
    "ScatterND",
    [zeros, b.reshape(rows, [points * taps, 1]), b.reshape(updates, [points * taps, channels])],
    { reduction: string("add") },
  );
}

/** ⟨x[rows[p, t]], values[p]⟩ over the channels: [P, T]. */
export function gatherScores(b: Builder, x: Value, rows: Value, values: Value): Value {
  const [points, channels] = b.dims(values) as [number, number];
  const read = b.gather(x, rows, 0);
  return b.reshape(b.matmul(read, b.reshape(values, [points, channels, 1])), b.dims(rows));
}

/**
 * grid[n, p] = theta[n] · (place p of the output from −1 to 1, 1), the last axis of the output first. The runtime puts the
 * one place of an axis of length 1 at 1 with `align_corners` (PyTorch: at 0), and at 0 without.
 */
const affineGrid = defineOp({
  op: "AffineGrid",
  versions: [20],
  composed: true,
  emit: oneOutput(({ b, x, numbers, attr, where }) => {
    const [n, rows, columns] = b.dims(x(0)) as [number, number, number];
    const space = numbers(1).slice(2);
    if (rows !== space.length || columns !== rows + 1 || numbers(1)[0] !== n)
      throw new DistillError(
        "E_SHAPE",
        `${where}: theta ${formatShape(b.dims(x(0)))} does not fit the size ${formatShape(numbers(1))}; it must be [N, 2, 3] for [N, C, H, W], or [N, 3, 4] for [N, C, D, H, W]`,
      );
    const align = attr.int("align_corners", 0) === 1;
    const { dtype } = typeOf(x(0));
    const round = dtype === "float32" ? Math.fround : (v: number) => v;
    // Rounded where the runtime rounds: its places lie off the middle by some 1e-7.
    const axis = (size: number): number[] => {
      const step = size === 1 ? 0 : round(2 / (size - 1));
      return Array.from({ length: size }, (_, i) => {
        const place = i === size - 1 ? 1 : round(-1 + round(i * step));
        return align ? place : round(round(place * (size - 1)) / size);
      });
    };
    const axes = space.map(axis);
    const points = sizeOf(space);
    const base = Array.from({ length: points }, (_, p) => {
      let rest = p;
      const own = axes.map(() => 0);
      for (let i = axes.length - 1; i >= 0; i--) {
        const size = space[i] as number;
        own[i] = axes[i]?.[rest % size] as number;
        rest = Math.floor(rest / size);
      }
      return [...own.reverse(), 1];
    }).flat();
    const places = b.constant(tensor(dtype as "float32", base, [points, columns]), "places");
    return b.reshape(b.matmulT(places, false, x(0), true), [n, ...space, rows]);
  }),
});

export const gridSampleOps = [gridSample, affineGrid] as const;
