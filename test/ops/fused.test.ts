// Products with an activation behind them, as ONNX Runtime's optimizer writes them.
import { describe, expect, it } from "vitest";
import { float, floats, int, ints, string } from "../../src/graph/graph.ts";
import { fusedOps } from "../../src/ops/fused.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { emit } from "./emit.ts";
import { microsoft, testNodes } from "./node-cases.ts";

const activation = (name: string) => ({ activation: string(name) });
const clip = { ...activation("Clip"), activation_params: floats([-0.5, 0.7]) };
const image = [2, 2, 4, 4];

const flags = (names: Record<string, number>) =>
  Object.fromEntries(Object.entries(names).map(([name, value]) => [name, int(value)]));

testNodes(fusedOps, [
  microsoft(
    "FusedMatMul",
    [
      [2, 3, 4],
      [3, 4, 5],
    ],
    flags({ transBatchA: 1 }),
  ),
  microsoft(
    "FusedMatMul",
    [
      [3, 2, 4],
      [4, 3, 5],
    ],
    flags({ transBatchB: 1 }),
  ),
  microsoft(
    "FusedMatMul",
    [
      [4, 2, 3, 5],
      [2, 3, 6, 5],
    ],
    { ...flags({ transBatchA: 1, transB: 1 }), alpha: float(0.5) },
  ),
  microsoft(
    "FusedMatMul",
    [
      [2, 5, 3, 4],
      [5, 3, 2, 6],
    ],
    flags({ transBatchA: 1, transA: 1 }),
  ),
  microsoft(
    "TransposeMatMul",
    [
      [4, 3],
      [2, 4],
    ],
    flags({ transA: 1, transB: 1 }),
  ),

  microsoft("FusedConv", [image, [3, 2, 3, 3], [3]], { ...activation("Relu"), pads: ints([1, 1, 1, 1]) }),
  microsoft("FusedConv", [image, [3, 2, 3, 3]], { ...activation("Tanh"), strides: ints([2, 2]) }),
  microsoft("FusedConv", [image, [2, 1, 1, 1], [2]], { ...clip, group: int(2) }),
  microsoft("FusedConv", [image, [3, 2, 1, 1], [3], [2, 3, 4, 4]], activation("Relu")),
  microsoft("FusedConv", [image, [3, 2, 1, 1]], {
    ...activation("LeakyRelu"),
    activation_params: floats([0.3]),
  }),
  microsoft("FusedConv", [image, [3, 2, 1, 1]], {
    ...activation("HardSigmoid"),
    activation_params: floats([0.3, 0.4]),
  }),
  microsoft("FusedGemm", [[3, 4], [4, 2], [2]], activation("Relu")),
  microsoft(
    "FusedGemm",
    [
      [4, 3],
      [2, 4],
      [3, 2],
    ],
    {
      ...activation("Sigmoid"),
      transA: int(1),
      transB: int(1),
      alpha: float(0.5),
      beta: float(2),
    },
  ),
  microsoft("FusedGemm", [[3, 4], [4, 2], [2]], {
    ...activation("LeakyRelu"),
    activation_alpha: float(0.2),
  }),
]);

describe("refusals", () => {
  it("names the activations that it knows", () => {
    const b = newBuilder("refusal", targets.cpu);
    const [x, w] = [b.graph.addInput("x", { dtype: "float32", dims: [2, 2] }), b.ints([1])];
    const y = b.reshape(b.cast(w, "float32"), [1, 1]);
    expect(() =>
      emit(b, "FusedGemm", [x, b.expand(y, [2, 2])], activation("Cube"), { domain: "com.microsoft" }),
    ).toThrow(
      'FusedGemm at node "node": activation "Cube" is not one of Relu, Sigmoid, Tanh, LeakyRelu, Clip, HardSigmoid; export the model without graph optimizations',
    );
  });
});
