// Rows of embeddings' tables to which looking them up gives no gradient: what `padding_idx` of torch's nn.Embedding is. The
// table's other uses (a tied head) and weight decay reach these rows as they do in PyTorch.
import { DistillError } from "../base/errors.ts";
import { sizeOf, type Tensor, tensor } from "../base/tensor.ts";
import { type Node, typeOf, type Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { originalName } from "../onnx/model-origin.ts";
import { type Builder, tableKey } from "../ops/builder.ts";
import { fitting, namePatterns } from "./name-patterns.ts";

/** Rows by a pattern of names of tables; negative ones count from the end. */
export type PaddingRows = Readonly<Record<string, readonly number[]>>;

const option = "paddingRows (--padding-row)";

/**
 * The rows of each trained table, from 0. Of two patterns that fit a table, the more specific counts.
 *
 * @throws E_NAME for a pattern that fits no constant; E_OPTION for one that fits no table that is trained, or a row outside.
 */
export function paddingRowsOf(
  model: Model,
  path: readonly Node[],
  trained: readonly Value[],
  paddingRows: PaddingRows = {},
): Map<Value, number[]> {
  const { constants } = model.graph;
  const namesOf = ({ name }: Value): string[] => [name, originalName(model, name)];
  const names = [...new Set([...constants.keys()].flatMap(namesOf))];
  const patterns = namePatterns(option, Object.keys(paddingRows), names, model.source);
  const found = new Map<Value, number[]>();
  if (patterns.length === 0) return found;
  const tables = new Set(
    path.flatMap((node) => lookedUp(node).flatMap((slot) => sourceOf(node, slot) ?? [])),
  );
  const own = [...tables].filter((x) => constants.has(x));
  for (const p of patterns) {
    const fits = own.filter((x) => namesOf(x).some(p.test));
    if (fits.some((x) => trained.includes(x))) continue;
    const why =
      fits.length > 0
        ? `names no table of ${model.source} that is trained; leave it out`
        : `names no table of ${model.source} whose rows are looked up (Gather on axis 0)${
            own.length > 0
              ? `: those are ${own
                  .slice(0, 3)
                  .map((x) => `"${x.name}"`)
                  .join(", ")}`
              : ""
          }`;
    throw new DistillError("E_OPTION", `${option} '${p.pattern}' ${why}`);
  }
  for (const table of own) {
    const p = fitting(patterns, namesOf(table));
    if (!p || !trained.includes(table)) continue;
    const count = (constants.get(table) as Tensor).dims[0] as number;
    const rows = (paddingRows[p.pattern] as readonly number[]).map((row) => {
      if (row >= -count && row < count) return row < 0 ? row + count : row;
      throw new DistillError(
        "E_OPTION",
        `${option} '${p.pattern}': "${table.name}" of ${model.source} has rows 0 to ${count - 1}, not ${row}`,
      );
    });
    found.set(
      table,
      [...new Set(rows)].sort((a, b) => a - b),
    );
  }
  return found;
}

/** Slots of a node whose rows it looks up. */
function lookedUp(node: Node): readonly number[] {
  if (tableKey(node.op, node.domain) === "com.microsoft::EmbedLayerNormalization") return [2, 3, 4];
  const { axis } = node.attributes;
  return node.op === "Gather" && node.domain === "" && (axis?.kind !== "int" || axis.value === 0) ? [0] : [];
}

/** What lies in the slot, seen through copies. */
function sourceOf(node: Node, slot: number): Value | undefined {
  let x = node.inputs[slot];
  while (x?.producer && (x.producer.op === "Identity" || x.producer.op === "Cast")) x = x.producer.inputs[0];
  return x;
}

/** Values of the step that a node takes in place of its inputs, so that nothing is learned of the rows of a table. */
export class PaddingRowStops {
  readonly #b: Builder;
  readonly #rows: ReadonlyMap<Value, readonly number[]>;
  readonly #stopped = new Map<Value, Value>();

  constructor(b: Builder, rows: ReadonlyMap<Value, readonly number[]>) {
    this.#b = b;
    this.#rows = rows;
  }

  /** `x`: the step's value for that input of the user's node. */
  input(node: Node, slot: number, x: Value): Value {
    if (this.#rows.size === 0 || !lookedUp(node).includes(slot)) return x;
    const table = sourceOf(node, slot);
    const rows = table && this.#rows.get(table);
    if (!rows || this.#b.constantOf(x)) return x;
    const made = this.#stopped.get(x) ?? stop(this.#b, x, rows);
    this.#stopped.set(x, made);
    return made;
  }
}

function stop(b: Builder, x: Value, rows: readonly number[]): Value {
  const y = b.node("Identity", [x]);
  const { dtype, dims } = typeOf(x);
  const zeros = { dtype, dims: [rows.length, ...dims.slice(1)] };
  const places = (): Value => b.constant(tensor("int64", [...rows], [rows.length, 1]), "padding-rows");
  b.region({
    inputs: [x],
    outputs: [y],
    grad: (dy) => [() => b.node("ScatterND", [dy(0), places(), b.full(zeros, 0)])],
  });
  return y;
}

/** Writes the rows of `from` into values that begin otherwise. */
export function keepRows(values: Tensor, from: Tensor, rows: readonly number[]): void {
  const width = sizeOf(from.dims.slice(1));
  const [to, before] = [values.data as Float32Array, from.data as Float32Array];
  for (const row of rows) to.set(before.subarray(row * width, (row + 1) * width), row * width);
}
