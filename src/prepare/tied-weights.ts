// Weights that an exporter wrote twice although the model has them once (an embedding that is also the head, transposed for
// the product): tied again for training, so that they stay one. And the reverse: what nodes share, each with its own.
import { DistillError } from "../base/errors.ts";
import { type Shape, sameShape, sizeOf, type Tensor, tensor } from "../base/tensor.ts";
import { fitting, namePatterns } from "../compile/name-patterns.ts";
import type { ConstantEntry } from "../compile/role-table.ts";
import type { Node, Value } from "../graph/graph.ts";
import { type AddedNode, editFile, editModel, isInMainGraph } from "../onnx/edit-model.ts";
import { graphSignature } from "../onnx/graph-signature.ts";
import type { Model } from "../onnx/model.ts";
import { originalName, separatedConstants } from "../onnx/model-origin.ts";
import { beginningOf } from "../onnx/tensor-proto.ts";
import { constantRoles } from "../ops/constant-roles.ts";
import { isLinear, isLiteralName, type Use, usesByValue } from "../ops/constant-uses.ts";
import { opTable } from "../ops/index.ts";
import { transposition } from "../ops/transposition.ts";

export interface Tie {
  /** The constant that is trained no more by itself. */
  readonly name: string;
  /** The one that it follows. */
  readonly of: string;
  readonly transposed: boolean;
  /** The shape of this one, where the other's differs by axes of length 1. */
  readonly dims?: Shape;
}

export interface TieOptions {
  /** Patterns of constants that are left apart. */
  readonly untie?: readonly string[] | undefined;
  readonly frozen?: (name: string) => boolean;
}

interface Candidate {
  readonly value: Value;
  readonly tensor: Tensor;
  readonly uses: readonly Use[];
  /** Looked up by rows; otherwise the matrix of a product. */
  readonly table: boolean;
  /** One axis alone is longer than 1. */
  readonly vector: boolean;
  readonly exporters: boolean;
}

/**
 * Matrices that hold the same numbers, or each other's transpose, and are one by what the file shows: the operation that
 * takes the one names the other (dynamo's metadata); one is a table of embeddings and the other a table or a matrix; or one bears
 * a name of the exporter's own and the file shows no merged copies. Vectors under a name of the exporter's own follow the one of
 * the model's that holds their numbers (a parameter that was also folded). Equal matrices in equal places (layers that were copied
 * and not yet trained) are not tied.
 */
export function findTies(model: Model, { untie = [], frozen = () => false }: TieOptions = {}): Tie[] {
  const apart = namePatterns("--untie", untie, constantNames(model), model.source);
  if (!mayHaveTies(model)) return [];
  const candidates = candidatesOf(model);
  const copies = separatedConstants(model).filter((name) => {
    const value = model.graph.find(name);
    const data = value && model.graph.constants.get(value)?.data;
    return data?.some((v) => v !== data[0]) ?? false;
  });
  const copied = copies.length > 0;
  const copiedByName = copies.some((name) => !isLiteralName(name));
  const ties: Tie[] = [];
  const tied = new Set<Candidate>();
  for (const [i, a] of candidates.entries())
    for (const b of candidates.slice(i + 1)) {
      if (tied.has(a)) break;
      if (a.vector !== b.vector || tied.has(b)) continue;
      if (a.vector && (copiedByName || a.exporters || !b.exporters)) continue;
      if (fitting(apart, [a.value.name, b.value.name])) continue;
      // What the exporter turned is its parameter still, so whoever freezes that has frozen both.
      const oneFrozen = frozen(a.value.name) !== frozen(b.value.name);
      if (oneFrozen && !(frozen(a.value.name) && isTurned(model, a, b))) continue;
      if (!(a.vector || areOne(model, a, b, copied))) continue;
      const transposed = a.vector ? sameNumbers(a.tensor, b.tensor) : transposition(a.tensor, b.tensor);
      if (transposed === undefined) continue;
      tied.add(b);
      const { dims } = b.tensor;
      const reshaped = a.vector && !sameShape(a.tensor.dims, dims);
      ties.push({ name: b.value.name, of: a.value.name, transposed, ...(reshaped && { dims }) });
    }
  return ties;
}

const constantNames = (model: Model): string[] => [...model.graph.constants.keys()].map((v) => v.name);

/** Whether two matrices or vectors of one size begin alike: what is seldom so, and sooner seen than what constants are for. */
function mayHaveTies(model: Model): boolean {
  const beginnings = new Set<string>();
  for (const tensor of model.graph.constants.values()) {
    const vector = isVector(tensor);
    if (!vector && !isMatrix(tensor)) continue;
    const many = vector ? 64 : 1;
    const first = (beginningOf(tensor, many) as Float32Array).slice(0, many);
    // Zeros and ones are many, and no sign.
    if (vector && first.every((v) => v === first[0])) continue;
    const beginning = `${sizeOf(tensor.dims)} ${first.join()}`;
    if (beginnings.has(beginning)) return true;
    beginnings.add(beginning);
  }
  return false;
}

const isMatrix = ({ dtype, dims }: Tensor): boolean =>
  dtype === "float32" && dims.length === 2 && dims.every((d) => d > 1);

const isVector = ({ dtype, dims }: Tensor): boolean =>
  dtype === "float32" && dims.filter((d) => d > 1).length === 1;

/** Those that others may follow first: under names of the model's own, tables before matrices. */
function candidatesOf(model: Model): Candidate[] {
  const uses = usesByValue(model.graph.nodes);
  const signature = graphSignature(model);
  const isTable = ({ node, slot }: Use): boolean => node.op === "Gather" && node.domain === "" && slot === 0;
  const found = [...constantRoles(model, opTable, model.graph.nodes)].flatMap(
    ([value, role]): Candidate[] => {
      const tensor = model.graph.constants.get(value) as Tensor;
      const at = uses.get(value) ?? [];
      const [matrix, vector] = [isMatrix(tensor), isVector(tensor)];
      if (role.kind !== "parameter" || !(matrix || vector)) return [];
      const table = at.some(isTable) && matrix;
      if (matrix && !table && !at.every(isLinear)) return [];
      const unnamed = signature !== undefined && !signature.entry(originalName(model, value.name));
      const exporters = isLiteralName(value.name) || (vector && unnamed);
      return [{ value, tensor, uses: at, table, vector, exporters }];
    },
  );
  const rank = (c: Candidate): number => (c.exporters ? 2 : 0) + (c.table ? 0 : 1);
  return found.sort((a, b) => rank(a) - rank(b));
}

/** Whether all parameters are in the file, and `b`, which is none of them, can only be made of `a`. */
function isTurned(model: Model, a: Candidate, b: Candidate): boolean {
  const signature = graphSignature(model);
  return signature?.absent.size === 0 && !!signature.entry(a.value.name) && !signature.entry(b.value.name);
}

function areOne(model: Model, a: Candidate, b: Candidate, copied: boolean): boolean {
  const signature = graphSignature(model);
  const entry = signature?.entry(a.value.name);
  const takes = b.uses.flatMap(({ node }) => signature?.operation(outputOf(node))?.takes ?? []);
  if (isTurned(model, a, b)) return true;
  if (entry && takes.length > 0) return takes.includes(entry);
  if (a.table) return true;
  return b.exporters && !a.exporters && !copied;
}

/** Whether vectors hold the same numbers, more than one of them: false, as of `transposition`. */
function sameNumbers(a: Tensor, b: Tensor): false | undefined {
  if (sizeOf(a.dims) !== sizeOf(b.dims) || beginningOf(a, 1)[0] !== beginningOf(b, 1)[0]) return undefined;
  const [x, y] = [a.data as Float32Array, b.data as Float32Array];
  return x.some((v) => v !== x[0]) && x.every((v, i) => v === y[i]) ? false : undefined;
}

const outputOf = (node: Node): string => node.outputs.find((v) => v !== undefined)?.name ?? "";

/** The model in which whoever took a tied constant takes the one that it follows. */
export function withTies(model: Model, ties: readonly Tie[]): Model {
  if (ties.length === 0) return model;
  const nodes: AddedNode[] = [];
  const rewired = new Map<string, Map<number, string>>();
  const constants = new Map<string, Tensor>();
  for (const { name, of, transposed, dims } of ties) {
    const from = transposed || dims ? `${name}/tied` : of;
    if (dims) {
      constants.set(`${name}/shape`, tensor("int64", dims, [dims.length]));
      nodes.push({ op: "Reshape", name: from, inputs: [of, `${name}/shape`], outputs: [from] });
    }
    if (transposed) nodes.push({ op: "Transpose", name: from, inputs: [of], outputs: [from] });
    for (const { node, slot } of usesByValue(model.graph.nodes).get(model.graph.find(name) as Value) ?? []) {
      const slots = rewired.get(outputOf(node)) ?? new Map<number, string>();
      rewired.set(outputOf(node), slots.set(slot, from));
    }
  }
  return editModel(model, { constants, nodes, rewired });
}

/** What a file holds: the tied constants beside what they follow. */
export function withTiedValues(
  state: ReadonlyMap<string, Tensor>,
  ties: readonly Tie[],
): ReadonlyMap<string, Tensor> {
  const all = new Map(state);
  for (const { name, of, transposed, dims } of ties) {
    const t = state.get(of);
    if (t) all.set(name, transposed ? transpose(t) : dims ? { ...t, dims } : t);
  }
  return all;
}

function transpose({ dtype, dims, data }: Tensor): Tensor {
  const [rows, columns] = dims as [number, number];
  const turned = Float32Array.from(
    { length: data.length },
    (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number,
  );
  return { dtype, dims: [columns, rows], data: turned };
}

export const tieEntries = (model: Model, ties: readonly Tie[]): ConstantEntry[] =>
  ties.map(({ name, of, transposed }) => ({
    name,
    role: "tied",
    elements: model.graph.constants.get(model.graph.find(name) as Value)?.data.length ?? 0,
    reason: `${transposed ? "transpose" : "copy"} of ${of} (--untie to train it apart)`,
  }));

/**
 * The model in which every node that takes a constant which `untie` names has it for itself, also in the file.
 *
 * @throws E_OPTION for a pattern that names nothing that nodes share and nothing that is tied; E_NAME for one that fits nothing.
 */
export function withUntied(model: Model, untie: readonly string[]): Model {
  if (untie.length === 0) return model;
  const patterns = namePatterns("--untie", untie, constantNames(model), model.source);
  const used = new Set<string>();
  for (const { name, of } of findTies(model))
    for (const p of patterns) if (p.test(name) || p.test(of)) used.add(p.pattern);
  const constants = new Map<string, Tensor>();
  const rewired = new Map<string, Map<number, string>>();
  for (const [value, uses] of usesByValue(model.graph.nodes)) {
    const tensor = model.graph.constants.get(value);
    const fits = patterns.filter((p) => p.test(value.name));
    const nodes = [...new Set(uses.map((u) => u.node))].filter((n) => isInMainGraph(model, outputOf(n)));
    if (!tensor || fits.length === 0 || nodes.length < 2) continue;
    for (const p of fits) used.add(p.pattern);
    nodes.slice(1).forEach((node, i) => {
      let name = `${value.name}_${i + 2}`;
      while (model.graph.has(name) || constants.has(name)) name += "_";
      constants.set(name, tensor);
      const slots = rewired.get(outputOf(node)) ?? new Map<number, string>();
      for (const u of uses) if (u.node === node) slots.set(u.slot, name);
      rewired.set(outputOf(node), slots);
    });
  }
  for (const { pattern } of patterns)
    if (!used.has(pattern))
      throw new DistillError(
        "E_OPTION",
        `${model.source}: --untie '${pattern}' names nothing that is tied or that several nodes share; leave it out`,
      );
  return constants.size === 0 ? model : editFile(model, { constants, rewired });
}
