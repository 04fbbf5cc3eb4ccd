// Which trained weights have a learning rate or a weight decay of their own, by their names and by what they are to their layers.
import { DistillError } from "../base/errors.ts";
import type { Shape, Tensor } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { originalName } from "../onnx/model-origin.ts";
import { type OpTable, tableKey } from "../ops/builder.ts";
import { undecayedSlots } from "../ops/define.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { fitting, type NamePattern, namePatterns } from "./name-patterns.ts";

/** Weights by a pattern of their names (`*` any characters), and what is said of them. */
export interface ParameterGroup {
  readonly match: string;
  /** Their learning rate at a step; default: the run's. */
  readonly rate?: ((step: number) => number) | undefined;
  /** Default: the optimizer's. */
  readonly weightDecay?: number | undefined;
}

export interface GroupOptions {
  readonly groups?: readonly ParameterGroup[] | undefined;
  /** Patterns of weights that do not decay; `BY_ROLE` among them: biases, scales and offsets of normalisations, other vectors. */
  readonly noDecay?: readonly string[] | undefined;
}

export const BY_ROLE = "auto";

/** What an optimizer does otherwise than it is told in general. */
export interface WeightSettings {
  readonly group?: ParameterGroup;
  readonly weightDecay?: number;
}

/**
 * What holds for each trained weight. Of several groups that say something of a weight, the one with the more specific pattern
 * counts; what does not decay by `noDecay` does not by any group.
 *
 * @throws E_NAME for a pattern that no trained weight fits.
 */
export function settingsOf(
  model: Model,
  table: OpTable,
  path: readonly Node[],
  trained: readonly Value[],
  { groups = [], noDecay = [], optimizer }: GroupOptions & { readonly optimizer: Optimizer },
): (weight: Value) => WeightSettings {
  // A weight that the exporter had merged with others goes by the name of those too.
  const namesOf = ({ name }: Value): string[] => [name, originalName(model, name)];
  const names = trained.flatMap(namesOf);
  const everything = [...model.graph.constants.keys()].map((v) => v.name);
  const patterns = (option: string, texts: readonly string[]): NamePattern[] =>
    namePatterns(option, texts, everything, model.source).map((p) => {
      if (names.some(p.test)) return p;
      throw new DistillError(
        "E_NAME",
        `${option} '${p.pattern}' matches no weight of ${model.source} that is trained; leave it out, or see inspect for what is`,
      );
    });
  const spared = patterns(
    "noDecay (--no-decay)",
    noDecay.filter((p) => p !== BY_ROLE),
  );
  const byRole = noDecay.includes(BY_ROLE) ? undecayedByRole(model, table, path) : undefined;
  const saying = (says: (g: ParameterGroup) => boolean) => {
    const those = groups.filter(says);
    const all = patterns(
      "parameterGroups (--lr-for, --weight-decay-for)",
      those.map((g) => g.match),
    );
    return (weight: Value): ParameterGroup | undefined => {
      const found = fitting(all, namesOf(weight));
      return found && those[all.indexOf(found)];
    };
  };
  const [rated, decayed] = [saying((g) => g.rate !== undefined), saying((g) => g.weightDecay !== undefined)];
  return (weight) => {
    const group = rated(weight);
    const no = byRole?.(weight) || fitting(spared, namesOf(weight)) !== undefined;
    const weightDecay = no ? 0 : decayed(weight)?.weightDecay;
    return {
      ...(group && { group }),
      ...(weightDecay !== optimizer.weightDecay && weightDecay !== undefined && { weightDecay }),
    };
  };
}

/** What of a loss's own state does not decay by its role. */
export function auxiliarySettings(
  dims: Shape,
  { noDecay = [], optimizer }: GroupOptions & { readonly optimizer: Optimizer },
): WeightSettings {
  const spared = noDecay.includes(BY_ROLE) && dims.length <= 1 && optimizer.weightDecay > 0;
  return spared ? { weightDecay: 0 } : {};
}

/**
 * Whether a weight is a bias, belongs to a normalisation, or is another vector: all its uses lie in slots that their ops
 * declare to be such, or it has one axis alone.
 */
function undecayedByRole(model: Model, table: OpTable, path: readonly Node[]): (weight: Value) => boolean {
  const slots = new Map<Value, boolean[]>();
  for (const node of path)
    node.inputs.forEach((x, i) => {
      const tensor = x && model.graph.constants.get(x);
      if (!x || !tensor) return;
      const spared = undecayedSlots(table.get(tableKey(node.op, node.domain)), tensor).includes(i);
      slots.set(x, [...(slots.get(x) ?? []), spared]);
    });
  return (weight) => {
    const { dims } = model.graph.constants.get(weight) as Tensor;
    return dims.length <= 1 || (slots.get(weight) ?? [false]).every((spared) => spared);
  };
}
