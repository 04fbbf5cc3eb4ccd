// The reference DFT against ONNX Runtime.

import { tensor } from "../../src/base/tensor.ts";
import { int } from "../../src/graph/graph.ts";
import { fourier } from "./fourier.ts";
import { type Case, randomInputs, testTable } from "./hold-to-runtime.ts";

const { floats } = randomInputs(32);
const scalar = (v: number) => tensor("int64", [v], []);

const cases: Case[] = [
  [0, 0, 1],
  [0, 0, 2],
  [1, 0, 1],
  [1, 0, 2],
  [0, 1, 1],
  [1, 1, 2],
].flatMap(([inverse, onesided, parts]) =>
  (inverse && onesided ? [undefined, 10, 11, 15] : [undefined, 4, 5, 9]).map((length) => ({
    op: "DFT",
    inputs: [floats([2, 6, 3, parts as number]), length && scalar(length), scalar(1)] as Case["inputs"],
    attributes: { inverse: int(inverse as number), onesided: int(onesided as number) },
  })),
);

testTable(fourier, cases);
