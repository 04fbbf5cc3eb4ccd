// Resize in all its modes, reads at places of the data, Upsample, and the moves between space and channels.
import { tensor } from "../../../src/base/tensor.ts";
import { type Attributes, float, floats, int, ints, string } from "../../../src/graph/graph.ts";
import { f32, fed, type Generator, i64, known, type UpTo, upTo } from "../case.ts";
import type { Draw } from "../draw.ts";

/** Scales that divide unevenly, in float32 and in doubles to other sizes now and then. */
const scale = (d: Draw): number =>
  d.pick([
    Math.fround(d.float(0.3, 3)),
    d.pick([0.7, 0.6, 1.1, 1.3, 0.3, 2.3, 1.7, 0.9, 0.1 * d.int(3, 29)]),
    2,
    0.5,
  ]);

const coordinates = ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"] as const;
const nearest = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] as const;

const blocks: Generator = ({ d, opset }) => {
  const size = d.int(1, 3);
  return {
    inputs: [fed(d.floats([d.length({ most: 2 }), size * size * d.int(1, 2), d.length(), d.length()]))],
    attributes: {
      blocksize: int(size),
      ...(opset >= 11 && d.chance(0.6) && { mode: string(d.pick(["DCR", "CRD"])) }),
    },
  };
};

/** Before opset 11: scales alone, nearest or linear. */
function simple(d: Draw, upOnly: boolean): { dims: number[]; scales: number[]; mode: Attributes } {
  const mode = d.pick(["nearest", "linear"]);
  const dims = [d.length({ most: 2 }), d.length({ most: 2 }), d.int(1, 10), d.int(1, 10)];
  const one = () => (upOnly ? Math.max(1, scale(d)) : scale(d));
  const fitting = (n: number): number => {
    const s = one();
    return Math.floor(Math.fround(n * Math.fround(s))) >= 1 ? s : 1;
  };
  return {
    dims,
    scales: dims.map((n, i) => (i < 2 && (mode === "linear" || d.chance(0.7)) ? 1 : fitting(n))),
    mode: { mode: string(mode) },
  };
}

const transforms = ["half_pixel", "output_half_pixel"] as const;

export const resampling = {
  RoiAlign: {
    last: 21,
    because: "ONNX Runtime 1.30 has no kernel for RoiAlign of opset 22",
    draw: ({ d, opset }) => {
      const [boxes, n] = [d.int(1, 3), d.int(1, 2)];
      const corner = () => d.float(-1, 6);
      const rois = Array.from({ length: boxes }, () => {
        const [x, y] = [corner(), corner()];
        return [x, y, x + d.float(-0.5, 8), y + d.float(-0.5, 8)];
      }).flat();
      const box = tensor("float32", rois.map(Math.fround), [boxes, 4]);
      const pad = d.chance(0.5) ? fed : known;
      return {
        inputs: [
          fed(d.floats([n, d.int(1, 3), d.int(1, 7), d.int(1, 7)], { edges: "none" })),
          pad(box),
          known(d.ints([boxes], 0, n - 1)),
        ],
        attributes: {
          mode: string(d.pick(["avg", "max"])),
          output_height: int(d.int(1, 3)),
          output_width: int(d.int(1, 3)),
          sampling_ratio: int(d.int(0, 3)),
          ...(d.chance(0.5) && { spatial_scale: float(d.pick([0.5, 0.25, 1, 2])) }),
          ...(opset >= 16 && d.chance(0.6) && { coordinate_transformation_mode: string(d.pick(transforms)) }),
        },
        tolerance: 1e-5,
      };
    },
  },
  DeformConv: ({ d }) => {
    const [group, offsetGroup] = [d.int(1, 2), d.int(1, 2)];
    const [n, each] = [d.int(1, 2), d.int(1, 2)];
    const channels = group * offsetGroup * each;
    const kernel = [d.int(1, 3), d.int(1, 3)];
    const size = [d.int(5, 7), d.int(5, 7)];
    const [strides, dilations] = [
      [d.int(1, 2), d.int(1, 2)],
      [d.int(1, 2), d.int(1, 2)],
    ];
    const pads = [d.int(0, 2), d.int(0, 2), d.int(0, 2), d.int(0, 2)];
    const out = [0, 1].map((i) => {
      const room = size[i]! + pads[i]! + pads[i + 2]! - dilations[i]! * (kernel[i]! - 1) - 1;
      return Math.floor(room / strides[i]!) + 1;
    });
    const taps = kernel[0]! * kernel[1]!;
    const filters = group * d.int(1, 2);
    // No place a hair beside a whole number outside, where the kernel reads nothing.
    const floats = (dims: number[], high = 2) => fed(d.floats(dims, { edges: "none", low: -high, high }));
    return {
      inputs: [
        floats([n, channels, ...size]),
        floats([filters, channels / group, ...kernel]),
        floats([n, offsetGroup * taps * 2, ...out], d.pick([0.5, 4])),
        d.chance(0.5) ? floats([filters]) : undefined,
        d.chance(0.5) ? floats([n, offsetGroup * taps, ...out]) : undefined,
      ],
      attributes: {
        strides: ints(strides),
        dilations: ints(dilations),
        pads: ints(pads),
        group: int(group),
        offset_group: int(offsetGroup),
        ...(d.chance(0.5) && { kernel_shape: ints(kernel) }),
      },
      tolerance: 1e-5,
      scale: 4,
    };
  },
  Resize: ({ d, opset }) => {
    if (opset < 11) {
      const { dims, scales, mode } = simple(d, false);
      return {
        inputs: [fed(d.floats(dims, { edges: "none" })), f32(scales)],
        attributes: mode,
        tolerance: 1e-5,
      };
    }
    const mode = d.pick(["nearest", "nearest", "linear", "cubic"]);
    const spatial = mode === "cubic" ? 2 : d.int(1, 3);
    const dims = [
      d.length({ most: 2 }),
      d.length({ most: 2 }),
      ...Array.from({ length: spatial }, () => d.int(1, spatial === 3 ? 5 : 12)),
    ];
    const antialias = opset >= 18 && mode !== "nearest" && d.chance(0.3);
    const own = opset >= 19 ? ["half_pixel_symmetric"] : opset < 13 ? ["tf_half_pixel_for_nn"] : [];
    const place = d.pick([...coordinates, ...own]);
    const bySizes = d.chance(0.4);
    const scales = dims.slice(2).map((n) => {
      const s = scale(d);
      return Math.floor(Math.fround(n * Math.fround(s))) >= 1 ? s : 1;
    });
    const sizes = dims.slice(2).map(() => d.int(1, 15));
    const only = opset >= 18 && d.chance(0.3);
    const policy = opset >= 18 && bySizes && only && d.chance(0.5);
    const given = <T>(values: readonly T[], rest: readonly T[]): T[] =>
      only ? [...values] : [...rest, ...values];
    const none = opset >= 13 ? undefined : f32([]);
    const inputs = bySizes
      ? [none, opset >= 13 ? undefined : f32([]), i64(given(sizes, dims.slice(0, 2)))]
      : [none, f32(given(scales, [1, 1]))];
    return {
      inputs: [fed(d.floats(dims, { edges: mode === "nearest" ? "any" : "none" })), ...inputs],
      attributes: {
        mode: string(mode),
        coordinate_transformation_mode: string(place),
        ...(mode === "nearest" && d.chance(0.8) && { nearest_mode: string(d.pick(nearest)) }),
        ...(mode === "cubic" && d.chance(0.5) && { cubic_coeff_a: float(d.pick([-0.5, -0.75, -1])) }),
        ...(mode === "cubic" && d.chance(0.4) && { exclude_outside: int(1) }),
        ...(antialias && { antialias: int(1) }),
        ...(only && { axes: ints(dims.slice(2).map((_, i) => i + 2)) }),
        ...(policy && { keep_aspect_ratio_policy: string(d.pick(["not_larger", "not_smaller"])) }),
      },
      tolerance: 3e-5, // The runtime computes weights in float32.
    };
  },
  Upsample: upTo(9, "opset 10 took it away", ({ d, opset }) => {
    const { dims, scales, mode } = simple(d, true);
    const x = fed(d.floats(dims, { edges: "none" }));
    if (opset >= 9) return { inputs: [x, f32(scales)], attributes: mode, tolerance: 1e-5 };
    return { inputs: [x], attributes: { ...mode, scales: floats(scales.map(Math.fround)) }, tolerance: 1e-5 };
  }),
  DepthToSpace: blocks,
  SpaceToDepth: ({ d }) => {
    const size = d.int(1, 3);
    return {
      inputs: [fed(d.floats([d.length({ most: 2 }), d.length(), size * d.int(1, 3), size * d.int(1, 3)]))],
      attributes: { blocksize: int(size) },
    };
  },
} satisfies Record<string, Generator | UpTo>;
