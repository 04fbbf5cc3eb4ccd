// RoiAlign: boxes of a map read at a grid of places each. The forward pass is the runtime's own node; the gradient is written
// out, as products over the neighbours of each place. Source: ONNX operator specification, RoiAlign-16; He et al. 2017, Mask
// R-CNN; the order of operations is that of ONNX Runtime's kernel.
import { DistillError } from "../base/errors.ts";
import { formatShape, type NumericDType, type Tensor, tensor, toNumbers } from "../base/tensor.ts";
import { float, string, typeOf, type Value } from "../graph/graph.ts";
import { type Builder, int } from "./builder.ts";
import { defineOp, type GradContext, oneOutput, zero } from "./define.ts";
import { scatterRows } from "./grid-sample.ts";
import { axisTaps } from "./grid-taps.ts";

/** Places of every bin on one axis. */
interface BinTaps {
  /** [R, bins, taps], int64. */
  readonly indices: Value;
  /** [R, bins, taps]; 0 for a place outside. */
  readonly weights: Value;
  /** [R, 1, taps]: 1 where the box has the place; undefined where all have as many. */
  readonly present: Value | undefined;
}

/** y = mean, or largest weighted neighbour, of the places of each bin;  dx = the weights times dy, put back there. */
const roiAlign = defineOp({
  op: "RoiAlign",
  versions: [10, 16, 22],
  fixed: [1, 2],
  note: "no gradient for the boxes, as in PyTorch; boxes of the data need a sampling_ratio above 0 where the map is trained through; opset 22 has no kernel in ONNX Runtime 1.30",
  emit: oneOutput(({ b, x, attr, version, where }) => {
    const mode = attr.string("mode", "avg");
    const transform =
      version === 10 ? "output_half_pixel" : attr.string("coordinate_transformation_mode", "half_pixel");
    if (!["avg", "max"].includes(mode) || !["half_pixel", "output_half_pixel"].includes(transform))
      throw new DistillError(
        "E_OP",
        `${where}: mode "${mode}", coordinate_transformation_mode "${transform}" is not supported; modes are avg and max, transformations half_pixel and output_half_pixel`,
      );
    return b.node("RoiAlign", [x(0), x(1), x(2)], {
      mode: string(mode),
      output_height: int(attr.int("output_height", 1)),
      output_width: int(attr.int("output_width", 1)),
      sampling_ratio: int(attr.int("sampling_ratio", 0)),
      spatial_scale: float(attr.float("spatial_scale", 1)),
      coordinate_transformation_mode: string(transform),
    });
  }),
  infer: (c) => {
    const [x, rois] = [c.dims(0), c.dims(1)];
    if (x.length !== 4 || rois.length !== 2 || rois[1] !== 4)
      throw new DistillError(
        "E_SHAPE",
        `${c.where}: boxes ${formatShape(rois)} of a map ${formatShape(x)}; they must be [boxes, 4] and [N, C, H, W]`,
      );
    const out = [c.attr.int("output_height"), c.attr.int("output_width")];
    return [{ dtype: c.type(0).dtype, dims: [rois[0] as number, x[1] as number, ...out] }];
  },
  grad: (c) => [() => gradientOfMap(c), zero, zero],
});

function gradientOfMap(c: GradContext): Value {
  const { b, x, dims, attr } = c;
  const [n, channels, height, width] = dims(0) as [number, number, number, number];
  const [boxes, , rows, columns] = b.dims(c.y(0)) as [number, number, number, number];
  const average = attr.string("mode") === "avg";
  const rois = b.cast(x(1), typeOf(x(0)).dtype);
  const [left, top, right, bottom] = b.split(rois, [1, 1, 1, 1], 1) as [Value, Value, Value, Value];
  const vertical = binTaps(c, top, bottom, 1, { bins: rows, size: height, average });
  const horizontal = binTaps(c, left, right, 0, { bins: columns, size: width, average });
  const across = (v: Value): Value => {
    const [r, bins, taps] = b.dims(v) as [number, number, number];
    return b.reshape(v, [r, bins, 1, taps, 1]);
  };
  const along = (v: Value): Value => {
    const [r, bins, taps] = b.dims(v) as [number, number, number];
    return b.reshape(v, [r, 1, bins, 1, taps]);
  };
  const points = boxes * rows * columns;
  const taps = (b.dims(vertical.weights)[2] as number) * (b.dims(horizontal.weights)[2] as number);
  const flat = (v: Value): Value => b.reshape(v, [points, taps]);
  const first = b.reshape(b.scale(b.cast(x(2), "int64"), height * width), [boxes, 1, 1, 1, 1]);
  const places = b.add(b.scale(across(vertical.indices), width), along(horizontal.indices));
  const indices = flat(b.add(places, first));
  const weights = flat(b.mul(across(vertical.weights), along(horizontal.weights)));
  const dy = b.reshape(b.transpose(c.dy(0), [0, 2, 3, 1]), [points, channels]);
  const count = n * height * width;
  const back = (v: Value): Value =>
    b.reshape(b.transpose(b.reshape(v, [n, height * width, channels]), [0, 2, 1]), dims(0));
  if (average) return back(scatterRows(b, dy, indices, weights, count));

  const map = b.reshape(b.transpose(b.reshape(x(0), [n, channels, height * width]), [0, 2, 1]), [
    count,
    channels,
  ]);
  const column = b.reshape(weights, [points, taps, 1]);
  const terms = b.mul(b.gather(map, indices, 0), column);
  const present = bothPresent(b, vertical, horizontal, [boxes, rows, columns]);
  const seen = present
    ? b.where(b.reshape(present, [points, taps, 1]), terms, b.like(terms, Number.NEGATIVE_INFINITY))
    : terms;
  const largest = b.cast(b.equal(seen, b.reduceMax(seen, [1], true)), typeOf(terms).dtype);
  const shares = b.div(largest, b.reduceSum(largest, [1], true));
  const updates = b.mul(b.mul(shares, b.reshape(dy, [points, 1, channels])), column);
  const zeros = b.full({ dtype: typeOf(dy).dtype, dims: [count, channels] }, 0);
  return back(
    b.node(
      "ScatterND",
      [zeros, b.reshape(indices, [points * taps, 1]), b.reshape(updates, [points * taps, channels])],
      { reduction: string("add") },
    ),
  );
}

function bothPresent(
  b: Builder,
  vertical: BinTaps,
  horizontal: BinTaps,
  [boxes, rows, columns]: readonly [number, number, number],
): Value | undefined {
  if (!vertical.present || !horizontal.present) return undefined;
  const [v, h] = [b.dims(vertical.present)[2] as number, b.dims(horizontal.present)[2] as number];
  const both = b.and(
    b.reshape(vertical.present, [boxes, 1, 1, v, 1]),
    b.reshape(horizontal.present, [boxes, 1, 1, 1, h]),
  );
  return b.expand(both, [boxes, rows, columns, v, h]);
}

interface Axis {
  readonly bins: number;
  readonly size: number;
  /** Whether the weights are divided by the number of places. */
  readonly average: boolean;
}

function binTaps(c: GradContext, low: Value, high: Value, column: number, o: Axis): BinTaps {
  const { b, attr, dims } = c;
  const [boxes] = dims(1) as [number];
  const { dtype } = typeOf(low);
  const numbers = (values: readonly number[], shape: readonly number[]): Value =>
    b.constant(tensor(dtype as NumericDType, values, shape), "bins");
  const scale = attr.float("spatial_scale");
  const half = attr.string("coordinate_transformation_mode") === "half_pixel";
  const start = b.shift(b.scale(low, scale), half ? -0.5 : 0);
  const end = b.shift(b.scale(high, scale), half ? -0.5 : 0);
  const length = half ? b.sub(end, start) : b.max(b.sub(end, start), b.like(start, 1));
  const counts = placesOf(c, column, o.bins);
  const most = Math.max(1, ...counts);
  const alike = counts.every((k) => k === most);
  const perBox = (values: readonly number[]): Value =>
    alike ? numbers([most], [1, 1, 1]) : numbers(values, [boxes, 1, 1]);
  const own = perBox(counts.map((k) => Math.max(k, 1)));
  const bin = b.reshape(b.div(length, b.like(length, o.bins)), [boxes, 1, 1]);
  const index = (count: number, shift: number): number[] =>
    Array.from({ length: count }, (_, i) => i + shift);
  const place = b.add(
    b.add(b.reshape(start, [boxes, 1, 1]), b.mul(numbers(index(o.bins, 0), [1, o.bins, 1]), bin)),
    b.div(b.mul(numbers(index(most, 0.5), [1, 1, most]), bin), own),
  );
  const inside = b.and(
    b.greaterOrEqual(place, b.like(place, -1)),
    b.lessOrEqual(place, b.like(place, o.size)),
  );
  const present = alike ? undefined : b.less(numbers(index(most, 0), [1, 1, most]), perBox(counts));
  const taps = axisTaps(b, b.node("Clip", [place, b.like(place, 0), b.like(place, o.size - 1)]), {
    size: o.size,
    kernel: "linear",
    padding: "border",
    alignCorners: false,
  });
  const counted = b.cast(present ? b.and(inside, present) : inside, dtype);
  const share = o.average ? b.div(counted, own) : counted;
  const flat = (v: Value): Value => b.reshape(v, [boxes, o.bins, most * 2]);
  const twice =
    present &&
    b.reshape(b.expand(b.reshape(present, [boxes, 1, most, 1]), [boxes, 1, most, 2]), [boxes, 1, most * 2]);
  return {
    indices: flat(taps.indices),
    weights: flat(b.mul(taps.weights, b.reshape(share, [boxes, o.bins, most, 1]))),
    present: twice,
  };
}

/** Places of a bin on one axis: those asked for, or by the size of each box. One number where all have as many. */
function placesOf({ b, node, x, attr }: GradContext, column: number, bins: number): number[] {
  const ratio = attr.int("sampling_ratio");
  if (ratio > 0) return [ratio];
  const boxes: Tensor | undefined = b.constantOf(x(1));
  if (!boxes)
    throw new DistillError(
      "E_OP",
      `RoiAlign at node "${node.name}": with sampling_ratio 0 the number of places depends on the boxes, which are computed from the data; export the model with a sampling_ratio (2, say), or freeze what lies before`,
    );
  const values = toNumbers(boxes);
  const f = Math.fround;
  const scale = f(attr.float("spatial_scale"));
  const half = attr.string("coordinate_transformation_mode") === "half_pixel";
  return Array.from({ length: boxes.dims[0] as number }, (_, r) => {
    const at = (i: number): number => f(f((values[4 * r + i] as number) * scale) - (half ? 0.5 : 0));
    const length = f(at(column + 2) - at(column));
    return Math.max(0, Math.ceil(f((half ? length : Math.max(length, 1)) / bins)));
  });
}

export const roiAlignOps = [roiAlign] as const;
