// Attention in all its forms, masks that hide everything included; rotary embeddings.
import { type Tensor, tensor } from "../../../src/base/tensor.ts";
import { type Attributes, float, int, ints } from "../../../src/graph/graph.ts";
import { type CaseInput, fed, type Generator, known } from "../case.ts";
import { type Draw, highest } from "../draw.ts";

const plain = (d: Draw, dims: readonly number[]): Tensor => d.floats(dims, { edges: "none" });

/** Rows of a mask [.., S, T]: open, with places hidden, or hidden altogether. */
function mask(d: Draw, dims: readonly number[]): Tensor {
  const columns = dims.at(-1) as number;
  const rows = dims.slice(0, -1).reduce((p, n) => p * n, 1);
  const hidden = d.pick([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, -highest, -10000, -1e9]);
  const asBools = d.chance(0.4);
  const values = Array.from({ length: rows }, () => {
    const kind = d.pick(["open", "some", "some", "all"]);
    return Array.from({ length: columns }, () => {
      const hide = kind === "all" || (kind === "some" && d.chance(0.4));
      if (asBools) return hide ? 0 : 1;
      return hide ? hidden : d.chance(0.5) ? 0 : d.float(-1, 1);
    });
  }).flat();
  return tensor(asBools ? "bool" : "float32", values, dims);
}

/** Where a query may look at nothing, scores and biases are added to −10,000, beside which a float32 keeps three digits of them. */
const besideMask = 5e-3;

const rotaryCache = (d: Draw, dims: readonly number[]): CaseInput =>
  fed(d.floats(dims, { edges: "none", low: -1, high: 1 }));

export const attention = {
  Attention: ({ d }) => {
    const [batch, groups, width, values] = [d.length({ most: 2 }), d.int(1, 2), d.int(1, 4), d.int(1, 4)];
    const heads = groups * d.int(1, 2);
    const [queries, keys] = [d.length(), d.length()];
    const flat = d.chance(0.4);
    const past = d.chance(0.2) ? d.int(1, 3) : 0;
    const total = keys + past;
    const part = (n: number, length: number, h: number): CaseInput =>
      fed(plain(d, flat ? [batch, length, n * h] : [batch, n, length, h]));
    const inputs: (CaseInput | undefined)[] = [
      part(heads, queries, width),
      part(groups, keys, width),
      part(groups, keys, values),
    ];
    const shape = d.pick([
      [queries, total],
      [batch, heads, queries, total],
      [1, 1, queries, total],
      [batch, 1, queries, total],
    ]);
    const masked = d.chance(0.6);
    if (masked || past > 0) {
      const m = mask(d, shape);
      inputs.push(masked ? (d.chance(0.3) ? known(m) : fed(m)) : undefined);
    }
    if (past > 0)
      inputs.push(fed(plain(d, [batch, groups, past, width])), fed(plain(d, [batch, groups, past, values])));
    const stage = d.chance(0.3);
    return {
      inputs,
      attributes: {
        ...(flat && { q_num_heads: int(heads), kv_num_heads: int(groups) }),
        ...(d.chance(0.3) && { is_causal: int(1) }),
        ...(d.chance(0.4) && { scale: float(d.pick([0.5, 1, 2])) }),
        ...(d.chance(0.3) && { softcap: float(d.pick([0.5, 3])) }),
        ...(stage && { qk_matmul_output_mode: int(d.int(0, 3)) }),
      },
      // Presents are outputs where there is a past.
      outputs: stage ? 4 : past > 0 ? 3 : 1,
      tolerance: 1e-5,
    };
  },
  "com.microsoft::Attention": ({ d }) => {
    const [batch, length, width, heads, own] = [
      d.length({ most: 3 }),
      d.length(),
      d.int(1, 5),
      d.int(1, 3),
      d.int(1, 3),
    ];
    const inner = heads * own;
    const kinds: Readonly<Record<string, () => Tensor>> = {
      lengths: () => d.ints([batch], 0, length, "int32"),
      rows: () => d.ints([batch, length], 0, 1, "int32"),
      full: () => d.ints([batch, length, length], 0, 1, "int32"),
    };
    const kind = d.pick(["none", "lengths", "rows", "full"]);
    const bias = d.chance(0.3) ? fed(plain(d, [batch, heads, length, length])) : undefined;
    return {
      inputs: [
        fed(plain(d, [batch, length, width])),
        fed(plain(d, [width, 3 * inner])),
        fed(plain(d, [3 * inner])),
        ...(kind === "none" && !bias ? [] : [kinds[kind] ? fed((kinds[kind] as () => Tensor)()) : undefined]),
        ...(bias ? [undefined, bias] : []),
      ],
      attributes: {
        num_heads: int(heads),
        ...(d.chance(0.3) && { unidirectional: int(1) }),
        ...(d.chance(0.3) && { scale: float(0.5) }),
        ...(d.chance(0.3) && { qkv_hidden_sizes: ints([inner, inner, inner]) }),
        ...(d.chance(0.3) && { mask_filter_value: float(d.pick([-10000, -1e9, -highest])) }),
      } satisfies Attributes,
      tolerance: bias ? besideMask : 1e-5,
    };
  },
  "com.microsoft::MultiHeadAttention": ({ d }) => {
    const [batch, queries, keys, heads] = [d.length({ most: 3 }), d.length(), d.length(), d.int(1, 3)];
    const asHeads = d.chance(0.3);
    const own = d.int(1, 3);
    const values = asHeads ? own : d.int(1, 3);
    const kv = (h: number) => fed(plain(d, asHeads ? [batch, heads, keys, h] : [batch, keys, heads * h]));
    const kind = d.pick(["none", "none", "rows", "lengths"]);
    const m =
      kind === "none"
        ? undefined
        : fed(kind === "rows" ? d.ints([batch, keys], 0, 1, "int32") : d.ints([batch], 0, keys, "int32"));
    const projectionBias =
      !asHeads && d.chance(0.4) ? fed(plain(d, [heads * (2 * own + values)])) : undefined;
    const bias = d.chance(0.3) ? fed(plain(d, [d.pick([1, batch]), heads, queries, keys])) : undefined;
    return {
      inputs: [fed(plain(d, [batch, queries, heads * own])), kv(own), kv(values), projectionBias, m, bias],
      attributes: {
        num_heads: int(heads),
        ...(d.chance(0.3) && { unidirectional: int(1) }),
        ...(d.chance(0.3) && { scale: float(0.5) }),
        ...(d.chance(0.3) && { mask_filter_value: float(d.pick([-10000, -1e9])) }),
      },
      tolerance: bias ? besideMask : 1e-5,
    };
  },
  RotaryEmbedding: ({ d }) => {
    const [batch, heads, length, half] = [d.length({ most: 2 }), d.int(1, 3), d.length(), d.int(1, 3)];
    const rest = d.chance(0.3) ? 2 : 0;
    const width = 2 * half + rest;
    const flat = d.chance(0.5);
    const x = fed(plain(d, flat ? [batch, length, heads * width] : [batch, heads, length, width]));
    const positions = d.chance(0.5);
    const cache = positions ? [length + 2, half] : [batch, length, half];
    return {
      inputs: [
        x,
        rotaryCache(d, cache),
        rotaryCache(d, cache),
        ...(positions ? [fed(d.ints([batch, length], 0, length + 1))] : []),
      ],
      attributes: {
        ...(flat && { num_heads: int(heads) }),
        ...(rest > 0 && { rotary_embedding_dim: int(2 * half) }),
        ...(d.chance(0.5) && { interleaved: int(d.int(0, 1)) }),
      },
    };
  },
  "com.microsoft::RotaryEmbedding": ({ d }) => {
    const [batch, heads, length, half] = [d.length({ most: 2 }), d.int(1, 3), d.length(), d.int(1, 3)];
    const flat = d.chance(0.5);
    const x = fed(plain(d, flat ? [batch, length, heads * 2 * half] : [batch, heads, length, 2 * half]));
    const positions = d.chance(0.5) ? d.ints([batch, length], 0, length + 1) : d.ints([1], 0, 2);
    return {
      inputs: [x, fed(positions), rotaryCache(d, [length + 2, half]), rotaryCache(d, [length + 2, half])],
      attributes: d.chance(0.5) ? { interleaved: int(d.int(0, 1)) } : {},
    };
  },
} satisfies Record<string, Generator>;
