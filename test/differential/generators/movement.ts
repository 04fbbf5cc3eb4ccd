// Reshapes, transposes, pieces, padding; gathers and scatters.
import { type NumericDType, sizeOf, type Tensor, tensor } from "../../../src/base/tensor.ts";
import { type Attributes, float, int, ints, string } from "../../../src/graph/graph.ts";
import { type CaseInput, fed, type Generator, i64, known, type UpTo, upTo } from "../case.ts";
import type { Draw } from "../draw.ts";

const types = ["float32", "float32", "float32", "int64", "bool"] as const;
const any = (d: Draw, dims: readonly number[], of: readonly NumericDType[] = types): CaseInput =>
  fed(d.tensor(d.pick(of), dims));

/** A shape of as many elements. */
function regrouped(d: Draw, dims: readonly number[]): number[] {
  const out: number[] = [];
  let open = 1;
  for (const n of dims) {
    open *= n;
    if (d.chance(0.6)) {
      out.push(open);
      open = 1;
    }
  }
  if (open !== 1 || out.length === 0) out.push(open);
  return d.chance(0.3) ? out.toSpliced(d.int(0, out.length), 0, 1) : out;
}

const axesGiven = (
  axes: readonly number[],
  opset: number,
): { inputs: CaseInput[]; attributes: Attributes } =>
  opset >= 13 ? { inputs: [i64(axes)], attributes: {} } : { inputs: [], attributes: { axes: ints(axes) } };

/** Indices along an axis of `size`, counted from either end where the opset allows. */
const indices = (d: Draw, dims: readonly number[], size: number, negative: boolean): Tensor =>
  d.ints(dims, negative ? -size : 0, size - 1, d.pick(["int64", "int64", "int32"]));

const sourceOrSink = (d: Draw, t: Tensor): CaseInput => (d.chance(0.4) ? known(t) : fed(t));

/** Different indices in each line along the axis, so that writing twice does not depend on order. */
function lines(d: Draw, dims: readonly number[], axis: number, size: number): Tensor {
  const inner = sizeOf(dims.slice(axis + 1));
  const count = dims[axis] as number;
  const values = new Array<number>(sizeOf(dims)).fill(0);
  for (let outer = 0; outer < sizeOf(dims.slice(0, axis)); outer++)
    for (let k = 0; k < inner; k++) {
      const order = d.shuffled(Array.from({ length: size }, (_, i) => i));
      for (let i = 0; i < count; i++) values[(outer * count + i) * inner + k] = order[i] as number;
    }
  return tensor("int64", values, dims);
}

const scatterReduction = (d: Draw, opset: number): string =>
  opset >= 18
    ? d.pick(["none", "add", "mul", "max", "min"])
    : opset >= 16
      ? d.pick(["none", "add", "mul"])
      : "none";

const scatterElements =
  (from16: boolean): Generator =>
  ({ d, opset }) => {
    const dims = d.shape(d.int(1, 3));
    const axis = d.int(0, dims.length - 1);
    const part = dims.map((n) => d.int(1, n));
    const reduction = from16 ? scatterReduction(d, opset) : "none";
    const twice = reduction !== "none" && d.chance(0.5);
    const size = dims[axis] as number;
    const at = twice ? d.ints(part, 0, size - 1) : lines(d, part, axis, size);
    const options = { edges: reduction === "none" ? "any" : "summed" } as const;
    return {
      inputs: [fed(d.floats(dims, options)), sourceOrSink(d, at), fed(d.floats(part, options))],
      attributes: {
        axis: int(opset >= 11 && d.chance(0.3) ? axis - dims.length : axis),
        ...(reduction !== "none" && { reduction: string(reduction) }),
      },
    };
  };

export const movement = {
  Reshape: ({ d, opset }) => {
    const dims = d.shape(d.int(0, 4), { zero: opset >= 14 });
    const to: number[] = regrouped(d, dims);
    const empty = dims.includes(0);
    const open = !empty && to.length > 0 && d.chance(0.4) ? d.int(0, to.length - 1) : -1;
    const wanted = to.map((n, i) => (i === open ? -1 : !empty && dims[i] === n && d.chance(0.3) ? 0 : n));
    return { inputs: [any(d, dims), i64(wanted)], attributes: empty ? { allowzero: int(1) } : {} };
  },
  Flatten: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 4));
    const low = opset >= 11 ? -dims.length : 0;
    return {
      inputs: [any(d, dims, opset >= 9 ? types : ["float32"])],
      attributes: d.chance(0.8) ? { axis: int(d.int(low, dims.length)) } : {},
    };
  },
  Squeeze: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 4));
    const ones = dims.flatMap((n, i) => (n === 1 ? [i] : []));
    const chosen = ones
      .filter(() => d.chance(0.6))
      .map((a) => (opset >= 11 && d.chance(0.3) ? a - dims.length : a));
    if (chosen.length === 0) return { inputs: [any(d, dims)] };
    const { inputs, attributes } = axesGiven(chosen, opset);
    return { inputs: [any(d, dims), ...inputs], attributes };
  },
  Unsqueeze: ({ d, opset }) => {
    const dims = d.shape(d.int(0, 3));
    const added = d.int(1, 2);
    const rank = dims.length + added;
    const axes = d.shuffled(d.subset(rank, added)).map((a) => (opset >= 11 && d.chance(0.3) ? a - rank : a));
    const { inputs, attributes } = axesGiven(axes, opset);
    return { inputs: [any(d, dims), ...inputs], attributes };
  },
  Transpose: ({ d }) => {
    const dims = d.shape(d.int(0, 4), { zero: true });
    const perm = d.shuffled(dims.map((_, i) => i));
    return {
      inputs: [any(d, dims)],
      attributes: d.chance(0.8) && perm.length > 0 ? { perm: ints(perm) } : {},
    };
  },
  Concat: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 4));
    const axis = d.int(0, dims.length - 1);
    const dtype = d.pick(types);
    const parts = Array.from({ length: d.int(1, 4) }, () => dims.with(axis, d.length({ zero: true })));
    return {
      inputs: parts.map((p) => fed(d.tensor(dtype, p))),
      attributes: { axis: int(opset >= 11 && d.chance(0.3) ? axis - dims.length : axis) },
    };
  },
  Split: ({ d, opset }) => {
    const sizes = Array.from({ length: d.int(1, 4) }, () => d.length());
    const equal = d.chance(0.4);
    const total = equal ? sizes.length * d.length() : sizes.reduce((p, n) => p + n, 0);
    const dims = d.shape(d.int(1, 3));
    const axis = d.int(0, dims.length - 1);
    const x = any(d, dims.with(axis, total), ["float32", "int64"]);
    const where = { axis: int(opset >= 11 && d.chance(0.3) ? axis - dims.length : axis) };
    const outputs = sizes.length;
    if (opset >= 18) {
      if (!equal) return { inputs: [x, i64(sizes)], attributes: where, outputs };
      // Parts that do not divide: the last is smaller, or all that is left.
      const uneven = outputs > 1 && d.chance(0.5) ? Math.max(outputs * 2 - 1, 1) : total;
      return {
        inputs: [any(d, dims.with(axis, uneven), ["float32"])],
        attributes: { ...where, num_outputs: int(outputs) },
        outputs,
      };
    }
    if (equal) return { inputs: [x], attributes: where, outputs };
    if (opset >= 13) return { inputs: [x, i64(sizes)], attributes: where, outputs };
    return { inputs: [x], attributes: { ...where, split: ints(sizes) }, outputs };
  },
  Slice: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 4));
    const chosen = d.subset(dims.length, d.int(1, dims.length));
    const steps = chosen.map(() => (opset >= 10 && d.chance(0.5) ? d.pick([1, 2, 3, -1, -2]) : 1));
    const place = (i: number): number => {
      const n = dims[chosen[i] as number] as number;
      return d.pick([d.int(-n - 2, n + 2), d.int(0, n), 2 ** 31 - 1, -(2 ** 31)]);
    };
    const [starts, ends] = [chosen.map((_, i) => place(i)), chosen.map((_, i) => place(i))];
    const axes = chosen.map((a) => (opset >= 11 && d.chance(0.3) ? a - dims.length : a));
    const x = any(d, dims, ["float32", "float32", "int64"]);
    if (opset < 10)
      return { inputs: [x], attributes: { starts: ints(starts), ends: ints(ends), axes: ints(axes) } };
    return { inputs: [x, i64(starts), i64(ends), i64(axes), i64(steps)] };
  },
  Col2Im: ({ d }) => {
    const rank = d.int(1, 2);
    const some = (low: number, high: number) => Array.from({ length: rank }, () => d.int(low, high));
    // Over one axis the runtime adds dilated blocks up at wrong places.
    const [block, strides, dilations] = [some(1, 3), some(1, 3), some(1, rank)];
    const pads = [...some(0, 1), ...some(0, 1)];
    const image = some(5, 8);
    const blocks = image.map((size, i) => {
      const room = size + pads[i]! + pads[i + rank]! - dilations[i]! * (block[i]! - 1) - 1;
      return Math.floor(room / strides[i]!) + 1;
    });
    const count = (list: number[]) => list.reduce((p, q) => p * q, 1);
    return {
      inputs: [
        fed(d.floats([d.int(1, 2), count(block) * d.int(1, 3), count(blocks)], { edges: "none" })),
        i64(image),
        i64(block),
      ],
      attributes: { strides: ints(strides), dilations: ints(dilations), pads: ints(pads) },
    };
  },
  CenterCropPad: ({ d }) => {
    const dims = d.shape(d.int(1, 4), { most: 6 });
    const axes = d.chance(0.5) ? d.shuffled(d.subset(dims.length, d.int(1, dims.length))) : undefined;
    return {
      inputs: [fed(d.floats(dims)), i64((axes ?? dims).map(() => d.int(1, 7)))],
      attributes: axes ? { axes: ints(axes.map((a) => (d.chance(0.3) ? a - dims.length : a))) } : {},
    };
  },
  Pad: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 4)).map((n) => Math.max(n, 2));
    const mode = d.pick(
      opset >= 19
        ? (["constant", "reflect", "edge", "wrap"] as const)
        : (["constant", "reflect", "edge"] as const),
    );
    const part =
      opset >= 18 && d.chance(0.4) ? d.subset(dims.length, d.int(1, dims.length)) : dims.map((_, i) => i);
    const lengths = part.map((a) => dims[a] as number);
    const pads = [...lengths, ...lengths].map((n) => {
      if (d.chance(0.4)) return 0;
      return mode === "constant" ? d.int(n > 2 ? -1 : 0, 3) : d.int(0, mode === "edge" ? 3 : n - 1);
    });
    const value = d.pick([0, 1.5, Number.NEGATIVE_INFINITY]);
    const how = d.chance(0.2) && mode === "constant" ? {} : { mode: string(mode) };
    const x = fed(d.floats(dims));
    if (opset < 11)
      return {
        inputs: [x],
        attributes: { ...how, pads: ints(pads), ...(mode === "constant" && { value: float(value) }) },
      };
    const given = mode === "constant" && d.chance(0.6) ? known(tensor("float32", [value], [])) : undefined;
    const axes =
      part.length < dims.length ? i64(part.map((a) => (d.chance(0.3) ? a - dims.length : a))) : undefined;
    return { inputs: [x, i64(pads), ...(axes ? [given, axes] : given ? [given] : [])], attributes: how };
  },
  Expand: ({ d }) => {
    const [whole = [], part = []] = d.broadcastable(2, d.int(0, 4));
    const to = d.chance(0.3)
      ? whole.map((n, i) => (i >= whole.length - part.length && d.chance(0.5) ? 1 : n))
      : whole;
    const fits = to.map((n, i) => {
      const own = part[i - (whole.length - part.length)];
      return own === undefined ? n : n === 1 ? 1 : n === whole[i] ? n : 1;
    });
    return { inputs: [any(d, part, ["float32", "int64", "bool"]), i64(fits)] };
  },
  Tile: ({ d }) => {
    const dims = d.shape(d.int(1, 4));
    return { inputs: [any(d, dims), i64(dims.map(() => d.pick([1, 1, 2, 3, 0])))] };
  },
  Trilu: ({ d }) => {
    const dims = d.shape(d.int(2, 4));
    const inputs = [any(d, dims, ["float32", "int64"])];
    return {
      inputs: d.chance(0.6) ? [...inputs, i64([d.int(-5, 5)], [])] : inputs,
      attributes: d.chance(0.7) ? { upper: int(d.int(0, 1)) } : {},
    };
  },
  Gather: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 4));
    const axis = d.axis(dims.length);
    const own = d.shape(d.int(0, 2), { zero: true });
    return {
      inputs: [any(d, dims), sourceOrSink(d, indices(d, own, dims.at(axis) as number, opset >= 11))],
      attributes: { axis: int(axis) },
    };
  },
  GatherElements: ({ d }) => {
    const dims = d.shape(d.int(1, 4));
    const axis = d.axis(dims.length);
    const counted = axis < 0 ? axis + dims.length : axis;
    const part = dims.map((n, i) => (i === counted ? d.length() : d.int(1, n)));
    return {
      inputs: [any(d, dims), sourceOrSink(d, indices(d, part, dims[counted] as number, true))],
      attributes: { axis: int(axis) },
    };
  },
  GatherND: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 4));
    const batch = opset >= 12 && dims.length > 1 ? d.int(0, Math.min(2, dims.length - 1)) : 0;
    const count = d.int(1, dims.length - batch);
    const lead = [...dims.slice(0, batch), ...d.shape(d.int(batch > 0 ? 0 : 1, 1))];
    const tuples = Array.from({ length: sizeOf(lead) }, () =>
      Array.from({ length: count }, (_, k) => {
        const n = dims[batch + k] as number;
        return d.int(-n, n - 1);
      }),
    );
    const at = tensor("int64", tuples.flat(), [...lead, count]);
    return {
      inputs: [any(d, dims, ["float32", "int64"]), sourceOrSink(d, at)],
      attributes: batch > 0 ? { batch_dims: int(batch) } : {},
    };
  },
  ScatterElements: scatterElements(true),
  Scatter: upTo(10, "opset 11 took it away", scatterElements(false)),
  ScatterND: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 3));
    const depth = d.int(1, dims.length);
    const places = sizeOf(dims.slice(0, depth));
    const reduction = scatterReduction(d, opset);
    const twice = reduction !== "none" && d.chance(0.5);
    const count = d.int(1, places);
    const flat = twice
      ? Array.from({ length: count }, () => d.int(0, places - 1))
      : d.shuffled(Array.from({ length: places }, (_, i) => i)).slice(0, count);
    const tuples = flat.map((place) => {
      let rest = place;
      return dims.slice(0, depth).map((_, k) => {
        const inner = sizeOf(dims.slice(k + 1, depth));
        const index = Math.floor(rest / inner);
        rest %= inner;
        return index;
      });
    });
    const options = { edges: reduction === "none" ? "any" : "summed" } as const;
    return {
      inputs: [
        fed(d.floats(dims, options)),
        sourceOrSink(d, tensor("int64", tuples.flat(), [count, depth])),
        fed(d.floats([count, ...dims.slice(depth)], options)),
      ],
      attributes: reduction === "none" ? {} : { reduction: string(reduction) },
    };
  },
  OneHot: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 3));
    const depth = d.int(1, 5);
    const [dtype, of] = d.pick([
      ["int64", "float32"],
      ["int64", "int64"],
      ["float32", "int64"],
    ] as const);
    // Beyond the depth on either side: nothing is hot.
    const low = opset >= 11 ? -depth - 2 : 0;
    return {
      inputs: [
        fed(d.ints(dims, low, depth + 2, dtype)),
        i64([depth], d.pick([[], [1]])),
        fed(d.tensor(of, [2])),
      ],
      attributes: d.chance(0.7) ? { axis: int(d.axis(dims.length + 1)) } : {},
    };
  },
  Compress: ({ d, opset }) => {
    const dims = d.shape(d.int(1, 3));
    const flat = d.chance(0.3);
    const axis = d.int(0, dims.length - 1);
    const size = flat ? sizeOf(dims) : (dims[axis] as number);
    return {
      inputs: [any(d, dims, ["float32", "int64"]), known(d.bools([d.int(1, size)]))],
      attributes: flat ? {} : { axis: int(opset >= 11 && d.chance(0.3) ? axis - dims.length : axis) },
    };
  },
  ReverseSequence: ({ d }) => {
    const dims = d.shape(d.int(2, 4));
    const time = d.int(0, 1);
    const length = dims[time] as number;
    return {
      inputs: [
        any(d, dims, ["float32", "int64"]),
        sourceOrSink(d, d.ints([dims[1 - time] as number], 1, length)),
      ],
      attributes: { time_axis: int(time), batch_axis: int(1 - time) },
    };
  },
} satisfies Record<string, Generator | UpTo>;
