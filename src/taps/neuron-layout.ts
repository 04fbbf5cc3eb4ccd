// Which axis of a model's value counts its neurons. The rank alone does not tell: [N, C, L] of a 1-D convolution and
// [N, T, C] of a transformer are both of rank 3, and some models keep their maps as [N, H, W, C].

import { neuronAxis } from "../base/layout.ts";
import type { Node, Value } from "../graph/graph.ts";
import { activationOps } from "../ops/activation.ts";
import { tableKey } from "../ops/builder.ts";
import { convolutionOps } from "../ops/convolution.ts";
import type { OpDefinition } from "../ops/define.ts";
import { elementwiseOps } from "../ops/elementwise.ts";
import { linearOps } from "../ops/linear.ts";
import { normalizationOps } from "../ops/normalization.ts";
import { fusedNormalizationOps } from "../ops/normalization-fused.ts";
import { poolingOps } from "../ops/pooling.ts";

const keys = (ops: readonly OpDefinition[]): string[] => ops.map((d) => tableKey(d.op, d.domain));
const second = new Set(keys([...convolutionOps, ...poolingOps]));
const last = new Set(keys(linearOps));
/** The axes of the output are those of the inputs, in meaning and order. */
const inherited = new Set([
  ...keys([...elementwiseOps, ...activationOps, ...normalizationOps, ...fusedNormalizationOps]),
  ...["Concat", "Pad", "Resize", "Slice", "Split", "Upsample"],
]);
const reshapes = new Set(["Flatten", "Reshape", "Squeeze", "Unsqueeze"]);

/**
 * The axis of `value` (of rank `rank`) that counts neurons, by what computed it: the second after a convolution or a
 * pool, the last after a matrix product, and from there through elementwise ops, normalisations, transposes, and (where
 * shapes are known) reshapes that leave it whole. Where nothing tells, the rank decides: the second of rank 4 and more,
 * the last otherwise.
 */
export function neuronAxisOf(value: Value, rank: number, known?: ToldAxes): number {
  return toldAxis(value, rank, known) ?? neuronAxis(rank);
}

/** Answers for one model, of values by their own rank: who asks for many need not walk the same way back each time. */
export type ToldAxes = Map<Value, number | undefined>;

/** A way back to an input, and what becomes of an axis of that input on the way to the output. */
interface Step {
  readonly rank: number;
  readonly forth: (axis: number) => number | undefined;
}

/** As `neuronAxisOf`, undefined where nothing tells. `isWeight`: of W·x, whose neurons are its rows. */
export function toldAxis(
  value: Value,
  rank: number,
  known: ToldAxes = new Map(),
  isWeight: (x: Value) => boolean = () => false,
): number | undefined {
  const axis = walkBack(value, rank, known, isWeight);
  known.set(value, axis);
  return axis;
}

function walkBack(
  value: Value,
  rank: number,
  known: ToldAxes,
  isWeight: (x: Value) => boolean,
): number | undefined {
  interface Open {
    readonly value: Value;
    readonly rank: number;
    readonly forth: (axis: number) => number | undefined;
  }
  const seen = new Set<Value>();
  // A stack of our own: chains of thousands of elementwise nodes are longer than the engine's.
  const open: Open[] = [{ value, rank, forth: (axis) => axis }];
  for (let at = open.pop(); at; at = open.pop()) {
    const { value: y, rank: own, forth } = at;
    const node = y.producer;
    if (!node || seen.has(y)) continue;
    seen.add(y);
    if (known.has(y) && y.type?.dims.length === own) {
      const before = known.get(y);
      if (before === undefined) continue;
      const axis = forth(before);
      if (axis !== undefined) return axis;
    }
    const key = tableKey(node.op, node.domain);
    const [a, c] = node.inputs;
    const rows = last.has(key) && a && c && isWeight(a) && !isWeight(c) ? 1 : 0;
    const told = second.has(key)
      ? 1
      : last.has(key) || normalizesLast(node, own)
        ? own - 1 - rows
        : undefined;
    const axis = told === undefined ? undefined : forth(told);
    if (axis !== undefined) return axis;
    if (told !== undefined) continue;
    if (inherited.has(key)) {
      for (const x of node.inputs.toReversed()) if (x?.producer) open.push({ value: x, rank: own, forth });
      continue;
    }
    const [x] = node.inputs;
    const step = x && (key === "Transpose" ? throughTranspose(node, own) : throughReshape(node, x, y));
    if (step)
      open.push({
        value: x,
        rank: step.rank,
        forth: (i) => {
          const next = step.forth(i);
          return next === undefined ? undefined : forth(next);
        },
      });
  }
  return undefined;
}

/** A LayerNormalization over the last axis alone is one over the neurons. */
function normalizesLast(node: Node, rank: number): boolean {
  if (node.domain !== "" || node.op !== "LayerNormalization") return false;
  const { axis } = node.attributes;
  return axis === undefined || (axis.kind === "int" && (axis.value === -1 || axis.value === rank - 1));
}

function throughTranspose(node: Node, rank: number): Step | undefined {
  const perm = node.attributes.perm;
  if (perm === undefined) return { rank, forth: (axis) => rank - 1 - axis };
  return perm.kind === "ints" && perm.value.length === rank
    ? { rank, forth: (axis) => perm.value.indexOf(axis) }
    : undefined;
}

/** The last axis stays the last, and the second the second, where its size is the same on both sides. */
function throughReshape(node: Node, x: Value, y: Value): Step | undefined {
  if (node.domain !== "" || !reshapes.has(node.op)) return undefined;
  const [from, to] = [x.type?.dims, y.type?.dims];
  if (!from || !to) return undefined;
  return {
    rank: from.length,
    forth: (axis) => {
      if (axis === from.length - 1 && from.at(-1) === to.at(-1)) return to.length - 1;
      return axis === 1 && from[0] === to[0] && from[1] === to[1] ? 1 : undefined;
    },
  };
}
