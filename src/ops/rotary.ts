// RotaryEmbedding of ai.onnx (opset 23) and of com.microsoft: pairs of each head's elements are turned by the angle of their
// position. Su et al. 2021. Sources: ONNX operator specification, RotaryEmbedding-23; ONNX Runtime's contrib operators.
import { DistillError } from "../base/errors.ts";
import { sizeOf, tensor } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { defineOp, type EmitContext } from "./define.ts";

/**
 * (x₁, x₂) -> (x₁·cos − x₂·sin, x₁·sin + x₂·cos) on the first `2·half` elements of each head, in halves or interleaved.
 * x is [B, N, S, H]; cos and sin are [B or 1, S, half].
 */
function rotate(b: Builder, x: Value, cos: Value, sin: Value, interleaved: boolean): Value {
  const dims = b.dims(x);
  const width = dims[3] as number;
  const half = b.dims(cos).at(-1) as number;
  const [turned, rest] = 2 * half === width ? [x, undefined] : b.split(x, [2 * half, width - 2 * half], 3);
  const pairs = interleaved
    ? b.split(b.reshape(turned as Value, [...dims.slice(0, 3), half, 2]), [1, 1], 4)
    : b.split(turned as Value, [half, half], 3);
  const [first, second] = pairs.map((p) => b.reshape(p, [...dims.slice(0, 3), half])) as [Value, Value];
  const overHeads = (v: Value): Value => {
    const [batch, length] = b.dims(v) as [number, number];
    return b.reshape(v, [batch, 1, length, half]);
  };
  const [c, s] = [overHeads(cos), overHeads(sin)];
  const real = b.sub(b.mul(first, c), b.mul(second, s));
  const imaginary = b.add(b.mul(first, s), b.mul(second, c));
  const column = (v: Value): Value => b.reshape(v, [...dims.slice(0, 3), half, 1]);
  const joined = interleaved
    ? b.reshape(b.concat([column(real), column(imaginary)], 4), [...dims.slice(0, 3), 2 * half])
    : b.concat([real, imaginary], 3);
  return rest ? b.concat([joined, rest], 3) : joined;
}

/** Applies `turn` to x as [B, N, S, H], whether it came so or as [B, S, N·H]. */
function onHeads(c: EmitContext, heads: (width: number) => number, turn: (x: Value) => Value): Value {
  const { b, x } = c;
  const dims = b.dims(x(0));
  if (dims.length === 4) return turn(x(0));
  const [batch, length, width] = dims as [number, number, number];
  const count = heads(width);
  if (!Number.isInteger(width / count) || count < 1)
    throw new DistillError(
      "E_SHAPE",
      `${c.where}: ${width} elements do not divide into ${count} heads; set its attribute num_heads`,
    );
  const apart = b.transpose(b.reshape(x(0), [batch, length, count, width / count]), [0, 2, 1, 3]);
  return b.reshape(b.transpose(turn(apart), [0, 2, 1, 3]), dims);
}

/** The caches' rows at the positions [B, S]: [B, S, half]. */
const rows = (b: Builder, cache: Value, positions: Value): Value => b.gather(cache, positions, 0);

const rotaryEmbedding = defineOp({
  op: "RotaryEmbedding",
  versions: [23],
  fixed: [1, 2],
  composed: true,
  emit: (c) => {
    const { b, x, has, attr } = c;
    const at = (cache: Value): Value => (has(3) ? rows(b, cache, x(3)) : cache);
    const turn = (v: Value): Value => rotate(b, v, at(x(1)), at(x(2)), attr.int("interleaved", 0) === 1);
    return [onHeads(c, () => attr.int("num_heads"), turn)];
  },
});

/** Positions are given for each element [B, S], or as one offset [1]. ONNX Runtime reads no `scale` here, so nor do we. */
const microsoftRotaryEmbedding = defineOp({
  op: "RotaryEmbedding",
  domain: "com.microsoft",
  versions: [1],
  fixed: [2, 3],
  composed: true,
  emit: (c) => {
    const { b, x, attr } = c;
    const dims = b.dims(x(0));
    const length = (dims.length === 4 ? dims[2] : dims[1]) as number;
    if (attr.int("is_packed_batching", 0) !== 0)
      throw new DistillError("E_OP", `${c.where}: is_packed_batching is not supported; export without it`);
    const given = x(1);
    const { dtype } = typeOf(given);
    const count = Array.from({ length }, (_, i) => i);
    const positions =
      sizeOf(b.dims(given)) === 1
        ? b.add(
            b.constant(tensor(dtype as "int64", count, [1, length]), "positions"),
            b.reshape(given, [1, 1]),
          )
        : given;
    const half = b.dims(x(2))[1] as number;
    const heads = (width: number): number => attr.int("num_heads", 0) || width / (2 * half);
    const turn = (v: Value): Value =>
      rotate(b, v, rows(b, x(2), positions), rows(b, x(3), positions), attr.int("interleaved", 0) === 1);
    return [onHeads(c, heads, turn)];
  },
});

export const rotaryOps = [rotaryEmbedding, microsoftRotaryEmbedding] as const;
