// Mean response of each neuron to each class: what the metrics that tell classes apart are made of.
import { DistillError } from "../../base/errors.ts";
import { throwOverflow } from "../checks.ts";
import type { Matrix } from "../matrix.ts";
import { type Moments, type Parts, signOf } from "./metric.ts";

/**
 * Parts w `[K]`, the mean of each class's label over the samples (its share of them), and S `[K × N]`, the mean of
 * label · response; the response is a, or |a| where `ofSizes`.  d S_k / d a = label_k / B (· sign(a)).
 * The label of a row is its sample's.
 */
export function measureClasses(ofSizes: boolean) {
  return (what: string, activations: Matrix, classes?: Matrix): Moments => {
    if (!classes)
      throw new DistillError(
        "E_ARGUMENT",
        `${what} cannot be told apart by class without labels; pass them, [samples, classes], or the teacher's predictions`,
      );
    const { rows, columns, data, positions } = activations;
    const K = classes.columns;
    const share = new Float64Array(K);
    const sums = new Float64Array(K * columns);
    let poison = 0;
    for (let r = 0; r < rows; r++) {
      const from = r * columns;
      for (let c = 0; c < columns; c++) poison += data[from + c]! * 0;
      const label = classes.row(Math.floor(r / positions));
      for (let k = 0; k < K; k++) {
        const y = label[k]!;
        if (y === 0) continue;
        share[k]! += y;
        for (let c = 0, i = k * columns; c < columns; c++, i++) {
          const a = data[from + c]!;
          sums[i]! += y * (ofSizes ? Math.abs(a) : a);
        }
      }
    }
    for (let k = 0; k < K; k++) share[k]! /= rows;
    for (let i = 0; i < sums.length; i++) {
      sums[i]! /= rows;
      poison += sums[i]! * 0;
    }
    if (poison !== 0) throwOverflow(what, activations);
    return {
      parts: [share, sums],
      backward([, upstream], _at, out) {
        for (let r = 0; r < rows; r++) {
          const label = classes.row(Math.floor(r / positions));
          for (let c = 0, i = r * columns; c < columns; c++, i++) {
            let u = 0;
            for (let k = 0; k < K; k++) u += label[k]! * upstream![k * columns + c]!;
            out[i] = (u * (ofSizes ? signOf(data[i]!) : 1)) / rows + 0;
          }
        }
      },
    };
  };
}

/** Mean response to each class, `[K × N]`: S / w; 0 for a class without samples. */
export function classMeans([share, sums]: Parts): Float64Array {
  const columns = sums!.length / share!.length;
  return sums!.map((s, i) => {
    const w = share![Math.floor(i / columns)]!;
    return w > 0 ? s / w : 0;
  });
}

/** d loss / d S for d loss / d mean. The labels are constants. */
export function classMeansGradient([share, sums]: Parts, upstream: Float64Array): Float64Array {
  const columns = sums!.length / share!.length;
  return upstream.map((u, i) => {
    const w = share![Math.floor(i / columns)]!;
    return w > 0 ? u / w : 0;
  });
}
