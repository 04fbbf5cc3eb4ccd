// Reference operators that move elements without computing on them, and that make tensors of shapes and numbers.
// Source: ONNX operator specification, opset 21.
import { isFloat, type Shape, sizeOf } from "../../src/base/tensor.ts";
import {
  around,
  array,
  axisOf,
  broadcastStrides,
  type NDArray,
  need,
  type Operator,
  type OperatorTable,
  offsets,
  strides,
  take,
  zeros,
} from "./array.ts";
import { commonShape, dtypeFromNumber, numbers } from "./elementwise.ts";

const vector = (x: NDArray | undefined): number[] | undefined => (x ? [...x.data] : undefined);

/** The same elements under another shape. */
function withDims(x: NDArray, dims: Shape): NDArray {
  return array(x.dtype, dims, x.data);
}

function transpose(x: NDArray, order: readonly number[]): NDArray {
  const steps = strides(x.dims);
  const dims = order.map((i) => x.dims[i]!);
  return take(
    x,
    dims,
    offsets(
      dims,
      order.map((i) => steps[i]!),
    ),
  );
}

/** 0 keeps the input's dimension (unless allowzero), −1 is what is left. */
const reshape: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const allowZero = a.int("allowzero", 0) === 1;
  const dims = [...need(inputs, 1).data].map((d, i) => (d === 0 && !allowZero ? x.dims[i]! : d));
  const open = dims.indexOf(-1);
  if (open >= 0) dims[open] = x.data.length / sizeOf(dims.filter((d) => d !== -1));
  return withDims(x, dims);
};

const flatten: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const axis = a.int("axis", 1);
  const at = axis < 0 ? axis + x.dims.length : axis;
  return withDims(x, [sizeOf(x.dims.slice(0, at)), sizeOf(x.dims.slice(at))]);
};

const squeeze: Operator = (inputs) => {
  const x = need(inputs, 0);
  const axes = vector(inputs[1])?.map((axis) => axisOf(axis, x.dims.length));
  return withDims(
    x,
    x.dims.filter((d, i) => (axes ? !axes.includes(i) : d !== 1)),
  );
};

const unsqueeze: Operator = (inputs) => {
  const x = need(inputs, 0);
  const given = [...need(inputs, 1).data];
  const rank = x.dims.length + given.length;
  const axes = given.map((axis) => axisOf(axis, rank));
  const rest = [...x.dims];
  return withDims(
    x,
    Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : rest.shift()!)),
  );
};

const concat: Operator = (inputs, a) => {
  const parts = inputs.map((_, i) => need(inputs, i));
  const first = parts[0]!;
  const axis = axisOf(a.int("axis", 0), first.dims.length);
  const total = parts.reduce((sum, p) => sum + p.dims[axis]!, 0);
  const y = zeros(
    first.dtype,
    first.dims.map((d, i) => (i === axis ? total : d)),
  );
  const { outer, inner } = around(y.dims, axis);
  let start = 0;
  for (const part of parts) {
    const run = part.dims[axis]! * inner;
    if (part.data.length !== outer * run) throw new Error(`[${part.dims}] does not fit [${first.dims}]`);
    for (let o = 0; o < outer; o++)
      y.data.set(part.data.subarray(o * run, (o + 1) * run), o * total * inner + start);
    start += run;
  }
  return y;
};

/** Without sizes: num_outputs equal parts, the last one smaller where it does not divide. */
const split: Operator = (inputs, a, outputs) => {
  const x = need(inputs, 0);
  const axis = axisOf(a.int("axis", 0), x.dims.length);
  const parts = a.int("num_outputs") ?? outputs;
  const size = x.dims[axis]!;
  const chunk = Math.ceil(size / parts);
  const sizes =
    vector(inputs[1]) ??
    Array.from({ length: parts }, (_, i) => (i < parts - 1 ? chunk : size - chunk * (parts - 1)));
  if (sizes.reduce((s, n) => s + n, 0) !== size) throw new Error(`parts [${sizes}] of axis of ${size}`);
  const steps = strides(x.dims);
  let start = 0;
  return sizes.map((n) => {
    const dims = x.dims.map((d, i) => (i === axis ? n : d));
    const part = take(x, dims, offsets(dims, steps, start * steps[axis]!));
    start += n;
    return part;
  });
};

/** NumPy's slices: negative starts and ends count from the end, then both are clamped; steps may be negative. */
const slice: Operator = (inputs) => {
  const x = need(inputs, 0);
  const [starts, ends] = [[...need(inputs, 1).data], [...need(inputs, 2).data]];
  const axes = vector(inputs[3]) ?? starts.map((_, i) => i);
  const steps = vector(inputs[4]) ?? starts.map(() => 1);
  const dims = [...x.dims];
  const walk = strides(x.dims);
  let base = 0;
  axes.forEach((given, i) => {
    const axis = axisOf(given, dims.length);
    const size = x.dims[axis]!;
    const step = steps[i]!;
    const low = step > 0 ? 0 : -1;
    const toRange = (at: number): number => {
      const front = at < 0 ? at + size : at;
      return Math.min(Math.max(front, low), step > 0 ? size : size - 1);
    };
    const start = toRange(starts[i]!);
    dims[axis] = Math.max(0, Math.ceil((toRange(ends[i]!) - start) / step));
    base += start * walk[axis]!;
    walk[axis]! *= step;
  });
  return take(x, dims, offsets(dims, walk, base));
};

const pad: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const mode = a.string("mode", ["constant", "reflect", "edge", "wrap"]);
  const pads = [...need(inputs, 1).data];
  const fill = inputs[2]?.data[0] ?? 0;
  const axes = (vector(inputs[3]) ?? x.dims.map((_, i) => i)).map((axis) => axisOf(axis, x.dims.length));
  // One axis after another: for each index of the longer axis, the index it copies, or −1 for the constant.
  return axes.reduce((y, axis, i) => {
    const size = x.dims[axis]!;
    const begin = pads[i]!;
    const source = Array.from({ length: begin + size + pads[i + axes.length]! }, (_, k) => {
      const at = k - begin;
      if (at >= 0 && at < size) return at;
      if (mode === "constant") return -1;
      if (mode === "edge") return at < 0 ? 0 : size - 1;
      if (mode === "wrap") return ((at % size) + size) % size;
      if (size === 1) return 0;
      const period = 2 * (size - 1);
      const folded = ((at % period) + period) % period;
      return folded < size ? folded : period - folded;
    });
    return pickAlong(y, axis, source, fill);
  }, x);
};

/** The entries of one axis that `source` names, in its order; `fill` where it names −1. */
function pickAlong(x: NDArray, axis: number, source: readonly number[], fill = 0): NDArray {
  const { outer, size, inner } = around(x.dims, axis);
  const y = zeros(
    x.dtype,
    x.dims.map((d, i) => (i === axis ? source.length : d)),
  );
  for (let o = 0; o < outer; o++)
    source.forEach((k, s) => {
      const target = (o * source.length + s) * inner;
      for (let i = 0; i < inner; i++) y.data[target + i] = k < 0 ? fill : x.data[(o * size + k) * inner + i]!;
    });
  return y;
}

const expand: Operator = (inputs) => {
  const x = need(inputs, 0);
  const dims = commonShape([x, { ...x, dims: [...need(inputs, 1).data] }]);
  return take(x, dims, offsets(dims, broadcastStrides(x.dims, dims)));
};

const tile: Operator = (inputs) =>
  [...need(inputs, 1).data].reduce(
    (y, repeats, axis) => {
      const size = y.dims[axis]!;
      return pickAlong(
        y,
        axis,
        Array.from({ length: size * repeats }, (_, k) => k % size),
      );
    },
    need(inputs, 0),
  );

const trilu: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const k = inputs[1]?.data[0] ?? 0;
  const upper = a.int("upper", 1) === 1;
  const [rows, columns] = x.dims.slice(-2) as [number, number];
  const keep = (i: number): boolean => {
    const [row, column] = [Math.floor(i / columns) % rows, i % columns];
    return upper ? column - row >= k : column - row <= k;
  };
  return { ...x, data: x.data.map((v, i) => (keep(i) ? v : 0)) };
};

const depthToSpace: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const b = a.int("blocksize", 1);
  const mode = a.string("mode", ["DCR", "CRD"]);
  const [n, c, h, w] = x.dims as [number, number, number, number];
  const depth = c / (b * b);
  const blocks = withDims(x, mode === "DCR" ? [n, b, b, depth, h, w] : [n, depth, b, b, h, w]);
  const moved = transpose(blocks, mode === "DCR" ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]);
  return withDims(moved, [n, depth, h * b, w * b]);
};

const spaceToDepth: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const b = a.int("blocksize", 1);
  const [n, c, h, w] = x.dims as [number, number, number, number];
  const moved = transpose(withDims(x, [n, c, h / b, b, w / b, b]), [0, 3, 5, 1, 2, 4]);
  return withDims(moved, [n, c * b * b, h / b, w / b]);
};

const range: Operator = (inputs) => {
  const [start, limit, delta] = [0, 1, 2].map((i) => need(inputs, i).data[0]!) as [number, number, number];
  const count = Math.max(0, Math.ceil((limit - start) / delta));
  return array(
    need(inputs, 0).dtype,
    [count],
    Float64Array.from({ length: count }, (_, i) => start + i * delta),
  );
};

const constantOfShape: Operator = (inputs, a) => {
  const value = a.tensor("value");
  const dims = [...need(inputs, 0).data];
  const dtype = !value || isFloat(value.dtype) ? "float64" : value.dtype;
  return array(dtype, dims, new Float64Array(sizeOf(dims)).fill(value ? numbers(value.data)[0]! : 0));
};

const eyeLike: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const to = a.int("dtype");
  const k = a.int("k", 0);
  const columns = x.dims[1]!;
  const dtype = to === undefined ? x.dtype : dtypeFromNumber(to);
  return {
    dtype,
    dims: x.dims,
    data: x.data.map((_, i) => Number((i % columns) - Math.floor(i / columns) === k)),
  };
};

export const movement: OperatorTable = {
  Reshape: reshape,
  Flatten: flatten,
  Transpose: (inputs, a) => {
    const x = need(inputs, 0);
    return transpose(x, a.ints("perm") ?? x.dims.map((_, i) => x.dims.length - 1 - i));
  },
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Expand: expand,
  Tile: tile,
  Trilu: trilu,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  Shape: (inputs, a) => {
    const { dims } = need(inputs, 0);
    const part = dims.slice(a.int("start", 0), a.int("end", dims.length));
    return array("int64", [part.length], part);
  },
  Size: (inputs) => array("int64", [], [need(inputs, 0).data.length]),
  Range: range,
  ConstantOfShape: constantOfShape,
  EyeLike: eyeLike,
};
