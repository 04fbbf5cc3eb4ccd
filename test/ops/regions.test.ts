// RoiAlign and DeformConv against ONNX Runtime, and their gradients.
import { describe, expect, it } from "vitest";
import { vectorJacobianProduct } from "../../src/autodiff/differentiate.ts";
import { tensor, toNumbers } from "../../src/base/tensor.ts";
import { type Attributes, float, int, ints, string } from "../../src/graph/graph.ts";
import { deformConvOps } from "../../src/ops/deform-conv.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { roiAlignOps } from "../../src/ops/roi-align.ts";
import { targets } from "../../src/ops/target.ts";
import { type InputSpec, testRandom } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { emit, i64 } from "./emit.ts";
import { data, type NodeCase, node, testNodes } from "./node-cases.ts";

const boxes = tensor("float32", [0.3, 0.4, 5.2, 3.1, -1.7, 1.2, 9.4, 4.6, 2.1, 2.2, 2.3, 2.6], [3, 4]);
const batch = i64(0, 1, 0);

function roi(
  mode: string,
  ratio: number,
  known: boolean,
  opset: number,
  attributes: Attributes = {},
): NodeCase {
  return node(
    "RoiAlign",
    [[2, 1, 4, 5], known ? boxes : data(boxes), batch],
    {
      mode: string(mode),
      output_height: int(2),
      output_width: int(3),
      sampling_ratio: int(ratio),
      ...attributes,
    },
    { opset },
  );
}

const transform = (name: string): Attributes => ({ coordinate_transformation_mode: string(name) });

testNodes(roiAlignOps, [
  ...["avg", "max"].flatMap((mode) => [
    roi(mode, 2, false, 16),
    roi(mode, 1, true, 10),
    roi(mode, 3, false, 21, transform("output_half_pixel")),
    roi(mode, 0, true, 16, { spatial_scale: float(0.75) }),
    roi(mode, 0, true, 10, { spatial_scale: float(1.5) }),
  ]),
  node("RoiAlign", [[1, 2, 4, 4], boxes, i64(0, 0, 0)], { sampling_ratio: int(2) }),
]);

const random = testRandom(4);
/** Away from whole places, where linear interpolation has kinks. */
function offsets(dims: number[], reach = 2): InputSpec {
  const size = dims.reduce((p, q) => p * q, 1);
  const values = Array.from(
    { length: size },
    () => Math.floor((2 * random() - 1) * reach) + 0.2 + 0.6 * random(),
  );
  return { dims, values: values.map(Math.fround) };
}

testNodes(deformConvOps, [
  node("DeformConv", [[1, 2, 3, 4], [3, 2, 2, 2], offsets([1, 8, 2, 3])], {}, { opset: 19 }),
  node(
    "DeformConv",
    [[2, 4, 3, 2], [2, 2, 2, 2], offsets([2, 16, 2, 1]), [2], [2, 8, 2, 1]],
    {
      pads: ints([1, 0, 0, 1]),
      strides: ints([2, 2]),
      group: int(2),
      offset_group: int(2),
      kernel_shape: ints([2, 2]),
    },
    { opset: 22 },
  ),
  node("DeformConv", [[1, 2, 3, 4], [2, 1, 2, 2], offsets([1, 8, 2, 2], 5), [2]], {
    dilations: ints([2, 3]),
    pads: ints([1, 1, 0, 0]),
    group: int(2),
  }),
  node("DeformConv", [[1, 4, 3, 3], [1, 4, 1, 1], offsets([1, 4, 3, 3]), undefined, [1, 2, 3, 3]], {
    offset_group: int(2),
  }),
]);

it("offsets of zero, as layers begin with, have the slope to the next neighbour, as PyTorch has it", () => {
  const b = newBuilder("zero", targets.cpu);
  const input = (name: string, dims: number[]) => b.graph.addInput(name, { dtype: "float64", dims });
  const offset = input("offset", [1, 2, 1, 2]);
  const [x, w] = [input("x", [1, 1, 1, 2]), input("w", [1, 1, 1, 1])];
  const y = emit(b, "DeformConv", [x, w, offset], {}, { opset: 19 });
  const slopes = vectorJacobianProduct(b, [[y, input("dy", [1, 1, 1, 2])]], [offset]).get(offset)!;
  b.graph.addOutput(slopes);
  const f64 = (values: number[], dims: number[]) => tensor("float64", values, dims);
  const values = evaluate(b.graph, {
    x: f64([1, 4], [1, 1, 1, 2]),
    w: f64([1], [1, 1, 1, 1]),
    offset: f64([0, 0, 0, 0], [1, 2, 1, 2]),
    dy: f64([1, 1], [1, 1, 1, 2]),
  });
  // Downwards, then to the right; outside is zero.
  expect(toNumbers(values.get(slopes)!)).toEqual([-1, -4, 3, -4]);
});

describe("refusals", () => {
  const graph = (attributes: Attributes) => {
    const b = newBuilder("test", targets.cpu);
    const x = b.graph.addInput("x", { dtype: "float32", dims: [1, 2, 4, 4] });
    const rois = b.graph.addInput("rois", { dtype: "float32", dims: [3, 4] });
    const y = emit(b, "RoiAlign", [x, rois, i64(0, 0, 0)], attributes);
    return () => vectorJacobianProduct(b, [[y, b.graph.addInput("dy", y.type!)]], [x]);
  };
  const convolution = (offset: number[]) => {
    const b = newBuilder("test", targets.cpu);
    const input = (name: string, dims: number[]) => b.graph.addInput(name, { dtype: "float32", dims });
    return emit(b, "DeformConv", [input("x", [1, 2, 4, 4]), input("w", [3, 2, 2, 2]), input("o", offset)]);
  };
  it.each<[() => unknown, string]>([
    [
      () => graph({ sampling_ratio: int(0) })(),
      'RoiAlign at node "node/RoiAlign": with sampling_ratio 0 the number of places depends on the boxes, which are computed from the data; export the model with a sampling_ratio (2, say), or freeze what lies before',
    ],
    [
      () => graph({ mode: string("median") }),
      'RoiAlign at node "node": mode "median", coordinate_transformation_mode "half_pixel" is not supported; modes are avg and max, transformations half_pixel and output_half_pixel',
    ],
    [
      () => convolution([1, 8, 4, 4]),
      'DeformConv at node "node": a map [1,2,4,4], weights [3,2,2,2], offsets [1,8,4,4] do not fit group 1, offset_group 1 and an output of [3,3]; only maps [N, C, H, W] are supported',
    ],
  ])("%#", (f, message) => {
    expect(f).toThrow(expect.objectContaining({ message }));
  });
});
