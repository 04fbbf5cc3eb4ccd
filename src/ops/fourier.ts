// Fourier transforms: DFT and STFT. The forward pass is the runtime's own DFT; the gradient of a transform is its transpose, as
// a product with a matrix up to a length of 1,024 (faster than the runtime's DFT, and more exact where the length is no power of
// two), as another DFT beyond. Source: ONNX operator specification, DFT-20 and STFT-17.
import { DistillError } from "../base/errors.ts";
import { formatShape, type NumericDType, tensor } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { type Builder, int } from "./builder.ts";
import { defineOp, type EmitContext, oneOutput, zero } from "./define.ts";
import { axisOf } from "./infer.ts";

/** Longest transform whose matrix is held. */
const longestMatrix = 1024;

interface Transform {
  /** Elements of the axis before it is cut or filled up with zeros to `length`. */
  readonly given: number;
  readonly length: number;
  /** Numbers of an element: 2 where it is complex. */
  readonly parts: number;
  readonly inverse: boolean;
  readonly onesided: boolean;
}

const half = (length: number): number => Math.floor(length / 2) + 1;
const isReal = ({ inverse, onesided }: Transform): boolean => inverse && onesided;
const binsOf = (t: Transform): number => (t.onesided && !t.inverse ? half(t.length) : t.length);

/** In how many places of the whole spectrum bin k of a half one stands; 0 for one that is cut off. */
function occurrences(k: number, length: number): number {
  if (k >= half(length)) return 0;
  return k === 0 || 2 * k === length ? 1 : 2;
}

/** Row [n, part], column [k, part]: what part of element n adds to part of bin k. */
function matrixOf(t: Transform): Float64Array {
  const { given, length, parts, inverse } = t;
  const [bins, out] = [binsOf(t), isReal(t) ? 1 : 2];
  const matrix = new Float64Array(given * parts * bins * out);
  const sign = inverse ? 1 : -1;
  for (let n = 0; n < Math.min(given, length); n++) {
    const weight = (isReal(t) ? occurrences(n, length) : 1) / (inverse ? length : 1);
    for (let k = 0; k < bins; k++) {
      const angle = (2 * Math.PI * ((n * k) % length)) / length;
      const [cos, sin] = [weight * Math.cos(angle), weight * sign * Math.sin(angle)];
      const at = (part: number): number => (n * parts + part) * bins * out + k * out;
      matrix[at(0)] = cos;
      if (out === 2) matrix[at(0) + 1] = sin;
      if (parts === 2) matrix[at(1)] = -sin;
      if (parts === 2 && out === 2) matrix[at(1) + 1] = cos;
    }
  }
  return matrix;
}

/** The axis of length `from` cut or filled up with zeros to `to`. */
function fitted(b: Builder, x: Value, axis: number, to: number): Value {
  const from = b.dims(x)[axis] as number;
  if (from > to) return b.slice(x, [0], [to], [axis]);
  const none = b.dims(x).map(() => 0);
  return b.pad(x, none, none.with(axis, to - from));
}

function transform(b: Builder, x: Value, axis: number, length: number, inverse: boolean): Value {
  const scalar = (v: number): Value => b.constant(tensor("int64", [v], []), "dft");
  return b.node("DFT", [x, scalar(length), scalar(axis)], {
    inverse: int(inverse ? 1 : 0),
    onesided: int(0),
  });
}

function byMatrix(b: Builder, dy: Value, axis: number, t: Transform): Value {
  const lead = b.dims(dy).filter((_, i) => i !== axis && i !== b.dims(dy).length - 1);
  const rank = b.dims(dy).length;
  const perm = [...lead.keys()].map((i) => (i < axis ? i : i + 1));
  const columns = binsOf(t) * (isReal(t) ? 1 : 2);
  const rows = b.reshape(b.transpose(dy, [...perm, axis, rank - 1]), [
    lead.reduce((p, q) => p * q, 1),
    columns,
  ]);
  const numbers = tensor(typeOf(dy).dtype as NumericDType, matrixOf(t), [t.given * t.parts, columns]);
  const dx = b.reshape(b.matmulT(rows, false, b.constant(numbers, "dft"), true), [...lead, t.given, t.parts]);
  const back = [...perm, axis, rank - 1].map((_, i, all) => all.indexOf(i));
  return b.transpose(dx, back);
}

function byTransform(b: Builder, dy: Value, axis: number, t: Transform): Value {
  const { length, inverse } = t;
  const whole = transform(b, fitted(b, dy, axis, length), axis, length, !inverse);
  const dx = fitted(b, b.scale(whole, inverse ? 1 / length : length), axis, t.given);
  const last = b.dims(dy).length - 1;
  if (!isReal(t)) return t.parts === 2 ? dx : b.slice(dx, [0], [1], [last]);
  const weights = Array.from({ length: t.given }, (_, k) => occurrences(k, length));
  const shape = b.dims(dx).map((_, i) => (i === axis ? t.given : 1));
  return b.mul(dx, b.constant(tensor(typeOf(dy).dtype as NumericDType, weights, shape), "bins"));
}

/**
 * y[k] = Σ x[n]·e^(−2πi·nk/L), the last axis of x its real and imaginary part; inverse: e^(+…) and 1/L; onesided: bins 0 … L/2,
 * or back from them.  dx = the transpose, applied to dy.
 */
const dft = defineOp({
  op: "DFT",
  versions: [17, 20],
  fixed: [1, 2],
  note: "of lengths beyond 1,024 the gradient is by the runtime's DFT: to 2e-4 where the length is no power of two, as forward; a onesided inverse of other than L/2 + 1 bins is refused where ONNX Runtime 1.30 is wrong (more; fewer, of a power of two)",
  emit: oneOutput(({ b, x, has, numbers, attr, version, where }) => {
    const dims = b.dims(x(0));
    const given = version >= 20 ? (has(2) ? (numbers(2)[0] as number) : -2) : attr.int("axis", 1);
    const axis = axisOf(given, dims.length, where);
    const parts = dims.at(-1);
    const [inverse, onesided] = [attr.int("inverse", 0), attr.int("onesided", 0)];
    const wanted = onesided === 1 ? (inverse === 1 ? 2 : 1) : parts;
    if (dims.length < 2 || axis === dims.length - 1 || (parts !== 1 && parts !== 2) || parts !== wanted)
      throw new DistillError(
        "E_SHAPE",
        `${where}: a signal ${formatShape(dims)} along axis ${axis} with inverse ${inverse}, onesided ${onesided}; its last axis must be 1 (real; onesided forward) or 2 (complex; onesided inverse), and is not transformed`,
      );
    const own = dims[axis] as number;
    const length = has(1) ? (numbers(1)[0] as number) : inverse && onesided ? 2 * (own - 1) : own;
    // What ONNX Runtime 1.30 computes wrong: more bins, and fewer by its kernel for powers of two.
    const powerOfTwo = Number.isInteger(Math.log2(length));
    if (inverse && onesided && (own > half(length) || (own < half(length) && powerOfTwo)))
      throw new DistillError(
        "E_OP",
        `${where}: the onesided inverse of length ${length} takes ${half(length)} bins, and gets ${own}; ONNX Runtime reads the wrong ones then: slice or pad the spectrum to ${half(length)} bins before`,
      );
    const scalar = (v: number): Value => b.constant(tensor("int64", [v], []), "dft");
    return b.node("DFT", [x(0), scalar(length), scalar(axis)], {
      inverse: int(inverse),
      onesided: int(onesided),
    });
  }),
  infer: (c) => {
    const [axis, length] = [c.numbers(2)[0] as number, c.numbers(1)[0] as number];
    const t: Transform = {
      given: c.dims(0)[axis] as number,
      length,
      parts: c.dims(0).at(-1) as number,
      inverse: c.attr.int("inverse", 0) === 1,
      onesided: c.attr.int("onesided", 0) === 1,
    };
    return [
      { dtype: c.type(0).dtype, dims: [...c.dims(0).slice(0, -1).with(axis, binsOf(t)), isReal(t) ? 1 : 2] },
    ];
  },
  grad: ({ b, dy, dims, numbers, attr }) => {
    const [axis, length] = [numbers(2)[0] as number, numbers(1)[0] as number];
    const t: Transform = {
      given: dims(0)[axis] as number,
      length,
      parts: dims(0).at(-1) as number,
      inverse: attr.int("inverse", 0) === 1,
      onesided: attr.int("onesided", 0) === 1,
    };
    return [
      () => (length <= longestMatrix ? byMatrix(b, dy(0), axis, t) : byTransform(b, dy(0), axis, t)),
      zero,
      zero,
    ];
  },
});

/** The length of a frame: said, or the window's, or the whole signal's. */
function frameLength({ b, x, has, numbers }: EmitContext, samples: number): number {
  if (has(3)) return numbers(3)[0] as number;
  return has(2) ? (b.dims(x(2))[0] as number) : samples;
}

/** y[f, k] = DFT of window[n]·x[f·step + n] over n. */
const stft = defineOp({
  op: "STFT",
  versions: [17],
  fixed: [1, 2, 3],
  composed: true,
  note: "the window is not trained where it is a constant; not of a complex signal with a window (undefined in ONNX Runtime 1.30)",
  emit: oneOutput((c) => {
    const { b, x, has, numbers, attr, where } = c;
    const own = b.dims(x(0));
    const dims = own.length === 2 ? [...own, 1] : own;
    const [batch, samples, parts] = dims as [number, number, number];
    const length = frameLength(c, samples);
    const step = numbers(1)[0] as number;
    const onesided = attr.int("onesided", 1);
    const frames = Math.floor((samples - length) / step) + 1;
    const window = has(2) ? x(2) : undefined;
    if (
      dims.length !== 3 ||
      !(parts === 1 || (parts === 2 && onesided === 0)) ||
      !(step > 0 && frames > 0) ||
      (window && b.dims(window)[0] !== length)
    )
      throw new DistillError(
        "E_SHAPE",
        `${where}: frames of ${length} every ${step} of a signal ${formatShape(own)}${window ? ` and a window ${formatShape(b.dims(window))}` : ""}; the signal must be [N, samples, 1], or [N, samples, 2] with onesided 0, at least a frame long, and the window as long as a frame`,
      );
    if (parts === 2 && window)
      throw new DistillError(
        "E_OP",
        `${where}: a complex signal with a window, for which ONNX Runtime's results are undefined; multiply frames by the window and take their DFT`,
      );
    const places = Array.from(
      { length: frames * length },
      (_, i) => Math.floor(i / length) * step + (i % length),
    );
    const cut = b.gather(
      b.reshape(x(0), dims),
      b.constant(tensor("int64", places, [frames, length]), "frames"),
      1,
    );
    const seen = window ? b.mul(cut, b.reshape(b.cast(window, typeOf(cut).dtype), [length, 1])) : cut;
    const scalar = (v: number): Value => b.constant(tensor("int64", [v], []), "dft");
    return b.node("DFT", [b.reshape(seen, [batch, frames, length, parts]), scalar(length), scalar(2)], {
      inverse: int(0),
      onesided: int(onesided),
    });
  }),
});

export const fourierOps = [dft, stft] as const;
