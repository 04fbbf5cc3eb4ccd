// emitOp for inputs of which some are known before training: plain tensors become constants.
import type { Tensor } from "../../src/base/tensor.ts";
import type { Attributes, Value } from "../../src/graph/graph.ts";
import type { Builder } from "../../src/ops/builder.ts";
import { type EmitOptions, emitOp } from "./emit-op.ts";

/** All outputs of the node. */
export function emitAll(
  b: Builder,
  op: string,
  inputs: readonly (Value | Tensor | undefined)[],
  attributes: Attributes = {},
  options: EmitOptions = {},
): Value[] {
  const values = inputs.map((x) => (x && "data" in x ? b.constant(x) : x));
  return emitOp(b, op, values, attributes, options) as Value[];
}

/** The first output of the node. */
export function emit(...args: Parameters<typeof emitAll>): Value {
  return emitAll(...args)[0] as Value;
}

/** An int64 vector; numbers beyond its range become its ends, as exporters write "to the end". */
export function i64(...values: number[]): Tensor {
  return {
    dtype: "int64",
    dims: [values.length],
    data: BigInt64Array.from(values, (v) => BigInt.asIntN(64, v >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(v))),
  };
}
