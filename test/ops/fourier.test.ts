// DFT and STFT against ONNX Runtime, and their gradients.
import { describe, expect, it } from "vitest";
import { vectorJacobianProduct } from "../../src/autodiff/differentiate.ts";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { type Attributes, int, type Value } from "../../src/graph/graph.ts";
import { fourierOps } from "../../src/ops/fourier.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { expectClose, testRandom } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { emit } from "./emit.ts";
import { type NodeCase, node, testNodes } from "./node-cases.ts";

const scalar = (v: number): Tensor => tensor("int64", [v], []);
const window = tensor("float32", [0.1, 0.9, 0.7, 0.2]);
const attributes = (inverse: number, onesided: number): Attributes => ({
  inverse: int(inverse),
  onesided: int(onesided),
});

const kinds = [
  [0, 0, 1],
  [0, 0, 2],
  [1, 0, 1],
  [1, 0, 2],
  [0, 1, 1],
  [1, 1, 2],
] as const;

testNodes(fourierOps, [
  ...kinds.flatMap(([inverse, onesided, parts]) => [
    ...(inverse && onesided ? [undefined, 8, 9] : [undefined, 3, 8]).map(
      (length): NodeCase =>
        node(
          "DFT",
          [[2, 5, 2, parts], length && scalar(length), scalar(1)] as NodeCase["inputs"],
          attributes(inverse, onesided),
          {
            opset: 20,
          },
        ),
    ),
    node("DFT", [[2, 2, 4, parts]], attributes(inverse, onesided), { opset: 20 }),
    ...(inverse && onesided
      ? []
      : [node("DFT", [[2, 5, 2, parts]], attributes(inverse, onesided), { opset: 17 })]),
    node("DFT", [[3, 4, parts], undefined, scalar(-3)], attributes(inverse, onesided), { opset: 21 }),
  ]),
  node("DFT", [[2, 3, 4, 1], scalar(6)], { axis: int(2), onesided: int(1) }, { opset: 17 }),
  node("DFT", [[2, 1, 2], undefined, scalar(1)]),
  node("STFT", [[2, 11, 1], scalar(3), window, scalar(4)], {}, { opset: 17 }),
  node("STFT", [[2, 11, 1], scalar(2), window], { onesided: int(0) }),
  node("STFT", [[1, 7, 2], scalar(3), undefined, scalar(4)], { onesided: int(0) }),
  node("STFT", [[1, 9, 1], scalar(4), undefined, scalar(5)], { onesided: int(1) }),
]);

it.each(kinds)(
  "long transforms, inverse %d, onesided %d, %d numbers an element: the gradient is the transpose",
  (inverse, onesided, parts) => {
    const random = testRandom(5);
    const b = newBuilder("long", targets.cpu);
    const [given, length] = [inverse && onesided ? 400 : 700, 1026];
    const dims = [1, given, parts];
    const x = b.graph.addInput("x", { dtype: "float64", dims });
    const y = emit(b, "DFT", [x, scalar(length), scalar(1)], attributes(inverse, onesided));
    const dy = b.graph.addInput("dy", y.type!);
    const dx = vectorJacobianProduct(b, [[y, dy]], [x]).get(x) as Value;
    expect(b.graph.nodes.filter((n) => n.op === "DFT").length).toBe(2);
    b.graph.addOutput(dx);
    const draw = (shape: readonly number[]): Tensor =>
      tensor(
        "float64",
        Array.from({ length: shape.reduce((p, q) => p * q, 1) }, () => random() - 0.5),
        shape,
      );
    const feeds = { x: draw(dims), dy: draw(y.type!.dims) };
    const values = evaluate(b.graph, feeds);
    const inner = (p: Tensor, q: Tensor): number =>
      (p.data as Float64Array).reduce((s, v, i) => s + v * Number(q.data[i]), 0);
    // ⟨dy, F x⟩ = ⟨Fᵀ dy, x⟩
    expectClose([inner(values.get(dx)!, feeds.x)], [inner(feeds.dy, values.get(y)!)], 1e-9, "inner product");
  },
);

describe("refusals", () => {
  const on = (op: string, dims: number[], rest: (Tensor | undefined)[], given: Attributes = {}) => {
    const b = newBuilder("test", targets.cpu);
    return emit(b, op, [b.graph.addInput("x", { dtype: "float32", dims }), ...rest], given);
  };
  it.each([
    [
      () => on("DFT", [2, 8, 2], [undefined, scalar(1)], { onesided: int(1) }),
      'DFT at node "node": a signal [2,8,2] along axis 1 with inverse 0, onesided 1; its last axis must be 1 (real; onesided forward) or 2 (complex; onesided inverse), and is not transformed',
    ],
    [
      () => on("DFT", [2, 4, 2], [scalar(5), scalar(1)], attributes(1, 1)),
      'DFT at node "node": the onesided inverse of length 5 takes 3 bins, and gets 4; ONNX Runtime reads the wrong ones then: slice or pad the spectrum to 3 bins before',
    ],
    [
      () => on("DFT", [2, 4, 2], [scalar(16), scalar(1)], attributes(1, 1)),
      'DFT at node "node": the onesided inverse of length 16 takes 9 bins, and gets 4; ONNX Runtime reads the wrong ones then: slice or pad the spectrum to 9 bins before',
    ],
    [
      () => on("STFT", [2, 9, 2], [scalar(1), window], { onesided: int(0) }),
      'STFT at node "node": a complex signal with a window, for which ONNX Runtime\'s results are undefined; multiply frames by the window and take their DFT',
    ],
    [
      () => on("STFT", [2, 3, 1], [scalar(1), undefined, scalar(4)]),
      'STFT at node "node": frames of 4 every 1 of a signal [2,3,1]; the signal must be [N, samples, 1], or [N, samples, 2] with onesided 0, at least a frame long, and the window as long as a frame',
    ],
  ])("%#", (f, message) => {
    expect(f).toThrow(expect.objectContaining({ message }));
  });
});
