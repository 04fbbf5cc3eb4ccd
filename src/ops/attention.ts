// Attention as compositions: ai.onnx Attention, and the fused forms that ONNX Runtime's optimizer leaves (com.microsoft
// Attention and MultiHeadAttention). The gradient is that of the products and the softmax made.
// Sources: ONNX operator specification, Attention-23 to 25; ONNX Runtime's contrib operators. Vaswani et al. 2017.
import { DistillError } from "../base/errors.ts";
import { formatShape, sizeOf, type Tensor, tensor, toNumbers } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { defineOp, type EmitContext } from "./define.ts";

/**
 * The score of a place that must not be looked at, in ONNX Runtime too: the lowest float32. Beside other scores its exponential
 * is 0; where a query may look at nothing, com.microsoft's ops look at all places alike, and ai.onnx Attention gives 0.
 */
const never = -(2 - 2 ** -23) * 2 ** 127;

/** Queries [B, N, S, H], keys [B, M, T, H], values [B, M, T, V]; M divides N, and each key head serves N/M query heads. */
interface Heads {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
}

/** left · right over batches [B, M] that the heads of `left` [B, N, S, K] share in groups: [B, N, S, columns]. */
function grouped(b: Builder, left: Value, right: Value, transRight: boolean): Value {
  const [batch, heads, rows, inner] = b.dims(left) as [number, number, number, number];
  const groups = b.dims(right)[1] as number;
  const stacked = b.reshape(left, [batch, groups, (heads / groups) * rows, inner]);
  const y = b.matmulT(stacked, false, right, transRight);
  return b.reshape(y, [batch, heads, rows, b.dims(y)[3] as number]);
}

/** scale · q·kᵀ: [B, N, S, T]. */
function scoresOf(b: Builder, { q, k }: Heads, scale: number): Value {
  return grouped(b, b.scale(q, scale), k, true);
}

/** [B, S, N·H] -> [B, N, S, H]. */
function splitHeads(b: Builder, x: Value, heads: number): Value {
  const [batch, length, width] = b.dims(x) as [number, number, number];
  return b.transpose(b.reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, N, S, H] -> [B, S, N·H]. */
function joinHeads(b: Builder, x: Value): Value {
  const [batch, heads, length, width] = b.dims(x) as [number, number, number, number];
  return b.reshape(b.transpose(x, [0, 2, 1, 3]), [batch, length, heads * width]);
}

/** A fixed pattern [S, T], and whether a row of it is empty; undefined where all is allowed. */
function placesOf(
  rows: number,
  columns: number,
  allowed: (query: number, key: number) => boolean,
): { places: Tensor; closes: boolean } | undefined {
  const open = Array.from({ length: rows }, (_, i) =>
    Array.from({ length: columns }, (_, j) => allowed(i, j)),
  );
  if (open.flat().every(Boolean)) return undefined;
  const places = tensor("bool", open.flat().map(Number), [rows, columns]);
  return { places, closes: open.some((row) => !row.includes(true)) };
}

/** position < limit, for positions 0 … T−1 and limits [B]: bool [B, 1, 1, T]. */
function below(b: Builder, limits: Value, count: number): Value {
  const { dtype, dims } = typeOf(limits);
  const positions = tensor(
    dtype as "int64",
    Array.from({ length: count }, (_, i) => i),
    [count],
  );
  return b.less(b.constant(positions, "positions"), b.reshape(limits, [sizeOf(dims), 1, 1, 1]));
}

function refuse(c: EmitContext, what: string): DistillError {
  return new DistillError(
    "E_OP",
    `${c.where}: ${what} is not supported; export the model without a key/value cache and without graph optimizations`,
  );
}

/**
 * y = softmax(scale·q·kᵀ + mask)·v over heads; inputs [B, N, S, H] or [B, S, N·H]. Softcap (c·tanh(s/c)) comes before the mask.
 * A query that may look at nothing gives 0.
 */
const attention = defineOp({
  op: "Attention",
  versions: [23, 24, 25],
  note: "no gradient for the mask where it is a constant",
  fixed: [3],
  composed: true,
  emit: (c) => {
    const { b, x, has, attr } = c;
    const flat = b.dims(x(0)).length === 3;
    const heads = (i: number, count: string): Value => (flat ? splitHeads(b, x(i), attr.int(count)) : x(i));
    const withPast = (past: number, now: Value): Value => (has(past) ? b.concat([x(past), now], 2) : now);
    const q = heads(0, "q_num_heads");
    const [k, v] = [withPast(4, heads(1, "kv_num_heads")), withPast(5, heads(2, "kv_num_heads"))];
    const past = has(4) ? (b.dims(x(4))[2] as number) : 0;
    const raw = scoresOf(b, { q, k, v }, attr.float("scale", 1 / Math.sqrt(b.dims(q)[3] as number)));
    const cap = attr.float("softcap", 0);
    const capped = cap > 0 ? b.scale(b.tanh(b.scale(raw, 1 / cap)), cap) : raw;
    const { allowed, added, finite, open } = readMask(c, capped, past);
    const masked = (mask: Value | undefined): Value => {
      const sum = mask ? b.add(capped, mask) : capped;
      return allowed ? b.where(allowed, sum, b.like(sum, never)) : sum;
    };
    const soft = b.softmax(masked(finite), -1);
    const weights = open ? b.where(open, soft, b.like(soft, 0)) : soft;
    const y = grouped(b, weights, v, false);
    const stages = [() => raw, () => capped, () => masked(added), () => weights];
    const stage = c.node.outputs[3] && stages[attr.int("qk_matmul_output_mode", 0)];
    return [flat ? joinHeads(b, y) : y, k, v, stage?.()];
  },
});

interface Mask {
  /** Places that may be looked at: [S, T], [B, 1, 1, T], … */
  readonly allowed: Value | undefined;
  /** What is added to scores as it was given, and without −∞. */
  readonly added: Value | undefined;
  readonly finite: Value | undefined;
  /** `allowed`, and not forbidden by what is added, where a query may be left without any place. */
  readonly open: Value | undefined;
}

/** All masks of ai.onnx Attention for scores [B, N, S, T]. A number of −∞ or the lowest float forbids, as in ONNX Runtime. */
function readMask(c: EmitContext, scores: Value, past: number): Mask {
  const { b, x, has, attr } = c;
  const [, , queries, keys] = b.dims(scores) as [number, number, number, number];
  // One query behind a past sees all keys in ONNX Runtime.
  const causal = attr.int("is_causal", 0) === 1 && !(queries === 1 && past > 0);
  const [left, right] = [attr.int("left_window_size", -1), attr.int("right_window_size", -1)];
  if (has(6) && (causal || left >= 0 || right >= 0))
    throw refuse(c, "nonpad_kv_seqlen together with is_causal or a window");
  const pattern = placesOf(queries, keys, (i, j) => {
    const ahead = j - (i + past);
    return !(causal && ahead > 0) && !(left >= 0 && -ahead > left) && !(right >= 0 && ahead > right);
  });
  const both = (p: Value | undefined, q: Value): Value => (p ? b.and(p, q) : q);
  let allowed = pattern && b.constant(pattern.places, "mask");
  if (has(6)) allowed = both(allowed, below(b, x(6), keys));
  if (!has(3))
    return {
      allowed,
      added: undefined,
      finite: undefined,
      open: has(6) || pattern?.closes ? allowed : undefined,
    };
  const mask = padColumns(b, x(3), keys);
  if (typeOf(mask).dtype === "bool") {
    allowed = both(allowed, mask);
    return { allowed, added: undefined, finite: undefined, open: allowed };
  }
  const known = b.constantOf(mask);
  if (known && toNumbers(known).every((v) => !(v <= never)))
    return { allowed, added: mask, finite: mask, open: has(6) || pattern?.closes ? allowed : undefined };
  const seen = b.not(b.lessOrEqual(mask, b.like(mask, never)));
  return {
    allowed,
    added: mask,
    finite: b.where(seen, mask, b.like(mask, never)),
    open: both(allowed, seen),
  };
}

/** A mask of fewer columns than there are keys forbids the rest. */
function padColumns(b: Builder, mask: Value, keys: number): Value {
  const dims = b.dims(mask);
  const columns = dims.at(-1) as number;
  if (columns === keys || columns === 1) return mask;
  const { dtype } = typeOf(mask);
  const rest = b.full({ dtype, dims: [...dims.slice(0, -1), keys - columns] }, dtype === "bool" ? 0 : never);
  return b.concat([mask, rest], dims.length - 1);
}

/**
 * y = softmax(scale·q·kᵀ + mask + bias)·v with one matrix for all three projections: [q, k, v] = x·weights + bias, cut by
 * `qkv_hidden_sizes` (default: thirds). x is [B, S, D].
 */
const microsoftAttention = defineOp({
  op: "Attention",
  domain: "com.microsoft",
  versions: [1],
  weights: [1, 2],
  undecayed: [2],
  composed: true,
  emit: (c) => {
    const { b, x, has, attr } = c;
    if (has(4)) throw refuse(c, "a past");
    if (attr.int("do_rotary", 0) !== 0) throw refuse(c, "do_rotary");
    const product = b.matmul(x(0), x(1));
    const all = has(2) ? b.add(product, x(2)) : product;
    const width = b.dims(all)[2] as number;
    const sizes = attr.ints("qkv_hidden_sizes", [width / 3, width / 3, width / 3]);
    const heads = attr.int("num_heads");
    const [q, k, v] = b.split(all, sizes, 2).map((part) => splitHeads(b, part, heads)) as [
      Value,
      Value,
      Value,
    ];
    const y = microsoftScores(c, { q, k, v }, has(3) ? x(3) : undefined, has(5) ? x(5) : undefined);
    return [y, c.node.outputs[1] ? presentOf(b, k, v) : undefined];
  },
});

/** [2, B, N, T, H]: keys, then values. */
function presentOf(b: Builder, k: Value, v: Value): Value {
  return b.concat(
    [k, v].map((part) => b.reshape(part, [1, ...b.dims(part)])),
    0,
  );
}

/**
 * y = softmax(scale·q·kᵀ + mask + bias)·v of projected q [B, S, N·H], k [B, T, N·H], v [B, T, N·V], or k and v as heads
 * [B, N, T, H]; a bias of the projections is added to those that are no heads yet.
 */
const multiHeadAttention = defineOp({
  op: "MultiHeadAttention",
  domain: "com.microsoft",
  versions: [1],
  weights: [3],
  undecayed: [3],
  composed: true,
  emit: (c) => {
    const { b, x, has, attr } = c;
    if (b.dims(x(0)).length !== 3 || !has(1) || !has(2)) throw refuse(c, "packed queries, keys and values");
    if (has(6) || has(7)) throw refuse(c, "a past");
    const heads = attr.int("num_heads");
    const widths = [0, 1, 2].map((i) => {
      const dims = b.dims(x(i));
      return dims.length === 4 ? heads * (dims[3] as number) : (dims[2] as number);
    });
    const biases = has(3) ? b.split(x(3), widths, 0) : undefined;
    const [q, k, v] = [0, 1, 2].map((i) => {
      if (b.dims(x(i)).length === 4) return x(i);
      const bias = biases?.[i];
      return splitHeads(b, bias ? b.add(x(i), bias) : x(i), heads);
    }) as [Value, Value, Value];
    const y = microsoftScores(c, { q, k, v }, has(4) ? x(4) : undefined, has(5) ? x(5) : undefined);
    return [y, k, v];
  },
});

/** Scores, masks as ONNX Runtime reads them (they add `mask_filter_value`, default −10,000), softmax, values: [B, S, N·V]. */
function microsoftScores(
  c: EmitContext,
  heads: Heads,
  mask: Value | undefined,
  bias: Value | undefined,
): Value {
  const { b, attr } = c;
  const scale = attr.float("scale", 0) || 1 / Math.sqrt(b.dims(heads.q)[3] as number);
  const scores = scoresOf(b, heads, scale);
  // In the runtime's order: what is rounded beside −10,000 is seen where a query may look at nothing.
  const terms = [microsoftMask(c, mask, scores), bias].filter((t) => t !== undefined);
  const added = terms.length > 0 ? terms.reduce((p, q) => b.add(p, q)) : undefined;
  const weights = b.softmax(added ? b.add(scores, added) : scores, -1);
  return joinHeads(b, grouped(b, weights, heads.v, false));
}

/** What the mask and `unidirectional` add to scores. To ONNX Runtime the last query sees all keys. */
function microsoftMask(c: EmitContext, mask: Value | undefined, scores: Value): Value | undefined {
  const { b, attr } = c;
  const [queries, keys] = b.dims(scores).slice(-2) as [number, number];
  const term = mask && maskTerm(c, mask, scores);
  const ahead =
    attr.int("unidirectional", 0) === 1
      ? placesOf(queries, keys, (i, j) => j <= i || i === queries - 1)
      : undefined;
  if (!ahead) return term;
  return b.where(b.constant(ahead.places, "mask"), term ?? b.like(scores, 0), b.like(scores, never));
}
/** What a mask adds to scores: of shape [B] lengths, [2·B] ends and starts, [B, T] or [B, S, T] 0 where hidden. */
function maskTerm(c: EmitContext, mask: Value, scores: Value): Value {
  const { b, attr } = c;
  const dims = b.dims(mask);
  const [batch, , , keys] = b.dims(scores) as [number, number, number, number];
  const seen = (): Value => {
    if (dims.length === 1 && dims[0] === batch) return below(b, mask, keys);
    if (dims.length === 1 && dims[0] === 2 * batch) {
      const [ends, starts] = b.split(mask, [batch, batch], 0) as [Value, Value];
      return b.and(below(b, ends, keys), b.not(below(b, starts, keys)));
    }
    if (dims.length === 2) return b.greater(b.reshape(mask, [batch, 1, 1, keys]), b.like(mask, 0));
    if (dims.length === 3) return b.greater(b.reshape(mask, [batch, 1, ...dims.slice(1)]), b.like(mask, 0));
    throw refuse(c, `a mask of shape ${formatShape(dims)}`);
  };
  const filter = attr.float("mask_filter_value", -10000);
  return b.where(seen(), b.like(scores, 0), b.like(scores, filter));
}

export const attentionOps = [attention, microsoftAttention, multiHeadAttention] as const;
