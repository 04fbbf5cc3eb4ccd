import { sizeOf, type Tensor, tensor } from "../../src/base/tensor.ts";
import { testRandom } from "../gradient-checker.ts";

/** Draws tensors of numbers from −0.5 to 0.5, one after the other. */
export function randomFloats(seed: number): (...dims: number[]) => Tensor {
  const random = testRandom(seed);
  return (...dims) =>
    tensor(
      "float32",
      Array.from({ length: sizeOf(dims) }, () => random() - 0.5),
      dims,
    );
}
