// The reference GridSample and RoiAlign against ONNX Runtime.
import { tensor } from "../../src/base/tensor.ts";
import { float, int, string } from "../../src/graph/graph.ts";
import { type Case, randomInputs, testTable } from "./hold-to-runtime.ts";
import { sampling } from "./sampling.ts";

const { floats } = randomInputs(31);
const [modes, paddings] = [
  ["linear", "nearest", "cubic"],
  ["zeros", "border", "reflection"],
];

const sample = (x: number[], out: number[], mode: string, padding: string, align: number): Case => ({
  op: "GridSample",
  inputs: [floats(x), floats([x[0]!, ...out, x.length - 2], -2.5, 2.5)],
  attributes: { mode: string(mode), padding_mode: string(padding), align_corners: int(align) },
});

const boxes = tensor("float32", [0.3, 0.4, 5.2, 3.1, -1.7, 1.2, 9.4, 4.6, 2.1, 2.2, 2.3, 2.6], [3, 4]);

const roi = (mode: string, transform: string, ratio: number): Case => ({
  op: "RoiAlign",
  inputs: [floats([2, 2, 4, 5]), boxes, tensor("int64", [0, 1, 0])],
  attributes: {
    mode: string(mode),
    coordinate_transformation_mode: string(transform),
    output_height: int(2),
    output_width: int(3),
    sampling_ratio: int(ratio),
    spatial_scale: float(0.75),
  },
});

testTable(sampling, [
  ...["avg", "max"].flatMap((mode) =>
    ["half_pixel", "output_half_pixel"].flatMap((t) => [0, 1, 2].map((ratio) => roi(mode, t, ratio))),
  ),
  ...modes.flatMap((mode) =>
    paddings.flatMap((padding) =>
      [0, 1].flatMap((align) => [
        sample([2, 3, 4, 5], [3, 6], mode, padding, align),
        ...(mode === "cubic" ? [] : [sample([1, 2, 3, 2, 4], [2, 2, 3], mode, padding, align)]),
      ]),
    ),
  ),
]);
