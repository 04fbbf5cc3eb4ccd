// Masks for the gradients of piecewise linear ops: letting a cotangent pass where a value is positive.
//
// Comparisons, Casts of bools and Where are slow next to float arithmetic, so the masks are made of floats alone:
// clip(1e30·x, 0, 1), one HardSigmoid, is exactly 0 for x <= 0 and exactly 1 for x >= 1e-30, and does not overflow below 3e8.
// HardSigmoid has a float32 kernel alone, so other types take comparisons. For gradient rules only: these masks must not
// be differentiated themselves.
import { typeOf, type Value } from "../graph/graph.ts";
import { type Builder, float } from "./builder.ts";

const steep = 1e30;

/** 1 where x > 0, else 0 (so 0 at 0), in x's element type. */
export function positiveMask(b: Builder, x: Value): Value {
  const { dtype } = typeOf(x);
  if (dtype !== "float32") return b.cast(b.greater(x, b.like(x, 0)), dtype);
  return b.node("HardSigmoid", [x], { alpha: float(steep), beta: float(0) });
}

/** dy where x > 0, else 0. */
export function passPositive(b: Builder, x: Value, dy: Value): Value {
  if (typeOf(x).dtype !== "float32") return b.where(b.greater(x, b.like(x, 0)), dy, b.like(dy, 0));
  return b.mul(dy, positiveMask(b, x));
}

/** −1, 0 or 1, as x's sign. */
export function signMask(b: Builder, x: Value): Value {
  if (typeOf(x).dtype !== "float32") return b.sign(x);
  return b.node("Clip", [b.scale(x, steep), b.like(x, -1), b.like(x, 1)]);
}
