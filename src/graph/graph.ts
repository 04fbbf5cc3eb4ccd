// Values, nodes and graphs: names and invariants. Knows no protobuf and no op by name.
//
// A Graph is built front to back, so its nodes are always in topological order. Both the user's model as read
// (types unknown until observed) and the training step that we emit (every type known) are Graphs.
import { DistillError } from "../base/errors.ts";
import type { Tensor, TensorType } from "../base/tensor.ts";

export type Attribute =
  | { readonly kind: "int" | "float"; readonly value: number }
  | { readonly kind: "ints" | "floats"; readonly value: readonly number[] }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "strings"; readonly value: readonly string[] }
  | { readonly kind: "tensor"; readonly value: Tensor }
  /** A subgraph or anything else that is carried along unread (`value` belongs to the room that made it). */
  | { readonly kind: "opaque"; readonly value: unknown };

export type Attributes = Readonly<Record<string, Attribute>>;

export const int = (value: number): Attribute => ({ kind: "int", value });
export const ints = (value: readonly number[]): Attribute => ({ kind: "ints", value });
export const float = (value: number): Attribute => ({ kind: "float", value });
export const floats = (value: readonly number[]): Attribute => ({ kind: "floats", value });
export const string = (value: string): Attribute => ({ kind: "string", value });
export const strings = (value: readonly string[]): Attribute => ({ kind: "strings", value });

/** One tensor that flows through a graph: an input, a constant, or an output of exactly one node. */
export interface Value {
  readonly id: number;
  readonly name: string;
  /** Element type and static shape, once known (declared, inferred or observed). */
  type: TensorType | undefined;
  readonly producer: Node | undefined;
}

/** One operation. A missing optional input or an unused output is `undefined`. */
export interface Node {
  readonly op: string;
  /** "" is ai.onnx. */
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly (Value | undefined)[];
  readonly attributes: Attributes;
}

export interface NodeSpec {
  readonly op: string;
  readonly domain?: string;
  readonly name?: string;
  readonly inputs: readonly (Value | undefined)[];
  /** Names of the outputs; "" for one that is not used. */
  readonly outputs: readonly string[];
  readonly types?: readonly (TensorType | undefined)[];
  readonly attributes?: Attributes;
}

export class Graph {
  readonly name: string;
  /** Opset version by domain; "" is ai.onnx. */
  readonly opsets: Map<string, number>;
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  readonly nodes: Node[] = [];
  /** Initialisers and folded constants. */
  readonly constants = new Map<Value, Tensor>();
  readonly #byName = new Map<string, Value>();
  /** Below these all suffixes of a base are taken: thousands of equal names would else be counted through each time. */
  readonly #suffixes = new Map<string, number>();
  readonly #away: (base: string) => string;
  #nextId = 0;

  /** `away`: what free names begin from in place of a base that is kept for somebody who comes later; default: the base. */
  constructor(
    name: string,
    opsets: Iterable<readonly [string, number]>,
    away: (base: string) => string = (base) => base,
  ) {
    this.name = name;
    this.opsets = new Map(opsets);
    this.#away = away;
  }

  addInput(name: string, type?: TensorType): Value {
    const value = this.#newValue(name, type, undefined);
    this.inputs.push(value);
    return value;
  }

  addConstant(name: string, tensor: Tensor): Value {
    const value = this.#newValue(name, { dtype: tensor.dtype, dims: tensor.dims }, undefined);
    this.constants.set(value, tensor);
    return value;
  }

  addNode(spec: NodeSpec): Node {
    for (const input of spec.inputs) {
      if (input && this.#byName.get(input.name) !== input)
        throw new DistillError(
          "E_MODEL",
          `graph "${this.name}": node ${spec.op} "${spec.name ?? ""}" takes "${input.name}", which is not a value of this graph`,
        );
    }
    const outputs: (Value | undefined)[] = [];
    const node: Node = {
      op: spec.op,
      domain: spec.domain ?? "",
      name: spec.name ?? "",
      inputs: [...spec.inputs],
      outputs,
      attributes: spec.attributes ?? {},
    };
    spec.outputs.forEach((name, i) => {
      outputs.push(name === "" ? undefined : this.#newValue(name, spec.types?.[i], node));
    });
    this.nodes.push(node);
    return node;
  }

  /** Gives a node output `i`, which it did without so far. */
  addNodeOutput(node: Node, i: number, name: string, type: TensorType | undefined): Value {
    const value = this.#newValue(name, type, node);
    const outputs = node.outputs as (Value | undefined)[];
    while (outputs.length < i) outputs.push(undefined);
    outputs[i] = value;
    return value;
  }

  addOutput(value: Value): void {
    if (!this.outputs.includes(value)) this.outputs.push(value);
  }

  /** Drops the nodes and constants that no output depends on; inputs stay. */
  prune(): void {
    const needed = new Set<Value>(this.outputs);
    const kept: Node[] = [];
    for (const node of this.nodes.toReversed()) {
      if (node.outputs.some((y) => y && needed.has(y))) {
        kept.push(node);
        for (const x of node.inputs) if (x) needed.add(x);
      } else for (const y of node.outputs) if (y) this.#byName.delete(y.name);
    }
    this.nodes.splice(0, this.nodes.length, ...kept.reverse());
    for (const value of this.constants.keys())
      if (!needed.has(value)) {
        this.constants.delete(value);
        this.#byName.delete(value.name);
      }
  }

  /** Drops inputs of those names that neither a node nor an output uses. */
  dropUnusedInputs(names: Iterable<string>): void {
    const users = usersOf(this);
    for (const name of names) {
      const at = this.inputs.findIndex((v) => v.name === name);
      const value = this.inputs[at];
      if (!value || users.has(value) || this.outputs.includes(value)) continue;
      this.inputs.splice(at, 1);
      this.#byName.delete(name);
    }
  }

  find(name: string): Value | undefined {
    return this.#byName.get(name);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** All values, inputs and constants included, in the order they came. */
  values(): IterableIterator<Value> {
    return this.#byName.values();
  }

  /** `base`, or `base_2`, `base_3`, … : the first that is free. */
  freeName(wanted: string): string {
    const base = this.#away(wanted);
    if (!this.#byName.has(base)) return base;
    let i = this.#suffixes.get(base) ?? 2;
    while (this.#byName.has(`${base}_${i}`)) i++;
    this.#suffixes.set(base, i);
    return `${base}_${i}`;
  }

  #newValue(name: string, type: TensorType | undefined, producer: Node | undefined): Value {
    if (name === "") throw new DistillError("E_MODEL", `graph "${this.name}": a value needs a name`);
    if (this.#byName.has(name))
      throw new DistillError("E_MODEL", `graph "${this.name}": the name "${name}" is given twice`);
    const value: Value = { id: this.#nextId++, name, type, producer };
    this.#byName.set(name, value);
    return value;
  }
}

/** The known type of a value; an error where shape rules or observation have not reached it. */
export function typeOf(value: Value): TensorType {
  if (!value.type) throw new DistillError("E_MODEL", `the type of value "${value.name}" is not known`);
  return value.type;
}

/** Nodes that use each value. */
export function usersOf(graph: Graph): Map<Value, Node[]> {
  const users = new Map<Value, Node[]>();
  for (const node of graph.nodes)
    for (const input of new Set(node.inputs)) {
      if (!input) continue;
      const list = users.get(input);
      if (list) list.push(node);
      else users.set(input, [node]);
    }
  return users;
}
