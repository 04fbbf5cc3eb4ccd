// Trigonometric and hyperbolic functions and their inverses, in radians.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { defineOp, oneNode } from "./define.ts";
import { sameAsFirst } from "./infer.ts";

/** y = f(x);  dx = dy · slope, the slope written with x and y. */
const smooth = <const Op extends string>(
  op: Op,
  versions: readonly number[],
  dx: (b: Builder, dy: Value, x: Value, y: Value) => Value,
) =>
  defineOp({
    op,
    versions,
    emit: oneNode,
    infer: sameAsFirst,
    grad: ({ b, x, y, dy }) => [() => dx(b, dy(0), x(0), y(0))],
  });

/** 1 + sign·x². */
const onePlus = (b: Builder, x: Value, sign: 1 | -1): Value =>
  sign === 1 ? b.shift(b.square(x), 1) : b.sub(b.like(x, 1), b.square(x));

export const trigonometricOps = [
  /** dx = dy · cos x. */
  smooth("Sin", [7, 22], (b, dy, x) => b.mul(dy, b.node("Cos", [x]))),
  /** dx = −dy · sin x. */
  smooth("Cos", [7, 22], (b, dy, x) => b.neg(b.mul(dy, b.node("Sin", [x])))),
  /** dx = dy · (1 + y²). */
  smooth("Tan", [7, 22], (b, dy, _, y) => b.mul(dy, onePlus(b, y, 1))),
  /** dx = dy / √(1 − x²), for |x| < 1. */
  smooth("Asin", [7, 22], (b, dy, x) => b.div(dy, b.sqrt(onePlus(b, x, -1)))),
  /** dx = −dy / √(1 − x²), for |x| < 1. */
  smooth("Acos", [7, 22], (b, dy, x) => b.neg(b.div(dy, b.sqrt(onePlus(b, x, -1))))),
  /** dx = dy / (1 + x²). */
  smooth("Atan", [7, 22], (b, dy, x) => b.div(dy, onePlus(b, x, 1))),
  /** dx = dy · cosh x. */
  smooth("Sinh", [9, 22], (b, dy, x) => b.mul(dy, b.node("Cosh", [x]))),
  /** dx = dy · sinh x. */
  smooth("Cosh", [9, 22], (b, dy, x) => b.mul(dy, b.node("Sinh", [x]))),
  /** dx = dy / √(x² + 1). */
  smooth("Asinh", [9, 22], (b, dy, x) => b.div(dy, b.sqrt(onePlus(b, x, 1)))),
  /** dx = dy / √(x² − 1), for x > 1. */
  smooth("Acosh", [9, 22], (b, dy, x) => b.div(dy, b.sqrt(b.shift(b.square(x), -1)))),
  /** dx = dy / (1 − x²), for |x| < 1. */
  smooth("Atanh", [9, 22], (b, dy, x) => b.div(dy, onePlus(b, x, -1))),
] as const;
