// Reference DFT: the sum by its definition. Source: ONNX operator specification, DFT-20.
import { sizeOf } from "../../src/base/tensor.ts";
import { axisOf, need, type Operator, type OperatorTable, zeros } from "./array.ts";

const dft: Operator = (inputs, a) => {
  const x = need(inputs, 0);
  const rank = x.dims.length;
  const axis = axisOf(inputs[2]?.data[0] ?? -2, rank);
  const [inverse, onesided] = [a.int("inverse", 0) === 1, a.int("onesided", 0) === 1];
  const given = x.dims[axis]!;
  const parts = x.dims[rank - 1]!;
  const length = inputs[1]?.data[0] ?? (inverse && onesided ? 2 * (given - 1) : given);
  const bins = onesided && !inverse ? Math.floor(length / 2) + 1 : length;
  const out = inverse && onesided ? 1 : 2;
  const outer = sizeOf(x.dims.slice(0, axis));
  const inner = sizeOf(x.dims.slice(axis + 1, -1));
  const y = zeros(x.dtype, [...x.dims.slice(0, -1).with(axis, bins), out]);
  const at = (o: number, n: number, i: number, part: number): number =>
    n < given && part < parts ? x.data[((o * given + n) * inner + i) * parts + part]! : 0;
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      // Element n of the signal as it is transformed: a half spectrum is followed by its mirror image.
      const signal = Array.from({ length }, (_, n): [number, number] => {
        const mirrored = inverse && onesided && n > length - n;
        const from = mirrored ? length - n : n;
        return [at(o, from, i, 0), mirrored ? -at(o, from, i, 1) : at(o, from, i, 1)];
      });
      for (let k = 0; k < bins; k++) {
        let [real, imaginary] = [0, 0];
        signal.forEach(([re, im], n) => {
          const angle = ((inverse ? 2 : -2) * Math.PI * n * k) / length;
          real += re * Math.cos(angle) - im * Math.sin(angle);
          imaginary += re * Math.sin(angle) + im * Math.cos(angle);
        });
        const place = ((o * bins + k) * inner + i) * out;
        y.data[place] = inverse ? real / length : real;
        if (out === 2) y.data[place + 1] = inverse ? imaginary / length : imaginary;
      }
    }
  return y;
};

export const fourier: OperatorTable = { DFT: dft };
