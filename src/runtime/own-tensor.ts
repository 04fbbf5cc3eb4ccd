// A tensor that may travel: a session in another thread takes its memory for the time of a run instead of copying it.
import type { NumericDType, Shape, Tensor, TypedArray } from "../base/tensor.ts";

/**
 * Whoever makes one says that nobody else holds its array. Where a run happens in another thread, `data` is empty meanwhile,
 * and another array over the same memory once the run has ended, well or not. Elsewhere it is a tensor like any other.
 */
export class OwnTensor implements Tensor {
  readonly dtype: NumericDType;
  readonly dims: Shape;
  data: TypedArray;

  constructor(dtype: NumericDType, dims: Shape, data: TypedArray) {
    this.dtype = dtype;
    this.dims = dims;
    this.data = data;
  }
}
