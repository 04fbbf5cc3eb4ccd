// One network in the words of every opset from the oldest that we read to the newest that ONNX Runtime knows: wherever an
// attribute became an input, or an op another op. Gradients must be the same.
import { beforeAll, describe, expect, test } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { randomTensor } from "../compile/compile-model.ts";
import { expectClose } from "../gradient-checker.ts";
import { studentFromText } from "./graph-text.ts";
import { productGradients } from "./product-gradients.ts";

const input = [2, 2, 6, 6] as const;
const weights: Record<string, Tensor> = {
  kernel: randomTensor(1, [4, 2, 3, 3]),
  gamma: randomTensor(2, [4]),
  beta: randomTensor(3, [4]),
  head: randomTensor(4, [4, 5]),
  bias: randomTensor(5, [5]),
};
const i64 = (...values: number[]): Tensor => tensor("int64", values);
const f32 = (...values: number[]): Tensor => tensor("float32", values);
const number = (value: number): Tensor => tensor("float32", [value], []);
const constants: Record<string, Tensor> = {
  mean: f32(0.1, -0.2, 0.3, 0),
  variance: f32(1, 2, 0.5, 1.5),
  pads: i64(0, 0, 1, 1, 0, 0, 1, 1),
  zero: number(0),
  one: number(1),
  region: f32(0, 0, 0, 0, 1, 1, 1, 1),
  scales: f32(1, 1, 2, 2),
  space: i64(2, 3),
  halves: i64(2, 2),
  from: i64(1),
  to: i64(11),
  rows: i64(2),
  last: i64(-1),
  two: i64(2),
};

function network(opset: number): string {
  const since = (first: number, now: string, before: string): string => (opset >= first ? now : before);
  return `
    padded = ${since(11, "Pad(x, pads, zero)", "Pad(x) pads=[0,0,1,1,0,0,1,1]")}
    convolved = Conv(padded, kernel)
    normal = BatchNormalization(convolved, gamma, beta, mean, variance)
    clipped = ${since(11, "Clip(normal, zero, one)", "Clip(normal) min=0.0 max=1.0")}
    large = ${
      opset >= 11
        ? "Resize(clipped, region, scales) mode=nearest coordinate_transformation_mode=asymmetric nearest_mode=floor"
        : opset === 10
          ? "Resize(clipped, scales) mode=nearest"
          : since(9, "Upsample(clipped, scales)", "Upsample(clipped) scales=[1.0,1.0,2.0,2.0]")
    }
    cropped = ${since(10, "Slice(large, from, to, rows)", "Slice(large) axes=[2] starts=[1] ends=[11]")}
    pooled = MaxPool(cropped) kernel_shape=[2,2] strides=[2,2]
    a, b = ${since(18, "Split(pooled) axis=1 num_outputs=2", since(13, "Split(pooled, halves) axis=1", "Split(pooled) axis=1 split=[2,2]"))}
    exchanged = Concat(b, a) axis=1
    averaged = ${since(18, "ReduceMean(exchanged, space)", "ReduceMean(exchanged) axes=[2,3]")}
    vector = ${since(13, "Squeeze(averaged, space)", "Squeeze(averaged) axes=[2,3]")}
    kept = ${since(12, "Dropout(vector, zero)", "Dropout(vector) ratio=0.0")}
    scores = Gemm(kept, head, bias)
    p = Softmax(scores) axis=1
    best, places = ${since(10, "TopK(p, two)", "TopK(p) k=2")}
    total = ${since(13, "ReduceSum(best, last)", "ReduceSum(best) axes=[-1]")}
    share = Div(p, total)
    longer = ${since(13, "Unsqueeze(share, two)", "Unsqueeze(share) axes=[2]")}
    logits = Flatten(longer)`;
}

const gradientsAt = (opset: number) =>
  productGradients(studentFromText(network(opset), input, { ...weights, ...constants }, opset), input);

describe("one network in every opset", () => {
  let wanted: Map<string, Tensor>;
  beforeAll(async () => {
    wanted = await gradientsAt(17);
  });

  test.each(Array.from({ length: 20 }, (_, i) => 7 + i))("%i", async (opset) => {
    const gradients = await gradientsAt(opset);
    expect([...gradients.keys()].sort()).toEqual([...Object.keys(weights), "loss"].sort());
    for (const [name, g] of gradients) {
      expect(Math.max(...(g.data as Float32Array).map(Math.abs)), name).toBeGreaterThan(1e-4);
      expectClose(g.data as Float32Array, wanted.get(name)?.data as Float32Array, 1e-5, name);
    }
  });
});
