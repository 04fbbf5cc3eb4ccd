// Arithmetic and functions of one element: Add … Erf, rounding, casts, Clip, Dropout, Identity. Comparisons and what
// depends on them (Where, Min, Max) are in elementwise-logic.ts, sines and their kin in elementwise-trigonometric.ts. Conventions at kinks are PyTorch's.
import { DistillError } from "../base/errors.ts";
import { isLowBits } from "../base/low-bits.ts";
import { isFloat } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { type Builder, dtypeFromOnnx, dtypeNumbered } from "./builder.ts";
import {
  defineOp,
  type EmitRule,
  type GradEntry,
  notDifferentiable,
  oneNode,
  oneOutput,
  zero,
} from "./define.ts";
import { logicOps } from "./elementwise-logic.ts";
import { trigonometricOps } from "./elementwise-trigonometric.ts";
import { signMask } from "./gate.ts";
import { broadcastDims, broadcasting, sameAsFirst } from "./infer.ts";
import { castToLowBits } from "./low-bit-cast.ts";

/** y = a + c;  da = dy, dc = dy. */
const add = defineOp({
  op: "Add",
  versions: [7, 13, 14],
  undecayed: "vectors",
  emit: ({ b, x }) => [b.add(x(0), x(1))],
  infer: broadcasting,
  grad: ({ dy }) => [() => dy(0), () => dy(0)],
});

/** y = a − c;  da = dy, dc = −dy. */
const sub = defineOp({
  op: "Sub",
  versions: [7, 13, 14],
  undecayed: "vectors",
  emit: ({ b, x }) => [b.sub(x(0), x(1))],
  infer: broadcasting,
  grad: ({ b, dy }) => [() => dy(0), () => b.neg(dy(0))],
});

/** y = a·c;  da = dy·c, dc = dy·a. */
const mul = defineOp({
  op: "Mul",
  versions: [7, 13, 14],
  undecayed: "vectors",
  emit: ({ b, x }) => [b.mul(x(0), x(1))],
  infer: broadcasting,
  grad: ({ b, x, dy }) => [() => b.mul(dy(0), x(1)), () => b.mul(dy(0), x(0))],
});

/** y = a/c;  da = dy/c, dc = −dy/c·y. */
const div = defineOp({
  op: "Div",
  versions: [7, 13, 14],
  undecayed: "vectors",
  emit: ({ b, x }) => [b.div(x(0), x(1))],
  infer: broadcasting,
  grad: ({ b, x, y, dy }) => [() => b.div(dy(0), x(1)), () => b.neg(b.mul(b.div(dy(0), x(1)), y(0)))],
});

/** y = −x;  dx = −dy. */
const neg = defineOp({
  op: "Neg",
  versions: [6, 13],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, dy }) => [() => b.neg(dy(0))],
});

/** y = |x|;  dx = dy · sign(x), 0 at 0. */
const abs = defineOp({
  op: "Abs",
  versions: [6, 13],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, x, dy }) => [() => b.mul(dy(0), signMask(b, x(0)))],
});

/** y = √x;  dx = dy / 2y. */
const sqrt = defineOp({
  op: "Sqrt",
  versions: [6, 13],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, y, dy }) => [() => b.div(dy(0), b.scale(y(0), 2))],
});

/** y = eˣ;  dx = dy · y. */
const exp = defineOp({
  op: "Exp",
  versions: [6, 13],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, y, dy }) => [() => b.mul(dy(0), y(0))],
});

/** y = log x;  dx = dy / x. */
const log = defineOp({
  op: "Log",
  versions: [6, 13],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, x, dy }) => [() => b.div(dy(0), x(0))],
});

/** y = 1/x;  dx = −dy · y². */
const reciprocal = defineOp({
  op: "Reciprocal",
  versions: [6, 13],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, y, dy }) => [() => b.neg(b.mul(dy(0), b.square(y(0))))],
});

/** y = erf(x);  dx = dy · 2/√π · exp(−x²). */
const erf = defineOp({
  op: "Erf",
  versions: [9, 13],
  emit: oneNode,
  infer: sameAsFirst,
  grad: ({ b, x, dy }) => [() => b.mul(dy(0), b.scale(b.exp(b.neg(b.square(x(0)))), 2 / Math.sqrt(Math.PI)))],
});

/**
 * y = xᵖ, of x's element type;  dx = dy · p · xᵖ⁻¹ (0 where p = 0),  dp = dy · y · log x (0 where x = 0 and p >= 0).
 * A constant p of one element takes the cheap form of its value. ONNX Pow: p may be of another type than x.
 */
const pow = defineOp({
  op: "Pow",
  versions: [7, 12, 13, 15],
  emit: ({ b, x }) => {
    const p = onlyNumber(b, x(1));
    const fits = b.dims(x(1)).length <= b.dims(x(0)).length;
    if (fits && p === 1) return [x(0)];
    // Some runtimes take a power as exp(p·log x), which is NaN for x < 0.
    if (fits && p === 2) return [b.square(x(0))];
    return [b.pow(x(0), x(1))];
  },
  infer: (c) => [{ dtype: c.type(0).dtype, dims: broadcastDims(c) }],
  grad: ({ b, x, y, dy }) => [
    powBase(b, x(0), x(1), y(0), () => dy(0)),
    isFloat(x(1).type?.dtype ?? "int64")
      ? () => {
          const base = b.cast(x(0), x(1).type?.dtype ?? "float32");
          const nought = b.like(base, 0);
          const flat = b.and(b.equal(base, nought), b.greaterOrEqual(x(1), b.like(x(1), 0)));
          const power = b.cast(y(0), x(1).type?.dtype ?? "float32");
          return b.mul(dy(0), b.where(flat, nought, b.mul(power, b.log(base))));
        }
      : zero,
  ],
});

function powBase(b: Builder, x: Value, p: Value, y: Value, dy: () => Value): GradEntry {
  const k = onlyNumber(b, p);
  if (k === 0) return zero;
  if (k === 1) return () => dy();
  if (k === 2) return () => b.mul(dy(), b.scale(x, 2));
  if (k === 3) return () => b.mul(dy(), b.scale(b.square(x), 3));
  if (k === 0.5) return () => b.div(dy(), b.scale(y, 2));
  if (k === -1) return () => b.neg(b.mul(dy(), b.square(y)));
  if (k !== undefined) return () => b.mul(dy(), b.scale(b.pow(x, b.like(x, k - 1)), k));
  return () => {
    const q = b.cast(p, x.type?.dtype ?? "float32");
    const slope = b.mul(q, b.pow(x, b.sub(q, b.like(q, 1))));
    // 0 · ∞ at x = 0 and p = 0.
    return b.mul(dy(), b.where(b.equal(q, b.like(q, 0)), b.like(x, 0), slope));
  };
}

/** The number that a constant of one element holds. */
function onlyNumber(b: Builder, v: Value): number | undefined {
  const c = b.constantOf(v);
  return c?.data.length === 1 ? Number(c.data[0]) : undefined;
}

/** Piecewise constant: the gradient is zero wherever it exists. */
const step = <const Op extends string>(op: Op, versions: readonly number[]) =>
  defineOp({ op, versions, emit: oneNode, infer: sameAsFirst, grad: zero });

/** y = a mod c: the sign of c, or with fmod=1 that of a;  da = dy. The divisor has no gradient here. */
const mod = defineOp({
  op: "Mod",
  versions: [10, 13, 28],
  note: "no gradient for the divisor",
  emit: oneNode,
  infer: broadcasting,
  grad: ({ dy }) => [() => dy(0), notDifferentiable],
});

/** y = x as another element type;  dx = dy cast back between floats, else zero: integers and bools carry no gradient. */
const cast = defineOp({
  op: "Cast",
  versions: [6, 9, 13, 19, 21, 23, 24, 25, 28],
  makes: ({ attributes: { to } }) => (to?.kind === "int" ? dtypeNumbered(to.value) : undefined),
  note: "to a float of 8 bits: straight through within its range",
  emit: oneOutput(({ b, x, attr, where }) => {
    const to = dtypeFromOnnx(attr.int("to"), where);
    const saturate = attr.int("saturate", 1) !== 0;
    return isLowBits(to) ? castToLowBits(b, x(0), to, saturate) : b.cast(x(0), to);
  }),
  infer: (c) => [{ dtype: dtypeFromOnnx(c.attr.int("to"), c.where), dims: c.dims(0) }],
  grad: ({ b, x, y, dy }) => {
    const from = x(0).type?.dtype ?? "int64";
    if (!isFloat(from) || !isFloat(y(0).type?.dtype ?? "int64")) return [zero];
    return [() => b.cast(dy(0), from)];
  },
});

/** Cast of the first input to the element type of the second. */
const castLike = defineOp({
  op: "CastLike",
  versions: [15, 19, 21, 23, 24, 25],
  composed: true,
  makes: ({ inputs: [, like] }, dtypeOf) => like && dtypeOf(like),
  emit: oneOutput(({ b, node, x, attr }) => {
    const to = node.inputs[1]?.type?.dtype ?? typeOf(x(1)).dtype;
    return isLowBits(to) ? castToLowBits(b, x(0), to, attr.int("saturate", 1) !== 0) : b.cast(x(0), to);
  }),
});

/**
 * y = min(max(x, low), high);  dx = dy where low < x < high, else 0. At a bound itself it is 0, as Relu's at 0, for most Clips
 * are a Relu6, and whole maps of exact zeros are common in networks that were not trained yet.
 * Opset 6 gives the bounds as attributes, opset 11 as inputs; no gradient flows to them.
 */
const clip = defineOp({
  op: "Clip",
  fixed: [1, 2],
  versions: [6, 11, 12, 13],
  emit: ({ b, x, has, attr, version }) => {
    const bound = (name: string, i: number): Value | undefined => {
      if (version >= 11) return has(i) ? x(i) : undefined;
      return attr.has(name) ? b.like(x(0), attr.float(name)) : undefined;
    };
    const [low, high] = [bound("min", 1), bound("max", 2)];
    // Also without bounds: then the largest numbers are, and an infinity does not pass.
    return [b.node("Clip", [x(0), low, high])];
  },
  infer: sameAsFirst,
  grad: ({ b, x, has, dy }) => [
    () => {
      const above = has(1) ? b.greater(x(0), x(1)) : undefined;
      const below = has(2) ? b.less(x(0), x(2)) : undefined;
      const within = above && below ? b.and(above, below) : (above ?? below);
      return within ? b.where(within, dy(0), b.like(dy(0), 0)) : dy(0);
    },
    notDifferentiable,
    notDifferentiable,
  ],
});

/** y = x. A user's Identity makes no node; the builder's stopGradient does, and gives it a gradient of its own. */
const identity = defineOp({
  op: "Identity",
  versions: [1, 13, 14, 16, 19, 21, 23, 24, 25],
  emit: ({ x }) => [x(0)],
  infer: sameAsFirst,
  grad: ({ dy }) => [() => dy(0)],
});

/**
 * y = x · mask, where the compiler gives a mask of 0 and 1/(1 − ratio); otherwise y = x. The second output is true where x
 * was kept (1 before opset 10). Opset 12 moved `ratio` (default 0.5) from an attribute to an input; its training_mode is ours to decide.
 */
const dropout = defineOp({
  op: "Dropout",
  versions: [7, 10, 12, 13, 22],
  random: true,
  fixed: [1],
  composed: true,
  emit: ({ b, x, has, numbers, attr, version, node, hooks, where }) => {
    const given = version >= 12 ? (has(1) ? numbers(1)[0] : undefined) : attr.float("ratio", 0.5);
    const ratio = given ?? 0.5;
    if (!(ratio >= 0 && ratio < 1))
      throw new DistillError("E_MODEL", `${where}: ratio is ${ratio}; it must be in [0, 1)`);
    const type = { dtype: x(0).type?.dtype ?? ("float32" as const), dims: b.dims(x(0)) };
    const mask = ratio === 0 ? undefined : hooks.dropoutMask(node.name, type, ratio);
    const y = mask ? b.mul(x(0), mask) : x(0);
    if (!node.outputs[1]) return [y];
    // Without training ONNX Runtime says "nothing kept" before opset 12, and "all" since.
    const all = { dtype: "bool", dims: type.dims } as const;
    const kept = mask ? b.greater(mask, b.like(mask, 0)) : b.full(all, version >= 12 ? 1 : 0);
    return [y, version >= 10 ? kept : b.cast(kept, type.dtype)];
  },
});

/** Folds a node of any number of inputs to binary ones. */
const folded =
  (two: (b: Builder, a: Value, c: Value) => Value): EmitRule =>
  ({ b, x, count }) => [Array.from({ length: count }, (_, i) => x(i)).reduce((a, c) => two(b, a, c))];

/** y = x₀ + x₁ + …, as Adds. */
const sum = defineOp({
  op: "Sum",
  versions: [6, 8, 13],
  composed: true,
  emit: folded((b, a, c) => b.add(a, c)),
});

/** y = (x₀ + x₁ + …) / count. */
const mean = defineOp({
  op: "Mean",
  versions: [6, 8, 13],
  composed: true,
  emit: (c) => [c.b.scale(folded((b, p, q) => b.add(p, q))(c)[0] as Value, 1 / c.count)],
});

export const elementwiseOps = [
  add,
  sub,
  mul,
  div,
  neg,
  abs,
  sqrt,
  exp,
  log,
  reciprocal,
  erf,
  pow,
  step("Floor", [6, 13]),
  step("Ceil", [6, 13]),
  step("Round", [11, 22]),
  step("Sign", [9, 13]),
  mod,
  cast,
  castLike,
  clip,
  identity,
  dropout,
  sum,
  mean,
  ...logicOps,
  ...trigonometricOps,
] as const;
