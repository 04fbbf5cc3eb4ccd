// Casts to element types that no session takes or gives. The numbers go on as floats, rounded as the runtime's own cast
// rounds them.
import { type Float8, isFloat8, type LowBits, roundedToLargest } from "../base/low-bits.ts";
import { isFloat } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import { type Builder, int, onnxTypeNumber } from "./builder.ts";

/**
 * y = the number of the type that x is cast to. Through floats of eight bits the gradient passes straight, but where x is cut
 * off at the largest: dx = dy where |x| rounds to a number of the type, else 0. Whole numbers pass none.
 */
export function castToLowBits(b: Builder, x: Value, dtype: LowBits, saturate = true): Value {
  const own = typeOf(x).dtype;
  const to = isFloat(own) ? own : "float32";
  const attributes = {
    to: int(onnxTypeNumber(dtype)),
    ...(isFloat8(dtype) && { saturate: int(saturate ? 1 : 0) }),
  };
  const y = b.cast(b.node("Cast", [x], attributes), to);
  if (isFloat(own) && isFloat8(dtype))
    b.region({
      inputs: [x],
      outputs: [y],
      grad: (dy) => [() => b.where(fits(b, x, dtype), dy(0), b.like(x, 0))],
    });
  return y;
}

function fits(b: Builder, x: Value, dtype: Float8): Value {
  return b.less(b.abs(x), b.like(x, roundedToLargest(dtype)));
}
