// Which axis of a model's value counts its neurons. The rank alone does not tell: [N, C, L] of a 1-D convolution and
// [N, T, C] of a transformer are both of rank 3, and some models keep their maps as [N, H, W, C].

import type { Node, Value } from "../graph/graph.ts";
import { neuronAxis } from "../losses/selectivity.ts";
import { activationOps } from "../ops/activation.ts";
import { tableKey } from "../ops/builder.ts";
import { convolutionOps } from "../ops/convolution.ts";
import type { OpDefinition } from "../ops/define.ts";
import { elementwiseOps } from "../ops/elementwise.ts";
import { linearOps } from "../ops/linear.ts";
import { normalizationOps } from "../ops/normalization.ts";
import { poolingOps } from "../ops/pooling.ts";

const keys = (ops: readonly OpDefinition[]): string[] => ops.map((d) => tableKey(d.op, d.domain));
const second = new Set(keys([...convolutionOps, ...poolingOps]));
const last = new Set(keys(linearOps));
/** The axes of the output are those of the inputs, in meaning and order. */
const inherited = new Set([
  ...keys([...elementwiseOps, ...activationOps, ...normalizationOps]),
  ...["Concat", "Pad", "Resize", "Slice", "Split", "Upsample"],
]);

/**
 * The axis of `value` (of rank `rank`) that counts neurons, by what computed it: the second after a convolution or a
 * pool, the last after a matrix product, and from there through elementwise ops, normalisations and transposes. Where
 * nothing tells, the rank decides: the second of rank 4 and more, the last otherwise.
 */
export function neuronAxisOf(value: Value, rank: number): number {
  return toldAxis(value, rank, new Set()) ?? neuronAxis(rank);
}

function toldAxis(value: Value, rank: number, seen: Set<Value>): number | undefined {
  // A stack of our own: chains of thousands of elementwise nodes are longer than the engine's.
  const mapped: ((axis: number) => number)[] = [];
  const open: { value: Value; depth: number }[] = [{ value, depth: 0 }];
  for (let at = open.pop(); at; at = open.pop()) {
    mapped.length = at.depth;
    const node = at.value.producer;
    if (!node || seen.has(at.value)) continue;
    seen.add(at.value);
    const key = tableKey(node.op, node.domain);
    const told = second.has(key) ? 1 : last.has(key) ? rank - 1 : undefined;
    if (told !== undefined) return mapped.reduceRight((axis, map) => map(axis), told);
    const permutation = key === "Transpose" ? permutationOf(node, rank) : undefined;
    if (permutation) mapped.push((axis) => permutation.indexOf(axis));
    if (!permutation && !inherited.has(key)) continue;
    for (const x of node.inputs.toReversed()) if (x?.producer) open.push({ value: x, depth: mapped.length });
  }
  return undefined;
}

function permutationOf(node: Node, rank: number): readonly number[] | undefined {
  const perm = node.attributes.perm;
  if (perm === undefined) return Array.from({ length: rank }, (_, i) => rank - 1 - i);
  return perm.kind === "ints" && perm.value.length === rank ? perm.value : undefined;
}
