// What a step's inputs and outputs are called, and how a value becomes one of them.
import type { TensorType } from "../base/tensor.ts";
import { typeOf, type Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { Pack } from "./state.ts";

/** Kept for the step's own inputs and outputs, whenever they are made. */
const ours =
  /^(labels|row-weights|losses)$|^(teacher|front|scalar|state|next|gradient|mask|forward|seed|student)\//;

/** A name of the user's model within a step: as it is, unless a name of the step's own could be the same. No two become one. */
export const studentName = (name: string): string => (ours.test(name) ? `student/${name}` : name);

/** Names of the step's inputs and outputs; its other inputs are the student's, under `studentName`. */
export const names = {
  teacherLogits: "teacher/logits",
  teacherTap: (tap: string) => `teacher/tap/${tap}`,
  front: (value: string) => `front/${value}`,
  labels: "labels",
  rowWeights: "row-weights",
  /** `group`: the pattern of weights that have one of their own. */
  scalar: (name: string, group?: string) => `scalar/${name}${group === undefined ? "" : ` of ${group}`}`,
  state: (key: string) => `state/${key}`,
  next: (key: string) => `next/${key}`,
  gradient: (key: string) => `gradient/${key}`,
  /** Added up over batches, this one included. */
  nextGradient: (key: string) => `next/gradient/${key}`,
  mask: (node: string) => `mask/${node}`,
  losses: "losses",
  forwardLogits: "forward/logits",
  forwardTap: (tap: string) => `forward/tap/${tap}`,
  forward: (value: string) => `forward/value/${value}`,
  seedLogits: "seed/logits",
  seedTap: (tap: string) => `seed/tap/${tap}`,
};

/** The key, among all state, of an optimizer's slot for a pack. */
export const slotKey = (slot: string, pack: Pack): string => `${slot}/${pack.key}`;

export const vector = (pack: Pack): TensorType => ({ dtype: "float32", dims: [pack.size] });

/** Makes `value` an output of the graph under `name`. */
export function addOutput(b: Builder, name: string, value: Value): void {
  const node = b.graph.addNode({
    op: "Identity",
    inputs: [value],
    outputs: [name],
    name: `output/${name}`,
    types: [typeOf(value)],
  });
  b.graph.addOutput(node.outputs[0] as Value);
}
