// GridSample and AffineGrid against ONNX Runtime, and their gradients. Places keep away from whole numbers, where a linear
// interpolation has a kink, and from halves, where the nearest neighbour changes.
import { describe, expect, it } from "vitest";
import { sizeOf } from "../../src/base/tensor.ts";
import { int, string } from "../../src/graph/graph.ts";
import { gridSampleOps } from "../../src/ops/grid-sample.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { type InputSpec, testRandom } from "../gradient-checker.ts";
import { emit, i64 } from "./emit.ts";
import { type NodeCase, node, testNodes } from "./node-cases.ts";

const random = testRandom(9);

/** Places from a little outside on one side to the other, none near a kink of its axis. */
function grid(x: readonly number[], out: readonly number[], align: number): InputSpec {
  const space = x.slice(2);
  const dims = [x[0] as number, ...out, space.length];
  const values = Array.from({ length: sizeOf(dims) }, (_, i) => {
    const size = space[space.length - 1 - (i % space.length)] as number;
    const place = Math.floor(random() * (size + 4)) - 2 + (random() < 0.5 ? 0.1 : 0.6) + 0.3 * random();
    return Math.fround(align ? (2 * place) / (size - 1) - 1 : (2 * place + 1) / size - 1);
  });
  return { dims, values };
}

function sample(
  x: number[],
  out: number[],
  mode: string,
  padding: string,
  align: number,
  opset = 20,
): NodeCase {
  const attributes = { mode: string(mode), padding_mode: string(padding), align_corners: int(align) };
  return node("GridSample", [x, grid(x, out, align)], attributes, { opset });
}

testNodes(gridSampleOps, [
  node("GridSample", [[1, 2, 3, 3], grid([1, 2, 3, 3], [2, 2], 0)], {}, { opset: 16 }),
  sample([2, 2, 3, 4], [2, 3], "bilinear", "zeros", 1, 16),
  sample([1, 2, 4, 3], [3, 2], "bicubic", "border", 0, 16),
  ...["linear", "nearest", "cubic"].flatMap((mode) =>
    ["zeros", "border", "reflection"].flatMap((padding) =>
      [0, 1].map((align) => sample([2, 2, 3, 4], [2, 3], mode, padding, align, align ? 20 : 22)),
    ),
  ),
  ...["linear", "nearest"].flatMap((mode) =>
    ["zeros", "border", "reflection"].map((padding, i) =>
      sample([1, 2, 2, 3, 4], [2, 1, 3], mode, padding, i % 2),
    ),
  ),
  sample([1, 1, 1, 3], [2, 2], "linear", "reflection", 0),
  ...[0, 1].flatMap((align) => [
    node("AffineGrid", [[2, 2, 3], i64(2, 3, 3, 4)], { align_corners: int(align) }, { opset: 20 }),
    node("AffineGrid", [[1, 3, 4], i64(1, 2, 2, 3, 2)], { align_corners: int(align) }),
    node("AffineGrid", [[1, 2, 3], i64(1, 1, 1, 2)], { align_corners: int(align) }),
  ]),
]);

describe("refusals", () => {
  const on = (dims: number[], other: number[], op = "GridSample", attributes = {}) => {
    const b = newBuilder("test", targets.cpu);
    const input = (name: string, d: number[]) => b.graph.addInput(name, { dtype: "float32", dims: d });
    return emit(
      b,
      op,
      [input("x", dims), op === "AffineGrid" ? i64(...other) : input("grid", other)],
      attributes,
    );
  };
  it.each([
    [
      () => on([1, 2, 3, 3], [1, 2, 2, 3]),
      'GridSample "node/GridSample": a grid [1,2,2,3] does not fit [1,2,3,3]; it must be [N, H, W, 2] for [N, C, H, W], or [N, D, H, W, 3]',
    ],
    [
      () => on([1, 2, 3, 3], [1, 2, 2, 2], "GridSample", { mode: string("lanczos") }),
      'GridSample at node "node": mode "lanczos", padding_mode "zeros" is not supported; modes are linear, nearest and cubic, paddings zeros, border, reflection',
    ],
    [
      () => on([2, 2, 3], [1, 2, 3, 3], "AffineGrid"),
      'AffineGrid at node "node": theta [2,2,3] does not fit the size [1,2,3,3]; it must be [N, 2, 3] for [N, C, H, W], or [N, 3, 4] for [N, C, D, H, W]',
    ],
  ])("%#", (f, message) => {
    expect(f).toThrow(expect.objectContaining({ message }));
  });
});
