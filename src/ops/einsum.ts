// Einsum as transposes, reshapes and matrix products, two operands at a time from the left, so its gradient follows.
// Source: ONNX operator specification, Einsum-12.
import { DistillError } from "../base/errors.ts";
import { formatShape, sizeOf } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { defineOp, oneOutput } from "./define.ts";

/** A value and the label of each of its axes. */
interface Labelled {
  readonly value: Value;
  readonly labels: readonly string[];
}

/** y[output labels] = Σ over the other labels of the product of the operands. */
const einsum = defineOp({
  op: "Einsum",
  versions: [12, 28],
  composed: true,
  emit: oneOutput((c) => {
    const equation = c.attr.string("equation");
    const values = Array.from({ length: c.count }, (_, i) => c.x(i));
    const { operands, output } = parse(c.b, equation, values, c.where);
    const result = operands.reduce((a, d, i) => {
      const later = new Set([...output, ...operands.slice(i + 1).flatMap((o) => o.labels)]);
      return product(c.b, a, d, later);
    });
    const summed = sumOut(c.b, result, new Set(output));
    return c.b.transpose(
      summed.value,
      output.map((l) => summed.labels.indexOf(l)),
    );
  }),
});

function parse(
  b: Builder,
  equation: string,
  given: readonly Value[],
  where: string,
): { operands: Labelled[]; output: string[] } {
  const fail = (why: string) => new DistillError("E_OP", `${where}: equation "${equation}" ${why}`);
  const [left = "", right] = equation.replaceAll(" ", "").split("->");
  const terms = left.split(",");
  if (terms.length !== given.length)
    throw fail(`has ${terms.length} operands, but ${given.length} are given`);
  // "..." stands for as many axes as are left over, counted from the last: "…0" is the last of them.
  let dots = 0;
  const expand = (term: string, rank: number): string[] =>
    [...term.replace("...", "…")].flatMap((l) =>
      l === "…" ? Array.from({ length: rank }, (_, i) => `…${rank - 1 - i}`) : [l],
    );
  const all = terms.map((term, i) => {
    const dims = b.dims(given[i] as Value);
    const rank = term.includes("...") ? dims.length - (term.length - 3) : 0;
    dots = Math.max(dots, rank);
    const labels = expand(term, rank);
    if (labels.length !== dims.length) throw fail(`gives ${labels.length} labels to ${formatShape(dims)}`);
    return labels;
  });
  const flat = all.flat();
  const values = given.map((value, i) => diagonals(b, value, all[i] as string[], fail));
  const sizes = new Map<string, number>();
  all.forEach((labels, i) => {
    labels.forEach((label, k) => {
      const d = b.dims(values[i] as Value)[k] as number;
      const known = sizes.get(label) ?? 1;
      if (known !== 1 && d !== 1 && known !== d) throw fail(`gives "${label}" both to ${known} and to ${d}`);
      sizes.set(label, Math.max(known, d));
    });
  });
  const output =
    right === undefined
      ? [
          ...expand("...", dots),
          ...[...sizes.keys()]
            .filter((l) => !l.startsWith("…") && flat.filter((m) => m === l).length === 1)
            .sort(),
        ]
      : expand(right, dots);
  for (const label of output) if (!sizes.has(label)) throw fail(`wants "${label}", which no operand has`);
  const operands = all.map((labels, i) => {
    // An axis of 1 where others are longer broadcasts: without it, the product does just that.
    const kept = labels.filter((l, k) => b.dims(values[i] as Value)[k] === sizes.get(l));
    return {
      value: b.reshape(
        values[i] as Value,
        kept.map((l) => sizes.get(l) as number),
      ),
      labels: kept,
    };
  });
  return { operands, output };
}

/** Where a label stands twice in an operand: the diagonal, under the label once, at the end. `labels` is changed with it. */
function diagonals(b: Builder, given: Value, labels: string[], fail: (why: string) => DistillError): Value {
  let value = given;
  for (;;) {
    const second = labels.findIndex((l, i) => labels.indexOf(l) < i);
    if (second < 0) return value;
    const label = labels[second] as string;
    const first = labels.indexOf(label);
    const dims = b.dims(value);
    const [n, m] = [dims[first] as number, dims[second] as number];
    if (n !== m) throw fail(`gives "${label}" both to ${n} and to ${m}`);
    const rest = labels.map((_, i) => i).filter((i) => i !== first && i !== second);
    const lead = rest.map((i) => dims[i] as number);
    const square = b.reshape(b.transpose(value, [...rest, first, second]), [...lead, n * n]);
    value = b.slice(square, [0], [n * n], [lead.length], [n + 1]);
    labels.splice(0, labels.length, ...rest.map((i) => labels[i] as string), label);
  }
}

/** Sums over the axes whose labels nobody wants. */
function sumOut(b: Builder, { value, labels }: Labelled, wanted: ReadonlySet<string>): Labelled {
  const axes = labels.flatMap((l, i) => (wanted.has(l) ? [] : [i]));
  if (axes.length === 0) return { value, labels };
  return { value: b.reduceSum(value, axes), labels: labels.filter((l) => wanted.has(l)) };
}

/** The product of two operands, summed over the labels that nobody wants later; as one batched MatMul. */
function product(b: Builder, left: Labelled, right: Labelled, later: ReadonlySet<string>): Labelled {
  const a = sumOut(b, left, new Set([...later, ...right.labels]));
  const d = sumOut(b, right, new Set([...later, ...left.labels]));
  const shared = a.labels.filter((l) => d.labels.includes(l));
  const batch = shared.filter((l) => later.has(l));
  const inner = shared.filter((l) => !later.has(l));
  const rows = a.labels.filter((l) => !shared.includes(l));
  const columns = d.labels.filter((l) => !shared.includes(l));
  const size = new Map<string, number>();
  for (const { value, labels } of [a, d])
    for (const [i, label] of labels.entries()) size.set(label, b.dims(value)[i] as number);
  const sizes = (labels: readonly string[]) => labels.map((l) => size.get(l) as number);
  const matrix = (o: Labelled, first: readonly string[], second: readonly string[]): Value => {
    const order = [...batch, ...first, ...second];
    const moved = b.transpose(
      o.value,
      order.map((l) => o.labels.indexOf(l)),
    );
    const lead = batch.length > 0 ? [sizeOf(sizes(batch))] : [];
    return b.reshape(moved, [...lead, sizeOf(sizes(first)), sizeOf(sizes(second))]);
  };
  const labels = [...batch, ...rows, ...columns];
  const y = b.matmul(matrix(a, rows, inner), matrix(d, inner, columns));
  return { value: b.reshape(y, sizes(labels)), labels };
}

export const einsumOps = [einsum] as const;
