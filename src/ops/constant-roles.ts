// What the constants of a model are for: learned numbers, running statistics, or numbers that stay; and why.
import { type DType, isFloat, sizeOf, type Tensor, type TensorData } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import { type GraphSignature, graphSignature, type SignatureEntry } from "../onnx/graph-signature.ts";
import type { Model } from "../onnx/model.ts";
import { modelOrigin, originalName, separatedConstants } from "../onnx/model-origin.ts";
import { beginningOf } from "../onnx/tensor-proto.ts";
import { type OpTable, tableKey } from "./builder.ts";
import {
  expands,
  isArithmetic,
  isBias,
  isFoldedNorm,
  isLearnedName,
  isLinear,
  isLiteralName,
  isModuleName,
  isNormalisationName,
  isOwnStatistics,
  literalSlot,
  Neighbourhood,
  othersOf,
  type Use,
  usesByValue,
} from "./constant-uses.ts";
import { fixedSlotsOf } from "./define.ts";
import { isAdjacency, isIdentity, isZeroOne } from "./fixed-matrices.ts";
import { isDistanceTable, isPositionTable } from "./position-table.ts";
import { transposition } from "./transposition.ts";

export interface ConstantRole {
  /** Learned by descent; moved by a normalisation while it is trained; or neither. */
  readonly kind: "parameter" | "statistics" | "fixed";
  /** In a few words, without the constant's name. */
  readonly reason: string;
  /** The row of a table of embeddings that PyTorch's module was told to keep (`padding_idx`), where the file shows it. */
  readonly paddingRow?: number;
}

/**
 * The role of each constant that the nodes take, of an element type that `counts`. In this order:
 *
 * 1. Slots that the op declares to hold running statistics, or to be no weight (scales of a Resize).
 * 2. The file's graph signature (`graphSignature`): PARAMETER is learned, BUFFER and CONSTANT_TENSOR stay. What the
 *    exporter computed itself is in neither: learned in a weight's place or where it was computed from a parameter.
 * 3. Without a signature: additive masks, Constant nodes of files whose weights are initialisers, what shifts or scales the
 *    input before any learned weight, and tables of sines and cosines stay; one number alone stays where the graph shows
 *    it to be a literal (`literalSlot`, `Neighbourhood.literal`, `isLiteralName`); the rest is learned.
 */
export function constantRoles(
  model: Model,
  table: OpTable,
  nodes: readonly Node[],
  counts: (dtype: DType) => boolean = isFloat,
): Map<Value, ConstantRole> {
  const roles = new Roles(model, table, nodes, counts).decide();
  const learned = [...roles.values()].some((r) => r.kind === "parameter");
  if (!learned)
    for (const [x, role] of roles)
      if (role === onInput) roles.set(x, parameter("there is no other weight to learn"));
  return roles;
}

const parameter = (reason: string): ConstantRole => ({ kind: "parameter", reason });
const fixed = (reason: string): ConstantRole => ({ kind: "fixed", reason });
const onInput = fixed("shifts or scales the input before any learned weight");
const ownOfExporter = fixed("made by the exporter: not in the file's graph signature");

class Roles {
  readonly #model: Model;
  readonly #table: OpTable;
  readonly #nodes: readonly Node[];
  readonly #counts: (dtype: DType) => boolean;
  readonly #constants: ReadonlyMap<Value, Tensor>;
  readonly #uses: ReadonlyMap<Value, readonly Use[]>;
  readonly #signature: GraphSignature | undefined;
  /** Absent parameters that no operation of the file names: what was computed from them was folded away. */
  readonly #unclaimed: readonly SignatureEntry[];
  /** Whether the file keeps weights as initialisers, so that a Constant node is none. */
  readonly #initialisers: boolean;
  readonly #torchScript: boolean;
  readonly #neighbourhood: Neighbourhood;
  /** What the file holds merged with others of equal value. */
  readonly #separated: ReadonlySet<string>;
  /** Values that no constant alone gives. */
  readonly #data: ReadonlySet<Value>;
  /** Modules of which an operation of the file is a part, and those that these are in. */
  readonly #busy = new Set<string>();
  /** Values that depend on something learned. */
  readonly #touched = new Set<Value>();
  /** Values that depend on an input of real numbers. */
  readonly #reals = new Set<Value>();
  /** Yes or no for each place, also as 0 and 1. */
  readonly #truths = new Set<Value>();
  /** Values that were normalised by statistics of the sample itself, and what follows from them. */
  readonly #normal = new Set<Value>();

  constructor(model: Model, table: OpTable, nodes: readonly Node[], counts: (dtype: DType) => boolean) {
    this.#model = model;
    this.#table = table;
    this.#nodes = nodes;
    this.#counts = counts;
    this.#constants = model.graph.constants;
    this.#uses = usesByValue(nodes);
    this.#signature = graphSignature(model);
    const claimed = new Set(nodes.flatMap((n) => this.#operation(n)?.takes ?? []));
    for (const node of nodes) {
      const path = this.#operation(node)?.module.split(".") ?? [];
      path.forEach((_, i) => {
        this.#busy.add(path.slice(0, i + 1).join("."));
      });
    }
    this.#unclaimed = [...(this.#signature?.absent ?? [])].filter((e) => !claimed.has(e));
    this.#initialisers = [...this.#constants].some(
      ([x, t]) => !model.constantNodes.has(x) && counts(t.dtype) && sizeOf(t.dims) > 1,
    );
    this.#torchScript =
      /^pytorch/i.test(modelOrigin(model).producer) && nodes.some((n) => n.name.startsWith("/"));
    this.#neighbourhood = new Neighbourhood(model);
    this.#separated = new Set(separatedConstants(model));
    const data = new Set<Value>(model.graph.inputs);
    for (const { inputs, outputs } of nodes)
      if (inputs.some((x) => x && data.has(x))) for (const y of outputs) if (y) data.add(y);
    this.#data = data;
    const { inputs } = model.graph;
    for (const x of inputs) {
      if (x.type === undefined || isFloat(x.type.dtype)) this.#reals.add(x);
      else if (x.type.dtype === "bool" && inputs.length > 1) this.#truths.add(x);
    }
    for (const node of nodes) {
      const varying = node.inputs.filter((x) => x && !this.#constants.has(x)) as Value[];
      const truth = varying.length > 0 && varying.every((x) => this.#truths.has(x));
      for (const y of node.outputs) {
        if (!y) continue;
        if (node.op !== "Shape" && varying.some((x) => this.#reals.has(x))) this.#reals.add(y);
        if (truth || y.type?.dtype === "bool") this.#truths.add(y);
      }
    }
  }

  decide(): Map<Value, ConstantRole> {
    const roles = new Map<Value, ConstantRole>();
    for (const node of this.#nodes) {
      node.inputs.forEach((x, slot) => {
        const tensor = x && this.#constants.get(x);
        if (!x || !tensor || roles.has(x) || !this.#counts(tensor.dtype)) return;
        roles.set(x, this.#withRemarks(x, this.#roleOf(x, tensor, { node, slot })));
      });
      const touched = node.inputs.some(
        (x) => x && (this.#touched.has(x) || roles.get(x)?.kind === "parameter"),
      );
      const normal =
        node.inputs.some((x) => x && this.#normal.has(x)) || isOwnStatistics(node, this.#constants);
      for (const y of node.outputs) {
        if (y && touched) this.#touched.add(y);
        if (y && normal) this.#normal.add(y);
      }
    }
    return roles;
  }

  /** What training does with it that a user may not expect. */
  #withRemarks(x: Value, role: ConstantRole): ConstantRole {
    if (role.kind !== "parameter") return role;
    const nodes = [...new Set((this.#uses.get(x) ?? []).map((use) => use.node))];
    const shared = nodes.length > 1 ? `, shared by ${nodes.length} nodes` : "";
    const padded = nodes.flatMap((node) => paddingRow(this.#operation(node)?.text) ?? [])[0];
    return {
      ...role,
      reason: `${role.reason}${shared}${this.#formOf(x)}`,
      ...(padded !== undefined && { paddingRow: padded }),
    };
  }

  /** Where the file has not what the model learned, but numbers made of it. */
  #formOf(x: Value): string {
    const tensor = this.#constants.get(x) as Tensor;
    const { dims } = tensor;
    if (this.#separated.has(x.name) && tensor.data.some((v) => v !== tensor.data[0]))
      return ", one with its equals in the file: they begin alike, train apart";
    const uses = this.#uses.get(x) ?? [];
    const turned = dims.length === 2 && uses.every(({ node }) => node.op === "MatMul");
    if (this.#signature || turned || sizeOf(dims) < 2 || !/^onnx::[A-Z]\w*_\d+$/.test(x.name)) return "";
    return ", in the form that the exporter computed (do_constant_folding=False leaves the parameters)";
  }

  #roleOf(x: Value, tensor: Tensor, first: Use): ConstantRole {
    const uses = this.#uses.get(x) as readonly Use[];
    const statistics = uses.find((use) => this.#declares(use, "statistics"));
    if (statistics) return { kind: "statistics", reason: `running statistics of ${statistics.node.op}` };
    const slot = uses.find((use) =>
      fixedSlotsOf(this.#definition(use.node), use.node, (v) => this.#constants.get(v)).includes(use.slot),
    );
    if (slot) return fixed(`${slot.node.op} takes no weight there`);
    const entry = this.#signature?.entry(originalName(this.#model, x.name));
    if (entry && !this.#isSomethingElse(entry, tensor, uses))
      return entry.kind === "PARAMETER"
        ? parameter("PARAMETER in the file's graph signature")
        : fixed(`${entry.kind} in the file's graph signature`);
    const weight = uses.find((use) => this.#declares(use, "weights"));
    const lone = sizeOf(tensor.dims) === 1;
    if (isMask(tensor, uses)) return fixed("a mask that is added before a softmax");
    if (uses.some(isArithmetic) && holdsInfinity(tensor))
      return fixed("holds infinite numbers, which nothing learned does");
    const copied = isVector(tensor) ? this.#copiedParameter(tensor) : undefined;
    if (copied) return parameter(`folded by the exporter, of the numbers of ${copied.name}`);
    if (this.#signature?.absent.size === 0) {
      const of = uses.every(isLinear) ? this.#parameterAs(tensor) : undefined;
      return of ? parameter(`holds the numbers of ${of}, a PARAMETER`) : ownOfExporter;
    }
    if (this.#signature && uses.some((use) => this.#operation(use.node)))
      return this.#exporterMade(x, tensor, uses, weight);
    const pattern = fixedPattern(tensor, uses);
    if (pattern) return fixed(pattern);
    if (this.#turnsPositions(x, tensor)) return fixed("frequencies of sines and cosines over positions");
    if (this.#initialisers && this.#model.constantNodes.has(x))
      return fixed("a Constant node, where the weights are initialisers");
    if (uses.every((use) => this.#isPowerIteration(use, tensor)))
      return fixed("a vector of a spectral norm's power iteration");
    if (weight) return parameter(`a weight of ${weight.node.op}`);
    if (this.#scalesInput(x, tensor, first)) return onInput;
    const frozen = uses.every((use) => isFoldedNorm(use, x.name, this.#constants));
    if (frozen) return fixed("the exporter's product of a frozen normalisation behind Conv");
    const bias = uses.find((use) => isBias(use, tensor, this.#constants));
    if (bias) return parameter("a bias behind a layer");
    if (lone) return this.#lone(x, tensor, uses);
    if (uses.some(({ node: { op }, slot: at }) => op === "Gather" && at === 0) || uses.some(isArithmetic))
      if (isPositionTable(tensor)) return fixed("a table of sines and cosines");
    if (uses.every(isArithmetic) && isDistanceTable(tensor))
      return fixed("a table of distances between places");
    return parameter(isLinear(first) ? `a weight of ${first.node.op}` : `learned, taken by ${first.node.op}`);
  }

  /** One number alone, in a file that does not say what it is. */
  #lone(x: Value, tensor: Tensor, uses: readonly Use[]): ConstantRole {
    if (!this.#initialisers) return fixed("one number alone, where the weights are Constant nodes");
    const value = Number(tensor.data[0]);
    if (isLiteralName(x.name)) return fixed("a number that the exporter named as its own");
    if (!isModuleName(x.name, this.#torchScript) && !isLearnedName(x.name))
      for (const use of uses) {
        const literal = literalSlot(use) ?? this.#neighbourhood.literal(use, value);
        if (literal !== undefined) return fixed(literal);
      }
    return parameter(`one learned number, taken by ${uses[0]?.node.op}`);
  }

  /** In a file with a signature that does not name it: the exporter's own, or computed from what the signature names. */
  #exporterMade(x: Value, tensor: Tensor, uses: readonly Use[], weight: Use | undefined): ConstantRole {
    const takes = uses.flatMap(({ node }) => this.#operation(node)?.takes ?? []);
    const parameters = takes.filter((e) => e.kind === "PARAMETER");
    const absent = parameters.filter((e) => this.#signature?.absent.has(e));
    const computed = parameter(
      "computed by the exporter from parameters, trained in this form (optimize=False leaves the parameters)",
    );
    const layer = uses.find(isLinear) ?? (weight && !isNormal(tensor) ? weight : undefined);
    if (layer) {
      // The traced operation takes the parameter itself: nothing was computed but its transpose.
      if (absent.length === 1) return parameter("PARAMETER, laid out otherwise by the exporter");
      if (absent.length > 1) return computed;
      if (takes.length > 0 && parameters.length === 0) return ownOfExporter;
      if (this.#foldedInto(x, uses).length > 0) return computed;
      return parameter(`a weight of ${layer.node.op}`);
    }
    const bias = uses.some((use) => isBias(use, tensor, this.#constants));
    if (bias && parameters.length > 0) return computed;
    if (sizeOf(tensor.dims) === 1) {
      const value = Number(tensor.data[0]);
      const literal = uses.some(
        (use) => literalSlot(use) !== undefined || this.#neighbourhood.literal(use, value) !== undefined,
      );
      const inside = this.#foldedInto(x, uses);
      return literal || inside.length === 0 ? ownOfExporter : computed;
    }
    if (absent.length > 0) return computed;
    const folded = this.#foldedInto(x, uses);
    return folded.length > 0 && !isPositionTable(tensor) ? computed : ownOfExporter;
  }

  /** The PARAMETER of the file whose numbers a vector that is in no signature holds too, in another shape. */
  #copiedParameter({ dims, data }: Tensor): Value | undefined {
    if (!this.#signature || data.every((v) => v === data[0])) return undefined;
    for (const [x, t] of this.#constants)
      if (
        sizeOf(t.dims) === sizeOf(dims) &&
        isVector(t) &&
        this.#signature.entry(x.name)?.kind === "PARAMETER" &&
        data.every((v, i) => v === t.data[i])
      )
        return x;
    return undefined;
  }

  /**
   * The exporter merges constants of equal value under one of their names: ones and zeros that it made itself carry that of a
   * parameter then. They lie where a normalisation takes no parameter at all.
   */
  #isSomethingElse({ kind }: SignatureEntry, tensor: Tensor, uses: readonly Use[]): boolean {
    const operations = uses.map(({ node }) => this.#operation(node));
    return (
      kind === "PARAMETER" &&
      uses.every((use) => this.#declares(use, "weights") && !isLinear(use)) &&
      operations.every((o) => o && !o.takes.some((e) => e.kind === "PARAMETER")) &&
      isNormal(tensor)
    );
  }

  /**
   * Unclaimed parameters of the modules whose operations take the constant, or of modules within these. Of the outermost module
   * that is all of them: only what bears the name of a traced operation (`embedding_1`) was computed from one, or what a
   * module that runs nothing itself holds (`query.weight` of an Embedding that is no table here).
   */
  #foldedInto(x: Value, uses: readonly Use[]): SignatureEntry[] {
    const modules = uses.flatMap(({ node }) => this.#operation(node)?.module ?? []);
    const lone = sizeOf(this.#constants.get(x)?.dims ?? []) === 1;
    return this.#unclaimed.filter((e) =>
      modules.some((m) =>
        m === ""
          ? !e.target.includes(".") || !isLiteralName(x.name) || (!lone && !this.#busy.has(ownerOf(e)))
          : e.target.startsWith(`${m}.`),
      ),
    );
  }

  /** The parameter of which a matrix is the transpose: a tied weight, turned by the exporter. */
  #parameterAs(tensor: Tensor): string | undefined {
    if (tensor.dims.length !== 2) return undefined;
    const found = [...this.#constants].find(
      ([x, t]) =>
        t.dims.length === 2 &&
        this.#signature?.entry(originalName(this.#model, x.name))?.kind === "PARAMETER" &&
        transposition(t, tensor) === true,
    );
    return found?.[0].name;
  }

  /**
   * Whether it normalises the input: nothing learned and no statistics of the sample itself (behind those lies a learned scale)
   * come before it, it makes no new axis out of each number (as the embedding of a column does), and what it
   * scales is no mask (a learned token in the places that a mask says).
   */
  #scalesInput(x: Value, tensor: Tensor, first: Use): boolean {
    if (!isArithmetic(first) || isLearnedName(x.name)) return false;
    const others = othersOf(first);
    if (others.some((v) => this.#constants.has(v) || this.#touched.has(v) || this.#truths.has(v)))
      return false;
    return isNormalisationName(x.name) || !others.some((v) => this.#normal.has(v) || expands(v, tensor));
  }

  /**
   * u and v of W / (u·W·v) (Miyato et al. 2018): a vector multiplied by what constants alone give, and the product, a number,
   * divides such a value.
   */
  #isPowerIteration({ node, slot }: Use, { dims }: Tensor): boolean {
    if (node.op !== "MatMul" || dims.filter((d) => d > 1).length > 1) return false;
    if (othersOf({ node, slot }).some((x) => this.#data.has(x))) return false;
    let front = node.outputs;
    for (let hop = 0; hop < 4 && front.length > 0; hop++) {
      const after = front.flatMap((y) => (y && this.#uses.get(y)) ?? []);
      if (
        after.some((u) => u.node.op === "Div" && u.slot === 1 && !this.#data.has(u.node.inputs[0] as Value))
      )
        return true;
      front = after.filter((u) => u.node.op !== "Div").flatMap((u) => u.node.outputs);
    }
    return false;
  }

  /** Whether all that is made of a vector, without data and learned numbers, are sines and cosines (rotary embeddings). */
  #turnsPositions(x: Value, { dims }: Tensor): boolean {
    if (dims.filter((d) => d > 1).length !== 1) return false;
    let front: readonly Value[] = [x];
    for (let hop = 0; hop < 10; hop++) {
      const nodes = new Set(front.flatMap((v) => (this.#uses.get(v) ?? []).map((use) => use.node)));
      if (nodes.size === 0) return false;
      const behind = [...nodes].filter(({ op }) => op !== "Sin" && op !== "Cos");
      if (behind.length === 0) return true;
      if (!behind.every((node) => this.#isOfPositions(node))) return false;
      front = behind.flatMap((n) => n.outputs.filter((y): y is Value => y !== undefined));
    }
    return false;
  }

  #isOfPositions(node: Node): boolean {
    const at = { node, slot: 0 };
    const shapes = /^(Expand|Concat|Unsqueeze|Squeeze|Reshape|Transpose|Cast|Tile)$/.test(node.op);
    if (!shapes && !isArithmetic(at) && node.op !== "MatMul" && node.op !== "Einsum") return false;
    return !node.inputs.some((v) => v && (this.#reals.has(v) || this.#touched.has(v)));
  }

  #operation(node: Node) {
    const y = node.outputs.find((v) => v !== undefined);
    return y && this.#signature?.operation(y.name);
  }

  #definition = (node: Node) => this.#table.get(tableKey(node.op, node.domain));

  #declares({ node, slot }: Use, what: "statistics" | "weights"): boolean {
    return this.#definition(node)?.[what]?.includes(slot) === true;
  }
}

const ownerOf = ({ target }: SignatureEntry): string => target.split(".").slice(0, -1).join(".");

/** The row that an embedding was told to keep: `embedding.default](args = (%weight, %ids, 0))`. */
function paddingRow(text = ""): number | undefined {
  const found = /aten\.embedding\.default\]\(args = \(%[\w.]+, %[\w.]+, (\d+)/.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

const isVector = ({ dims }: Tensor): boolean => dims.filter((d) => d > 1).length === 1;

/** Ones, or zeros: what a normalisation without learned scale and offset is written with. */
function isNormal(tensor: Tensor): boolean {
  const first = Number(beginningOf(tensor, 1)[0]);
  return (first === 0 || first === 1) && tensor.data.every((v) => Number(v) === first);
}

/** What only a number of the architecture looks like at such a place. */
function fixedPattern(tensor: Tensor, uses: readonly Use[]): string | undefined {
  if (uses.every(isArithmetic) && isZeroOne(tensor)) return "a mask of zeros and ones";
  if (uses.every(({ node, slot }) => node.op === "Gather" && slot === 0) && isIdentity(tensor))
    return "rows of an identity matrix: one-hot";
  if (uses.every(({ node }) => node.op === "MatMul" || node.op === "Einsum") && isAdjacency(tensor))
    return "which nodes of a graph are neighbours";
  return undefined;
}

/** Zeros and numbers far below (far above, where they are subtracted), both there. A large teacher's weights are not read for it. */
function isMask(tensor: Tensor, uses: readonly Use[]): boolean {
  if (tensor.dtype !== "float32" && tensor.dtype !== "float64") return false;
  const sign = uses.every(({ node, slot }) => node.op === "Sub" && slot === 1) ? -1 : 1;
  const every = (data: TensorData): boolean =>
    (data as Float32Array).every((v) => v === 0 || sign * v <= -50);
  return every(beginningOf(tensor, 1024)) && every(tensor.data) && tensor.data.some((v) => v !== 0);
}

/** Logarithms of a prior in which something is impossible, yes or no for certain. */
const holdsInfinity = ({ dtype, data }: Tensor): boolean =>
  (dtype === "float32" || dtype === "float64") &&
  (data as Float32Array).some((v) => v === Infinity || v === -Infinity);
