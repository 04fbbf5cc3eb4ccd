// Which constants of a student are trained, which are running statistics, and which stay as they are; and why.
import { DistillError } from "../base/errors.ts";
import { isFloat8, isLowBits } from "../base/low-bits.ts";
import type { Tensor } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { originalName } from "../onnx/model-origin.ts";
import { type OpTable, tableKey } from "../ops/builder.ts";
import { type ConstantRole, constantRoles } from "../ops/constant-roles.ts";
import { fitting, namePatterns } from "./name-patterns.ts";
import { type PaddingRows, paddingRowsOf } from "./padding-rows.ts";
import { type ConstantEntry, entryOf } from "./role-table.ts";

export interface Roles {
  readonly trained: readonly Value[];
  readonly statistics: ReadonlySet<Value>;
  /** Rows of trained tables that looking up teaches nothing. */
  readonly paddingRows: ReadonlyMap<Value, readonly number[]>;
  /** Every float constant that the loss depends on, and every quantised weight, with its role and why it has it. */
  readonly entries: readonly ConstantEntry[];
}

/** Patterns (`*` any characters) of names of constants. */
export interface Chosen {
  /** What is not trained. */
  readonly freeze: readonly string[];
  /** What is trained, whatever its role. */
  readonly train?: readonly string[] | undefined;
  /** Rows of trained tables that looking up teaches nothing, by patterns. */
  readonly paddingRows?: PaddingRows | undefined;
  /** Names of running statistics that the file keeps (see `inferenceForm`). */
  readonly keptStatistics?: readonly string[] | undefined;
  /** false: no running statistics move. */
  readonly trainStatistics?: boolean | undefined;
}

/**
 * Trained: float constants that the wanted outputs depend on and that hold learned numbers (see `constantRoles`), without those
 * that `freeze` names, and with those that `train` names. Where both name one, the more specific counts: an exact name
 * before a pattern, of two patterns the one with more characters that are not `*`.
 *
 * A normalisation's running statistics stay, and it uses them, where `freeze` names one of them or all that is learned of its
 * layer, or where the file keeps them; `train` lets them follow the data again.
 *
 * @throws E_NAME for a pattern that fits no constant; E_OPTION where `freeze` and `train` name one constant with equal right;
 * E_MODEL for a trained constant that is not float32; and as `paddingRowsOf`.
 */
export function rolesOf(model: Model, table: OpTable, path: readonly Node[], chosen: Chosen): Roles {
  const choice = choose(model, chosen);
  const trained: Value[] = [];
  const statistics = new Set<Value>();
  const chosenEntries: (readonly [Value, ConstantRole])[] = [];
  const natural = naturalRoles(model, table, path);
  const chosenRoles = new Map([...natural].map(([x, role]) => [x, choice(x.name, role)] as const));
  const held = heldStatistics(table, path, natural, chosenRoles, chosen);
  for (const [x, own] of chosenRoles) {
    const role = held.get(x) ?? own;
    const tensor = model.graph.constants.get(x) as Tensor;
    chosenEntries.push([x, role]);
    if (role.kind === "statistics" || role === stillByOption) statistics.add(x);
    if (role.kind !== "parameter") continue;
    if (tensor.dtype !== "float32")
      throw new DistillError(
        "E_MODEL",
        `${model.source}: weight "${x.name}"${usedBy(x, path)} is ${tensor.dtype}; training needs float32: convert the student, or freeze it with --freeze '${x.name}'`,
      );
    trained.push(x);
  }
  const paddingRows = paddingRowsOf(model, path, trained, chosen.paddingRows);
  const entries = chosenEntries.map(([x, role]) =>
    entryOf(x.name, model.graph.constants.get(x) as Tensor, role, paddingRows.get(x)),
  );
  return { trained, statistics, paddingRows, entries };
}

const byTrain = "--train";
const stillByOption: ConstantRole = { kind: "fixed", reason: "running statistics, --batch-norm frozen" };

/** Running statistics that stay although they would follow the data: both of a layer, or neither. */
function heldStatistics(
  table: OpTable,
  path: readonly Node[],
  natural: ReadonlyMap<Value, ConstantRole>,
  chosen: ReadonlyMap<Value, ConstantRole>,
  { keptStatistics = [], trainStatistics = true }: Chosen,
): Map<Value, ConstantRole> {
  const held = new Map<Value, ConstantRole>();
  for (const node of path) {
    const { statistics = [], weights = [] } = table.get(tableKey(node.op, node.domain)) ?? {};
    const at = (slots: readonly number[]): Value[] => slots.flatMap((slot) => node.inputs[slot] ?? []);
    const own = at(statistics).filter((x) => natural.get(x)?.kind === "statistics");
    if (own.length === 0) continue;
    const learned = at(weights).filter((x) => natural.get(x)?.kind === "parameter");
    const buffers = at(weights).filter((x) => natural.get(x)?.reason.startsWith("BUFFER"));
    const wanted = own.some((x) => chosen.get(x)?.reason.includes(byTrain));
    const frozen = [...own, ...learned].map((x) => chosen.get(x)).find((role) => role?.kind === "fixed");
    const all = learned.length > 0 && learned.every((x) => chosen.get(x)?.kind === "fixed");
    const role = (): ConstantRole | undefined => {
      if (!trainStatistics) return stillByOption;
      if (own.some((x) => chosen.get(x)?.kind === "fixed"))
        return { kind: "fixed", reason: frozen?.reason ?? "" };
      if (wanted) return undefined;
      if (all) return { kind: "fixed", reason: `${frozen?.reason}: its layer is frozen` };
      if (own.some((x) => keptStatistics.includes(x.name)))
        return { kind: "fixed", reason: "in inference mode in the file, beside layers in training mode" };
      if (learned.length === 0 && buffers.length === weights.length)
        return { kind: "fixed", reason: "of a layer whose scale and offset are BUFFERs" };
      return undefined;
    };
    const found = role();
    if (found) for (const x of own) held.set(x, found);
  }
  return held;
}

/** The roles of float constants, and of weights that were quantised, which nobody trains. */
function naturalRoles(model: Model, table: OpTable, path: readonly Node[]): Map<Value, ConstantRole> {
  const roles = constantRoles(model, table, path);
  for (const node of model.graph.nodes)
    for (const x of node.inputs)
      if (x && !roles.has(x) && isQuantised(model, x))
        roles.set(x, { kind: "fixed", reason: `${quantisedTo(model, x)}, taken by ${node.op}` });
  return roles;
}

function quantisedTo(model: Model, x: Value): string {
  return isFloat8((model.graph.constants.get(x) as Tensor).dtype) ? "floats of 8 bits" : "whole numbers";
}

/** The roles as they are without a user's choice, as entries. */
export function roleEntries(model: Model, table: OpTable, path: readonly Node[]): ConstantEntry[] {
  return [...naturalRoles(model, table, path)].map(([x, role]) =>
    entryOf(x.name, model.graph.constants.get(x) as Tensor, role),
  );
}

/** The role that a constant has after what the user chose. Errors: as `rolesOf`. */
function choose(
  model: Model,
  { freeze, train = [] }: Chosen,
): (name: string, role: ConstantRole) => ConstantRole {
  const names = namesOf(model);
  const frozen = namePatterns("--freeze", freeze, names, model.source);
  const wanted = namePatterns("--train", train, names, model.source);
  return (name, role) => {
    const known = [name, originalName(model, name)];
    const [off, on] = [fitting(frozen, known), fitting(wanted, known)];
    if (off && on && off.specific === on.specific)
      throw new DistillError(
        "E_OPTION",
        `${model.source}: --freeze '${off.pattern}' and --train '${on.pattern}' both name "${name}"; leave one of them out`,
      );
    if (on && (!off || on.specific > off.specific)) {
      if (role.kind === "parameter") return role;
      if (role.kind === "statistics")
        return { kind: "statistics", reason: `${role.reason}, ${byTrain} '${on.pattern}'` };
      return { kind: "parameter", reason: `--train '${on.pattern}'` };
    }
    return off && role.kind !== "fixed" ? { kind: "fixed", reason: `--freeze '${off.pattern}'` } : role;
  };
}

/** The names that patterns may fit: of constants, and of those that the file holds merged into one. */
const namesOf = (model: Model): string[] => [...model.graph.constants.keys()].map((v) => v.name);

/** Weights that were quantised already, and where the first is used; undefined if there are none. */
export function describeQuantised(model: Model): string | undefined {
  const { nodes } = model.graph;
  const found = new Set(nodes.flatMap((n) => n.inputs.filter((x) => x && isQuantised(model, x)) as Value[]));
  const [first] = found;
  if (!first) return undefined;
  const more = found.size > 1 ? ` and ${found.size - 1} more` : "";
  return `"${first.name}"${usedBy(first, nodes)}${more} holds ${quantisedTo(model, first)}: train the float32 model that was quantised, and quantise the result`;
}

function isQuantised(model: Model, x: Value): boolean {
  const t = model.graph.constants.get(x);
  return (
    t !== undefined && (t.dtype === "int8" || t.dtype === "uint8" || isLowBits(t.dtype)) && t.dims.length > 1
  );
}

/** ` of MatMul at node "/fc"`: where a constant is used first. */
function usedBy(x: Value, path: readonly Node[]): string {
  const node = path.find((n) => n.inputs.includes(x));
  return node ? ` of ${node.op} at node "${node.name}"` : "";
}

/** Whether a constant of that name stays as it is by the user's choice. Errors: E_NAME as `rolesOf`. */
export function frozenNames(chosen: Chosen, model: Model): (name: string) => boolean {
  const choice = choose(model, chosen);
  return (name) => choice(name, { kind: "parameter", reason: "" }).kind === "fixed";
}
