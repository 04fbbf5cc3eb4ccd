// What losses on yes-or-no answers share. Never by ONNX Runtime's float32 Sigmoid, which gives a rare label no gradient.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { LOG_ZERO } from "./infinite.ts";

/** log(1 + e^−|x|): what softplus adds to max(x, 0). */
export function log1pExpOfMinusAbs(b: Builder, x: Value): Value {
  return b.log(onePlusExpOfMinusAbs(b, x));
}

export const onePlusExpOfMinusAbs = (b: Builder, x: Value): Value => b.shift(b.exp(b.neg(b.abs(x))), 1);

/** log σ(x) = min(x, 0) − log(1 + e^−|x|);  dx = dy · σ(−x). */
export function logSigmoid(b: Builder, x: Value): Value {
  const y = b.sub(b.min(x, b.like(x, 0)), log1pExpOfMinusAbs(b, x));
  // Through min and |x| the slope at 0 would be one side's.
  b.region({ inputs: [x], outputs: [y], grad: (dy) => [() => b.mul(dy(0), b.sigmoid(b.neg(x)))] });
  return y;
}

/** x, where ±∞, a probability of exactly 0 or 1, is as good as infinite and no more. Without a gradient of its own. */
export function withoutInfinity(b: Builder, x: Value): Value {
  return b.node("Clip", [x, b.like(x, LOG_ZERO), b.like(x, -LOG_ZERO)]);
}
