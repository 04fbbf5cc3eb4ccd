// Pad: constant, reflected, repeated at the edge, or wrapped around; negative constant padding crops.
// Source: ONNX operator specification, Pad-21 (and its older spellings: attributes in opset 2, no axes before 18).
import { DistillError } from "../base/errors.ts";
import type { Shape } from "../base/tensor.ts";
import { string, type Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { defineOp, type EmitContext, notDifferentiable, oneOutput, zero } from "./define.ts";
import { axisOf } from "./infer.ts";
import { emitSlice } from "./slice.ts";

const modes = ["constant", "reflect", "edge", "wrap"];

/** y = x with more at its sides;  dx = the middle of dy, and for other modes than constant what the copies add to it. */
export const pad = defineOp({
  op: "Pad",
  versions: [2, 11, 13, 18, 19, 21, 23, 24, 25],
  fixed: [2],
  emit: oneOutput((c) => {
    const x = c.x(0);
    const { before, after } = givenPads(c);
    const mode = c.attr.string("mode", "constant");
    if (!modes.includes(mode))
      throw new DistillError(
        "E_OP",
        `${c.where}: padding mode "${mode}" is not supported; use ${modes.join(", ")}`,
      );
    if (mode === "constant") {
      const value = c.version < 11 ? c.attr.float("value", 0) : c.has(2) ? (c.numbers(2)[0] ?? 0) : 0;
      return c.b.pad(x, before, after, value);
    }
    if ([...before, ...after].some((p) => p < 0))
      throw new DistillError(
        "E_OP",
        `${c.where}: negative padding is supported in mode "constant" alone, not "${mode}"; crop with a Slice`,
      );
    if ([...before, ...after].every((p) => p === 0)) return x;
    return c.b.node("Pad", [x, c.b.ints([...before, ...after])], { mode: string(mode) });
  }),
  infer: (c) => {
    const { dtype, dims } = c.type(0);
    const pads = c.numbers(1);
    const rank = dims.length;
    return [
      { dtype, dims: dims.map((d, i) => Math.max(0, d + (pads[i] as number) + (pads[i + rank] as number))) },
    ];
  },
  grad: ({ b, dy, dims, numbers, attr }) => [
    () => {
      const rank = dims(0).length;
      const pads = numbers(1);
      const [before, after] = [pads.slice(0, rank), pads.slice(rank)];
      const mode = attr.string("mode", "constant");
      if (mode === "constant") return unpad(b, dy(0), before, after);
      return dims(0).reduce(
        (d, size, axis) => fold(b, d, axis, size, copiedFrom(mode, size, before[axis]!, after[axis]!)),
        dy(0),
      );
    },
    zero,
    notDifferentiable,
    zero,
  ],
});

function givenPads(c: EmitContext): { before: number[]; after: number[] } {
  const rank = c.b.dims(c.x(0)).length;
  const pads = c.version < 11 ? c.attr.ints("pads") : c.numbers(1);
  const axes =
    c.version >= 18 && c.has(3)
      ? c.numbers(3).map((a) => axisOf(a, rank, c.where))
      : Array.from({ length: rank }, (_, i) => i);
  if (pads.length !== 2 * axes.length)
    throw new DistillError(
      "E_SHAPE",
      `${c.where}: ${pads.length} pads for ${axes.length} axes; it needs one before and one after each`,
    );
  const before = Array.from({ length: rank }, () => 0);
  const after = before.slice();
  axes.forEach((axis, i) => {
    before[axis] = pads[i] as number;
    after[axis] = pads[i + axes.length] as number;
  });
  return { before, after };
}

/** The transpose of constant padding: a slice; where the padding cropped, zeros. */
function unpad(b: Builder, dy: Value, before: Shape, after: Shape): Value {
  const middle = emitSlice(
    b,
    dy,
    b.dims(dy).map((d, axis) => {
      const start = Math.max(0, before[axis] as number);
      return { axis, start, step: 1, count: d - start - Math.max(0, after[axis] as number) };
    }),
  );
  const cropped = (pads: Shape) => pads.map((p) => Math.max(0, -p));
  return b.pad(middle, cropped(before), cropped(after));
}

/** For each index of the padded axis, the index of the original that it copies. */
function copiedFrom(mode: string, size: number, before: number, after: number): number[] {
  return Array.from({ length: before + size + after }, (_, k) => {
    const at = k - before;
    if (mode === "edge") return Math.min(Math.max(at, 0), size - 1);
    if (mode === "wrap") return ((at % size) + size) % size;
    const period = Math.max(1, 2 * (size - 1));
    const folded = ((at % period) + period) % period;
    return folded < size ? folded : period - folded;
  });
}

/** Sums the entries of dy along `axis` to the `size` entries that they were copied from: run by run, not one by one. */
function fold(b: Builder, dy: Value, axis: number, size: number, source: readonly number[]): Value {
  if (source.length === size) return dy;
  const pieces: Value[] = [];
  for (let from = 0; from < source.length; ) {
    const direction = (source[from + 1] ?? Number.NaN) - source[from]!;
    let to = from + 1;
    if (Math.abs(direction) <= 1)
      while (to < source.length && source[to]! - source[to - 1]! === direction) to++;
    const count = to - from;
    const run = direction === -1 && count > 1;
    let piece = emitSlice(b, dy, [{ axis, start: run ? to - 1 : from, step: run ? -1 : 1, count }]);
    const still = direction === 0 && count > 1;
    if (still) piece = b.reduceSum(piece, [axis], true);
    const first = Math.min(source[from]!, source[to - 1]!);
    const zeros = b.dims(dy).map(() => 0);
    pieces.push(b.pad(piece, zeros.with(axis, first), zeros.with(axis, size - first - (still ? 1 : count))));
    from = to;
  }
  return pieces.reduce((sum, piece) => b.add(sum, piece));
}
