// DeformConv: a convolution that reads each of its taps at a place of its own. Written as reads of the neighbours (grid-taps.ts)
// and a product, so that gradients for map, weights, offsets and mask follow. Source: ONNX operator specification, DeformConv-19
// and -22; Zhu et al. 2018, Deformable ConvNets v2.
import { DistillError } from "../base/errors.ts";
import { formatShape, type NumericDType, tensor } from "../base/tensor.ts";
import { typeOf } from "../graph/graph.ts";
import { defineOp, type EmitContext, oneOutput } from "./define.ts";
import { axisTaps, combineTaps } from "./grid-taps.ts";

interface Sizes {
  readonly kernel: readonly [number, number];
  readonly out: readonly [number, number];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly group: number;
  readonly offsetGroup: number;
}

/** The shapes of a node, held to each other. */
function sizesOf({ b, x, has, attr, where }: EmitContext): Sizes {
  const [map, weights, offset] = [b.dims(x(0)), b.dims(x(1)), b.dims(x(2))];
  const kernel = attr.ints("kernel_shape", weights.slice(2));
  const [strides, dilations] = [attr.ints("strides", [1, 1]), attr.ints("dilations", [1, 1])];
  const pads = attr.ints("pads", [0, 0, 0, 0]);
  const [group, offsetGroup] = [attr.int("group", 1), attr.int("offset_group", 1)];
  const taps = (kernel[0] as number) * (kernel[1] as number);
  const out = [0, 1].map((i) => {
    const reach = (dilations[i] as number) * ((kernel[i] as number) - 1) + 1;
    const room = (map[i + 2] as number) + (pads[i] as number) + (pads[i + 2] as number);
    return Math.floor((room - reach) / (strides[i] as number)) + 1;
  });
  const fits = (dims: readonly number[], channels: number): boolean =>
    [map[0], channels, ...out].every((d, i) => dims[i] === d);
  const sound =
    map.length === 4 &&
    weights.length === 4 &&
    (weights[1] as number) * group === map[1] &&
    (map[1] as number) % offsetGroup === 0 &&
    fits(offset, 2 * taps * offsetGroup) &&
    (!has(4) || fits(b.dims(x(4)), taps * offsetGroup));
  if (!sound)
    throw new DistillError(
      "E_SHAPE",
      `${where}: a map ${formatShape(map)}, weights ${formatShape(weights)}, offsets ${formatShape(offset)}${has(4) ? ` and a mask ${formatShape(b.dims(x(4)))}` : ""} do not fit group ${group}, offset_group ${offsetGroup} and an output of ${formatShape(out)}; only maps [N, C, H, W] are supported`,
    );
  return {
    kernel: kernel as [number, number],
    out: out as [number, number],
    strides,
    dilations,
    pads,
    group,
    offsetGroup,
  };
}

/** Places that the taps have without offsets, on axis 0 or 1: [1, K, P]. */
function gridOf({ kernel, out, strides, dilations, pads }: Sizes, axis: 0 | 1): number[] {
  const places: number[] = [];
  for (let ky = 0; ky < kernel[0]; ky++)
    for (let kx = 0; kx < kernel[1]; kx++)
      for (let oy = 0; oy < out[0]; oy++)
        for (let ox = 0; ox < out[1]; ox++) {
          const [o, k] = axis === 0 ? [oy, ky] : [ox, kx];
          places.push(
            o * (strides[axis] as number) + k * (dilations[axis] as number) - (pads[axis] as number),
          );
        }
  return places;
}

/** y[o, p] = bias[o] + Σ W[o, c, k]·mask[k, p]·x[c, place(k, p)], places linear between their neighbours, zero outside. */
const deformConv = defineOp({
  op: "DeformConv",
  versions: [19, 22],
  weights: [3],
  composed: true,
  note: "maps of 2 axes; gradients for map, weights, offsets and mask",
  emit: oneOutput((c) => {
    const { b, x, has } = c;
    const s = sizesOf(c);
    const [n, channels, height, width] = b.dims(x(0)) as [number, number, number, number];
    const { group, offsetGroup } = s;
    const { dtype } = typeOf(x(0));
    const [taps, points] = [s.kernel[0] * s.kernel[1], s.out[0] * s.out[1]];
    const maps = n * offsetGroup;
    const each = channels / offsetGroup;
    const offsets = b.reshape(x(2), [maps, taps, 2, points]);
    const axis = (i: 0 | 1, size: number) => {
      const own = b.reshape(b.slice(offsets, [i], [i + 1], [2]), [maps, taps, points]);
      const grid = b.constant(tensor(dtype as NumericDType, gridOf(s, i), [1, taps, points]), "grid");
      const places = b.reshape(b.add(grid, own), [maps * taps * points]);
      return {
        size,
        taps: axisTaps(b, places, { size, kernel: "linear", padding: "zeros", alignCorners: false }),
      };
    };
    const { indices, weights } = combineTaps(b, [axis(0, height), axis(1, width)]);
    const first = Array.from(
      { length: maps * taps * points },
      (_, i) => Math.floor(i / (taps * points)) * height * width,
    );
    const rows = b.add(indices, b.constant(tensor("int64", first, [maps * taps * points, 1]), "map"));
    const map = b.reshape(b.transpose(b.reshape(x(0), [maps, each, height * width]), [0, 2, 1]), [
      maps * height * width,
      each,
    ]);
    const neighbours = b.mul(b.gather(map, rows, 0), b.reshape(weights, [maps * taps * points, 4, 1]));
    const read = b.reshape(b.reduceSum(neighbours, [1]), [maps, taps, points, each]);
    const seen = has(4) ? b.mul(read, b.reshape(x(4), [maps, taps, points, 1])) : read;
    const columns = b.reshape(b.transpose(seen, [0, 3, 1, 2]), [n, group, (channels / group) * taps, points]);
    const out = b.dims(x(1))[0] as number;
    const filters = b.reshape(x(1), [1, group, out / group, (channels / group) * taps]);
    const y = b.reshape(b.matmul(filters, columns), [n, out, ...s.out]);
    return has(3) ? b.add(y, b.reshape(x(3), [1, out, 1, 1])) : y;
  }),
});

export const deformConvOps = [deformConv] as const;
