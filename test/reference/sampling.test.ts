// The reference GridSample against ONNX Runtime.
import { int, string } from "../../src/graph/graph.ts";
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

testTable(
  sampling,
  modes.flatMap((mode) =>
    paddings.flatMap((padding) =>
      [0, 1].flatMap((align) => [
        sample([2, 3, 4, 5], [3, 6], mode, padding, align),
        ...(mode === "cubic" ? [] : [sample([1, 2, 3, 2, 4], [2, 2, 3], mode, padding, align)]),
      ]),
    ),
  ),
);
