// Matrix products: plain, fused, and by labels.
import { type Attributes, float, int, string } from "../../../src/graph/graph.ts";
import { fed, type Generator } from "../case.ts";
import type { Draw } from "../draw.ts";

/** Shapes that multiply: matrices, batches that broadcast, vectors on either side. */
function factors(d: Draw, transA: boolean, transB: boolean, vectors: boolean): [number[], number[]] {
  const [n, k, m] = [d.length(), d.length(), d.length()];
  const [left = [], right = []] = d.broadcastable(2, d.int(0, 2)).map((s) => s.map((l) => Math.max(l, 1)));
  const a = transA ? [k, n] : [n, k];
  const c = transB ? [m, k] : [k, m];
  if (vectors && d.chance(0.15)) return [[k], [...right, k, m]];
  if (vectors && d.chance(0.15)) return [[...left, n, k], [k]];
  return [
    [...left, ...a],
    [...right, ...c],
  ];
}

const fused: Generator = ({ d }) => {
  const [transA, transB] = [d.chance(0.5), d.chance(0.5)];
  const [a, c] = factors(d, transA, transB, false);
  return {
    inputs: [fed(d.floats(a, { edges: "summed" })), fed(d.floats(c, { edges: "summed" }))],
    attributes: {
      ...(transA && { transA: int(1) }),
      ...(transB && { transB: int(1) }),
      ...(d.chance(0.5) && { alpha: float(d.pick([0.5, -2, 0])) }),
    },
    scale: 10,
  };
};

/** Inputs and attributes of a Gemm, also of the fused one. */
export function gemm(
  d: Draw,
  optionalC: boolean,
): { inputs: ReturnType<typeof fed>[]; attributes: Attributes } {
  const [n, k, m] = [d.length(), d.length(), d.length()];
  const [transA, transB] = [d.int(0, 1), d.int(0, 1)];
  const c = d.pick([[n, m], [m], [1, m], [n, 1], [1], []]);
  const tensor = (dims: readonly number[]) => fed(d.floats(dims, { edges: "summed" }));
  const inputs = [tensor(transA ? [k, n] : [n, k]), tensor(transB ? [m, k] : [k, m])];
  return {
    inputs: optionalC && d.chance(0.3) ? inputs : [...inputs, tensor(c)],
    attributes: {
      transA: int(transA),
      transB: int(transB),
      ...(d.chance(0.5) && { alpha: float(d.pick([0.5, -2, 0])) }),
      ...(d.chance(0.5) && { beta: float(d.pick([0.25, -1, 0])) }),
    },
  };
}

const equations = [
  "ij,jk->ik",
  "ij,jk",
  "ii->i",
  "ii",
  "ij->ji",
  "ij->",
  "bij,bjk->bik",
  "...ij,...jk->...ik",
  "bhid,bhjd->bhij",
  "i,j->ij",
  "i,i->",
  "ij,ij->i",
  "abc,c->ab",
  "ij,jk,kl->il",
  "bij,jk->bik",
  "ba,ba->b",
  "iji->j",
  "b...,b...->...",
  "...,...->...",
  "ca,cb->ab",
];

export const linear = {
  MatMul: ({ d }) => {
    const [a, c] = factors(d, false, false, true);
    const dtype = d.pick(["float32", "float32", "float64"]);
    const options = { edges: "summed", dtype } as const;
    return { inputs: [fed(d.floats(a, options)), fed(d.floats(c, options))], scale: 10 };
  },
  "com.microsoft::FusedMatMul": fused,
  "com.microsoft::TransposeMatMul": fused,
  Gemm: ({ d, opset }) => ({ ...gemm(d, opset >= 11), scale: 10 }),
  Einsum: ({ d }) => {
    const equation = d.pick(equations);
    const sizes = new Map<string, number>();
    const size = (label: string): number => {
      const found = sizes.get(label) ?? d.length();
      sizes.set(label, found);
      return found;
    };
    const dots = d.shape(d.int(0, 2));
    const terms = (equation.split("->")[0] as string).split(",");
    const shapes = terms.map((term) =>
      [...term.replace("...", "…")].flatMap((l) => (l === "…" ? dots : [size(l)])),
    );
    return {
      inputs: shapes.map((dims) => fed(d.floats(dims, { edges: "none" }))),
      attributes: { equation: string(equation) },
      scale: 10,
    };
  },
} satisfies Record<string, Generator>;
