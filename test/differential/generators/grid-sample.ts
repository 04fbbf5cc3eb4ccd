// Sampling a map at places that are given, and the places of an affine map.
import { int, string } from "../../../src/graph/graph.ts";
import { fed, type Generator, i64, type UpTo } from "../case.ts";
import type { Draw } from "../draw.ts";

/** 4 axes, or 5 where the opset and the mode have them. */
const spatialAxes = (d: Draw, opset: number, cubic: boolean): 2 | 3 =>
  opset >= 20 && !cubic && d.chance(0.3) ? 3 : 2;

export const gridSample = {
  GridSample: ({ d, opset }) => {
    const [linear, cubic] = opset < 20 ? ["bilinear", "bicubic"] : ["linear", "cubic"];
    const mode = d.pick([linear, linear, "nearest", cubic]);
    const axes = spatialAxes(d, opset, mode === cubic);
    const sizes = (most: number) => Array.from({ length: axes }, () => d.int(1, most));
    const n = d.int(1, 2);
    return {
      inputs: [
        fed(d.floats([n, d.int(1, 3), ...sizes(6)], { edges: "none" })),
        fed(d.floats([n, ...sizes(4), axes], { edges: "none" })),
      ],
      attributes: {
        mode: string(mode),
        padding_mode: string(d.pick(["zeros", "border", "reflection"])),
        align_corners: int(d.int(0, 1)),
      },
      tolerance: 1e-4, // The runtime computes places in float32.
    };
  },
  AffineGrid: ({ d }) => {
    const axes = d.int(2, 3);
    const n = d.int(1, 2);
    const sizes = Array.from({ length: axes }, () => d.int(1, 5));
    return {
      inputs: [fed(d.floats([n, axes, axes + 1], { edges: "none" })), i64([n, d.int(1, 3), ...sizes])],
      attributes: { align_corners: int(d.int(0, 1)) },
      tolerance: 1e-5,
    };
  },
} satisfies Record<string, Generator | UpTo>;
