// What the machine can do at best, by plain work: products in ONNX Runtime (GFLOP/s) and copies of arrays (GB/s, read plus
// written). bench/peers/ceilings.py has PyTorch's.
import { type Tensor, tensor } from "../src/base/tensor.ts";
import { blockConvolutions } from "../src/compile/block-convolutions.ts";
import { ints } from "../src/graph/graph.ts";
import { writeGraph } from "../src/onnx/write-graph.ts";
import { newBuilder } from "../src/ops/index.ts";
import { targets } from "../src/ops/target.ts";
import type { Runtime } from "../src/runtime/session.ts";
import { type Side, timed } from "./measure.ts";

export interface Ceiling {
  readonly title: string;
  /** 10⁹ operations, or bytes, of one repetition. */
  readonly giga: number;
  readonly unit: "GFLOP/s" | "GB/s";
  readonly side: Side;
}

const side = 1024;
const [batch, channels, size] = [64, 64, 32] as const;
/** Elements of the copied array: 64 MiB, more than caches hold. */
const copied = 1 << 24;

/** By the part that the peer calls it by. */
export async function ceilings(runtime: Runtime): Promise<Record<string, Ceiling>> {
  const filled = (dims: readonly number[]): Tensor => ({
    dtype: "float32",
    dims,
    data: new Float32Array(dims.reduce((a, d) => a * d, 1)).fill(0.5),
  });
  const square = [side, side];
  const product = newBuilder("product", targets.cpu);
  const [a, c] = ["a", "b"].map((name) => product.graph.addInput(name, { dtype: "float32", dims: square }));
  product.graph.addOutput(product.reduceMax(product.matmul(a!, c!)));
  const image = [batch, channels, size, size];
  const kernels = [channels, channels, 3, 3];
  const convolution = newBuilder("convolution", targets.cpu);
  const x = convolution.graph.addInput("x", { dtype: "float32", dims: image });
  const w = convolution.graph.addInput("w", { dtype: "float32", dims: kernels });
  const y = convolution.node("Conv", [x, w], {
    kernel_shape: ints([3, 3]),
    pads: ints([1, 1, 1, 1]),
    strides: ints([1, 1]),
    dilations: ints([1, 1]),
  });
  convolution.graph.addOutput(convolution.reduceMax(y));
  const block = await runtime.convolutionBlock?.();
  const blocked = block ? blockConvolutions(convolution.graph, block) : convolution.graph;
  const [matmul, conv] = await Promise.all(
    [product.graph, blocked].map((graph) => runtime.load(writeGraph(graph))),
  );
  const [from, to] = [new Float32Array(copied).fill(1), new Float32Array(copied)];
  const factors = { a: filled(square), b: filled(square) };
  const maps = { x: filled(image), w: tensor("float32", filled(kernels).data as Float32Array, kernels) };
  return {
    matmul: {
      title: `product of two ${side} × ${side} matrices`,
      giga: (2 * side ** 3) / 1e9,
      unit: "GFLOP/s",
      side: timed(() => matmul!.run(factors)),
    },
    conv: {
      title: `3×3 convolution, ${channels} to ${channels} maps of ${size}×${size}, batch ${batch}`,
      giga: (2 * batch * channels * channels * 9 * size * size) / 1e9,
      unit: "GFLOP/s",
      side: timed(() => conv!.run(maps)),
    },
    copy: {
      title: "copy of 64 MiB on one thread",
      giga: (2 * 4 * copied) / 1e9,
      unit: "GB/s",
      side: timed(async () => to.set(from)),
    },
  };
}
