// One walk over a model that writes out its functions and the Ifs of known condition. Knows afterwards where the data of
// each constant lies in the user's own file, so that new weights can be written back there; a constant in a function
// that is called several times stays one constant. Source: ONNX IR specification, functions (IR version 10), If-23.
import { create } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type TensorProto,
  type ValueInfoProto,
} from "onnx-buf";
import { DistillError } from "../base/errors.ts";
import { Names } from "../base/names.ts";
import { nodeNames } from "./node-order.ts";
import { domainOf, isConstant, type Place, type Provenance, shallow } from "./proto.ts";

/** Says what a condition is, by the name of its value; undefined where that is not known. */
export type Condition = (name: string) => boolean | undefined;

export interface Inlined {
  readonly proto: ModelProto;
  readonly provenance: Provenance;
}

function keyOf(domain: string, name: string, overload: string): string {
  return `${domainOf(domain)}::${name}::${overload}`;
}

const isIf = (node: NodeProto): boolean => node.opType === "If" && domainOf(node.domain) === "";

function constantOf(t: TensorProto): NodeProto {
  const value = create(AttributeProtoSchema, { name: "value", type: AttributeType.TENSOR, t });
  return create(NodeProtoSchema, {
    opType: "Constant",
    name: t.name,
    output: [t.name],
    attribute: [value],
  });
}

/** What names and attributes mean at some place. The main graph's own names mean themselves. */
interface Scope {
  readonly names: Map<string, string>;
  readonly outer: Scope | undefined;
  /** Attributes of the call, for the body of a function. */
  readonly attributes: ReadonlyMap<string, AttributeProto> | undefined;
}

/** Names that would do for a value or constant of a body, the best first. */
interface Naming {
  value(name: string): string[];
  constant(name: string): string[];
}

const root: Scope = { names: new Map(), outer: undefined, attributes: undefined };

function resolve(scope: Scope, name: string): string {
  for (let s: Scope | undefined = scope; s; s = s.outer) {
    const found = s.names.get(name);
    if (found !== undefined) return found;
  }
  return name;
}

export class Inliner {
  readonly initializers: TensorProto[] = [];
  readonly places: Map<string, Place>;
  readonly originals: Map<Place, Place>;
  changed = false;
  readonly #functions: ReadonlyMap<string, FunctionProto>;
  readonly #condition: Condition;
  readonly #opsets: Map<string, bigint>;
  readonly #taken: Names;
  readonly #nodeNames: Names;
  readonly #model: ModelProto;
  /** New names of constants that were met before, by their message in the file. */
  readonly #shared: Map<Place, string>;
  readonly #open: string[] = [];

  constructor(given: Inlined, condition: Condition) {
    const { proto, provenance } = given;
    this.places = new Map(provenance.places);
    this.originals = new Map(provenance.originals);
    this.#shared = new Map([...provenance.places].map(([name, place]) => [place, name]));
    const graph = proto.graph as GraphProto;
    this.#model = proto;
    this.#functions = new Map(proto.functions.map((f) => [keyOf(f.domain, f.name, f.overload), f]));
    this.#condition = condition;
    this.#opsets = new Map(proto.opsetImport.map((o) => [domainOf(o.domain), o.version]));
    this.#nodeNames = new Names(nodeNames(graph.node));
    const values = [...graph.input, ...graph.initializer, ...graph.output].map((v) => v.name);
    this.#taken = new Names([...values, ...graph.node.flatMap((node) => node.output)]);
  }

  opsetImport() {
    const known = new Map(this.#model.opsetImport.map((o) => [domainOf(o.domain), o]));
    return [...this.#opsets].map(
      ([domain, version]) => known.get(domain) ?? create(OperatorSetIdProtoSchema, { domain, version }),
    );
  }

  /** The nodes of the main graph, written out. */
  expandMain(): NodeProto[] {
    return this.#expand((this.#model.graph as GraphProto).node, root, "");
  }

  /** Nodes of one graph or function body, as nodes of the main graph; names begin with `prefix`. */
  #expand(nodes: readonly NodeProto[], scope: Scope, prefix: string): NodeProto[] {
    const names = nodeNames(nodes);
    return nodes.flatMap((node, i) => {
      const name = prefix + names[i];
      const key = keyOf(node.domain, node.opType, node.overload);
      const called = this.#functions.get(key);
      if (called && this.#sameOpsets(called)) return this.#call(node, called, key, scope, name);
      const branch = isIf(node) ? this.#branch(node, scope) : undefined;
      if (branch) return this.#inlineBranch(node, branch, scope, name);
      // A name that tells a place in the file must not change with what is written out before it.
      if (scope === root) return [node.name === name ? node : Object.assign(shallow(node), { name })];
      if (isConstant(node)) return this.#constant(node, scope, name);
      return [this.#renamed(node, scope, name)];
    });
  }

  /** A function made for other opsets than the model's may mean something else by the same ops. */
  #sameOpsets(called: FunctionProto): boolean {
    const fits = called.opsetImport.every(({ domain, version }) => {
      const own = this.#opsets.get(domainOf(domain));
      return own === undefined || own === version;
    });
    if (fits) for (const o of called.opsetImport) this.#opsets.set(domainOf(o.domain), o.version);
    return fits;
  }

  #call(node: NodeProto, called: FunctionProto, key: string, scope: Scope, name: string): NodeProto[] {
    if (this.#open.includes(key))
      throw new DistillError("E_MODEL", `the function "${called.name}" calls itself, at node "${name}"`);
    this.changed = true;
    const given = new Map(called.attributeProto.map((a) => [a.name, a]));
    for (const a of node.attribute) {
      const passed = this.#attribute(a, scope);
      if (passed) given.set(a.name, passed);
    }
    const inner: Scope = { names: new Map(), outer: undefined, attributes: given };
    called.input.forEach((x, i) => {
      inner.names.set(x, resolve(scope, node.input[i] ?? ""));
    });
    const outputs = called.output.map((y, i) => [y, resolve(scope, node.output[i] ?? "")] as const);
    this.#open.push(key);
    const naming = {
      value: (n: string) => [`${name}/${n}`],
      constant: (n: string) => [`${called.name}/${n}`],
    };
    const body = this.#body(called.node, outputs, inner, naming, name);
    this.#open.pop();
    return body;
  }

  #inlineBranch(node: NodeProto, branch: GraphProto, scope: Scope, name: string): NodeProto[] {
    this.changed = true;
    const inner: Scope = { names: new Map(), outer: scope, attributes: scope.attributes };
    // In the main graph a branch keeps its names where they are free; in a function the call tells them apart.
    const constants: NodeProto[] = [];
    const candidates = (n: string) => (scope.attributes ? [`${name}/${n}`] : [n, `${name}/${n}`]);
    for (const t of branch.initializer) {
      const original = this.#originalOf(t);
      const known = this.#shared.get(original);
      const made = known ?? this.#free(candidates(t.name));
      inner.names.set(t.name, made);
      if (known !== undefined) continue;
      this.#shared.set(original, made);
      this.places.set(made, original);
      const copy = Object.assign(shallow(t), { name: made });
      if (this.#model.irVersion >= 4n) this.initializers.push(copy);
      else constants.push(constantOf(copy)); // there, an initialiser would have to be an input too
    }
    const outputs = branch.output.map((y, i) => [y.name, resolve(scope, node.output[i] ?? "")] as const);
    const naming = { value: candidates, constant: candidates };
    return [...constants, ...this.#body(branch.node, outputs, inner, naming, name)];
  }

  /** The body's nodes; its outputs get the names that the outside knows, by an Identity where they are not its own. */
  #body(
    nodes: readonly NodeProto[],
    outputs: readonly (readonly [string, string])[],
    scope: Scope,
    naming: Naming,
    name: string,
  ): NodeProto[] {
    const own = new Set(nodes.filter((n) => !isConstant(n)).flatMap((n) => n.output));
    const copies: NodeProto[] = [];
    for (const [inner, outer] of outputs) {
      if (outer === "") continue;
      if (own.has(inner) && !scope.names.has(inner)) scope.names.set(inner, outer);
      else copies.push(create(NodeProtoSchema, { opType: "Identity", input: [inner], output: [outer] }));
    }
    for (const node of nodes)
      for (const o of node.output) {
        if (o === "" || scope.names.has(o)) continue;
        if (isConstant(node)) this.#nameConstant(node, o, scope, naming.constant(o));
        else scope.names.set(o, this.#free(naming.value(o)));
      }
    const made = this.#expand(nodes, scope, `${name}/`);
    for (const copy of copies) {
      copy.name = this.#nodeNames.take(`${name}/Identity`);
      copy.input = copy.input.map((x) => resolve(scope, x));
    }
    return [...made, ...copies];
  }

  #nameConstant(node: NodeProto, output: string, scope: Scope, candidates: string[]): void {
    const held = this.#held(node, scope);
    const known = held && this.#shared.get(held);
    const made = known ?? this.#free(candidates);
    scope.names.set(output, made);
    if (held && known === undefined) this.#shared.set(held, made);
  }

  /** The attribute that holds a Constant's elements: its own, or the caller's that it refers to. */
  #held(node: NodeProto, scope: Scope): Place | undefined {
    const own = node.attribute[0];
    const held = own && own.refAttrName !== "" ? scope.attributes?.get(own.refAttrName) : own;
    return held && this.#originalOf(held);
  }

  #constant(node: NodeProto, scope: Scope, name: string): NodeProto[] {
    const held = this.#held(node, scope);
    const output = resolve(scope, node.output[0] ?? "");
    if (held && this.places.get(output) === held) return []; // written out by an earlier call
    if (held) this.places.set(output, held);
    return [this.#renamed(node, scope, name)];
  }

  #branch(node: NodeProto, scope: Scope): GraphProto | undefined {
    const known = this.#condition(resolve(scope, node.input[0] ?? ""));
    if (known === undefined) return undefined;
    const name = known ? "then_branch" : "else_branch";
    const branch = node.attribute.find((a) => a.name === name)?.g;
    return branch?.sparseInitializer.length === 0 ? branch : undefined;
  }

  #renamed(node: NodeProto, scope: Scope, name: string): NodeProto {
    const copy = shallow(node);
    copy.name = this.#nodeNames.take(name);
    copy.input = node.input.map((x) => (x === "" ? x : resolve(scope, x)));
    copy.output = node.output.map((y) => (y === "" ? y : resolve(scope, y)));
    copy.attribute = node.attribute.map((a) => this.#attribute(a, scope)).filter((a) => a !== undefined);
    return copy;
  }

  /** The attribute with references to the call's put in (undefined: not given there), and its subgraphs renamed. */
  #attribute(a: AttributeProto, scope: Scope): AttributeProto | undefined {
    if (a.refAttrName !== "") {
      const given = scope.attributes?.get(a.refAttrName);
      if (!given) return undefined;
      if (given.name === a.name) return given;
      return this.#copied(given, a.name);
    }
    if (scope === root || (!a.g && a.graphs.length === 0)) return a;
    const copy = shallow(a);
    if (a.g) copy.g = this.#subgraph(a.g, scope);
    copy.graphs = a.graphs.map((g) => this.#subgraph(g, scope));
    return copy;
  }

  /** A subgraph that stays: names of its own get new ones, so that two copies do not share any. */
  #subgraph(g: GraphProto, scope: Scope): GraphProto {
    const inner: Scope = { names: new Map(), outer: scope, attributes: scope.attributes };
    const own = [...g.input, ...g.initializer].map((v) => v.name).concat(g.node.flatMap((n) => n.output));
    for (const name of own) if (name !== "") inner.names.set(name, this.#free([name]));
    const declared = (v: ValueInfoProto) => Object.assign(shallow(v), { name: resolve(inner, v.name) });
    const copy = shallow(g);
    copy.input = g.input.map(declared);
    copy.output = g.output.map(declared);
    copy.initializer = g.initializer.map((t) => this.#copied(t, resolve(inner, t.name)));
    copy.valueInfo = [];
    copy.node = g.node.map((node) => this.#renamed(node, inner, node.name || node.opType));
    return copy;
  }

  #originalOf(place: Place): Place {
    return this.originals.get(place) ?? place;
  }

  /** A message of the file under another name, which still stands for that message. */
  #copied<P extends Place>(place: P, name: string): P {
    const copy = Object.assign(shallow(place), { name });
    this.originals.set(copy, this.#originalOf(place));
    return copy;
  }

  /** The first candidate that is free, or the last with a number. */
  #free(candidates: readonly string[]): string {
    const free = candidates.find((name) => !this.#taken.has(name));
    return this.#taken.take(free ?? (candidates.at(-1) as string));
  }
}
