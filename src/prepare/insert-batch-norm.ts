// A BatchNormalization after each convolution of a student while it is trained, and the way back: on export each is folded
// into the convolution's weights, so that the file stays the user's own graph. Ioffe and Szegedy 2015.
import { DistillError } from "../base/errors.ts";
import { sizeOf, type Tensor } from "../base/tensor.ts";
import { float, type Node, usersOf, type Value } from "../graph/graph.ts";
import { type AddedNode, editFile, editModel, isInMainGraph } from "../onnx/edit-model.ts";
import { withOutputs } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import { AttributeReader } from "../ops/attributes.ts";
import type { Runtime, Tensors } from "../runtime/session.ts";
import type { Fold } from "./fold-batch-norm.ts";
import { isConvolution, isNormalization } from "./normalization.ts";

const epsilon = 1e-5;

export interface InsertBatchNormOptions {
  readonly runtime: Runtime;
  /** The user's own model: what is exported. */
  readonly own: Model;
  /** The value that holds the logits, and those that the loss depends on. */
  readonly logits: Value;
  readonly path: readonly Node[];
  /** Whether a constant of that name must stay as it is. */
  readonly frozen: (name: string) => boolean;
  /** A batch to take first statistics from; undefined: the weights are fresh, γ = 1 and β = 0. */
  readonly feeds: Tensors | undefined;
}

export interface InsertedBatchNorm {
  /** What is trained: `model` with the BatchNormalizations in it. */
  readonly model: Model;
  /** What is exported: the user's own, with a bias (0) at convolutions that had none. */
  readonly own: Model;
  readonly folds: readonly Fold[];
  /** Nodes without one, and why. */
  readonly left: readonly { readonly node: string; readonly why: string }[];
}

/**
 * A BatchNormalization (ε = 1e-5, momentum 0.9) after each Conv and ConvTranspose that the loss depends on, in the place of the
 * convolution's bias. Left out: a convolution that gives the logits, whose output has one position (as those of
 * squeeze-and-excitation), that is normalised already, whose weight or bias is frozen, computed, or shared with another node. Linear layers (Gemm, MatMul) get none: exporters fold none into them, and
 * models that train without one there (perceptrons, transformers) are as their authors meant them.
 *
 * First values, with μ and σ² the mean and variance of the convolution's output y over the batch `feeds`, b its bias:
 * γ = √(σ² + ε), β = μ, running mean μ − b, running variance σ², so that the model computes what it did, in inference
 * exactly and in training on that batch. With fresh weights: γ = 1, β = 0, running mean 0, variance 1.
 *
 * Errors: E_OPTION where no convolution can have one.
 */
export async function insertBatchNorm(model: Model, o: InsertBatchNormOptions): Promise<InsertedBatchNorm> {
  const left: { node: string; why: string }[] = [];
  const sites: Site[] = [];
  const uses = usesOf(o.own);
  const reasons = new Reasons(model, o, uses);
  for (const node of o.path.filter(isConvolution)) {
    const why = reasons.against(node);
    if (why) left.push({ node: node.name, why });
    else sites.push(siteOf(model, o.own, uses, node));
  }
  if (sites.length === 0)
    throw new DistillError(
      "E_OPTION",
      `${model.source}: no convolution can have a BatchNormalization inserted${left.length > 0 ? `: ${describeLeft(left)}` : ", for there is none"}; leave out insertBatchNorm`,
    );
  const statistics = o.feeds && (await outputStatistics(model, sites, o.runtime, o.feeds));

  const constants = new Map<string, Tensor>();
  const nodes: AddedNode[] = [];
  const rewired = new Map<string, Map<number, string>>();
  const renamed = new Map<string, string>();
  for (const { y, fold, bias } of sites) {
    const raw = model.graph.freeName(`${y}/convolution`);
    renamed.set(y, raw);
    if (bias) rewired.set(y, new Map([[2, ""]]));
    const first = firstValues(fold.channels, statistics?.get(y), bias);
    for (const part of parts) constants.set(fold[part], first[part]);
    nodes.push({
      op: "BatchNormalization",
      name: `${y}/batchnorm`,
      inputs: [raw, ...parts.map((part) => fold[part])],
      outputs: [y],
      attributes: { epsilon: float(epsilon), momentum: float(0.9) },
    });
  }
  const biases = sites.filter((s) => s.newBias);
  return {
    model: editModel(model, { constants, nodes, rewired, renamed }),
    own:
      biases.length === 0
        ? o.own
        : editFile(o.own, {
            constants: new Map(biases.map((s) => [s.fold.bias, zeros(s.fold.channels)])),
            rewired: new Map(biases.map((s) => [s.y, new Map([[2, s.fold.bias]])])),
          }),
    folds: sites.map((s) => s.fold),
    left,
  };
}

/** `"a", "b" and 3 more (shares its weight), "c" (is frozen)`. */
export function describeLeft(left: InsertedBatchNorm["left"]): string {
  const byReason = new Map<string, string[]>();
  for (const { node, why } of left) byReason.set(why, [...(byReason.get(why) ?? []), `"${node}"`]);
  return [...byReason]
    .map(([why, nodes]) => {
      const more = nodes.length > 2 ? ` and ${nodes.length - 2} more` : "";
      return `${nodes.slice(0, 2).join(", ")}${more} (${why})`;
    })
    .join(", ");
}

/** In the order of BatchNormalization's inputs. */
const parts = ["scale", "shift", "mean", "variance"] as const;

interface Site {
  /** The convolution's output. */
  readonly y: string;
  readonly fold: Fold;
  /** What the convolution has for a bias now. */
  readonly bias: Tensor | undefined;
  /** Whether the exported convolution needs a bias of its own. */
  readonly newBias: boolean;
}

function siteOf(model: Model, own: Model, uses: Uses, node: Node): Site {
  const { graph } = model;
  // The user's graph may have names that what is trained does without.
  const free = (name: string): string => {
    let found = graph.freeName(name);
    while (own.graph.has(found)) found = graph.freeName(`${found}_`);
    return found;
  };
  const [w, b] = [node.inputs[1] as Value, node.inputs[2]];
  const { dims } = graph.constants.get(w) as Tensor;
  const transposed = node.op === "ConvTranspose";
  const groups = new AttributeReader(node.attributes, node.name).int("group", 1);
  const channels = transposed ? (dims[1] as number) * groups : (dims[0] as number);
  const bias = b && graph.constants.get(b);
  const newBias = b === undefined || uses(b.name) > 1;
  const part = (name: string): string => free(`${w.name}/batchnorm/${name}`);
  return {
    y: node.outputs[0]?.name as string,
    bias,
    newBias,
    fold: {
      weight: w.name,
      bias: newBias ? free(biasNameFor(w.name)) : (b as Value).name,
      scale: part("scale"),
      shift: part("bias"),
      mean: part("mean"),
      variance: part("variance"),
      epsilon,
      channels,
      ...(transposed && { transposedGroups: groups }),
    },
  };
}

/** How many nodes take the value of a name. */
type Uses = (name: string) => number;

function usesOf({ graph }: Model): Uses {
  const users = usersOf(graph);
  return (name) => users.get(graph.find(name) as Value)?.length ?? 0;
}

/** `conv1.bias` for `conv1.weight`. */
function biasNameFor(weight: string): string {
  return /weight$/.test(weight) ? weight.replace(/weight$/, "bias") : `${weight}_bias`;
}

class Reasons {
  readonly #model: Model;
  readonly #o: InsertBatchNormOptions;
  readonly #users: ReadonlyMap<Value, readonly Node[]>;
  readonly #last: ReadonlySet<Node>;
  /** In the user's own model. */
  readonly #uses: Uses;

  constructor(model: Model, o: InsertBatchNormOptions, uses: Uses) {
    this.#model = model;
    this.#o = o;
    this.#uses = uses;
    this.#users = usersOf(model.graph);
    this.#last = convolutionsBehind(o.logits);
  }

  /** Why a convolution gets none; undefined for one that does. */
  against(node: Node): string | undefined {
    const { constants } = this.#model.graph;
    const [w, b, y] = [node.inputs[1], node.inputs[2], node.outputs[0]];
    if (this.#last.has(node)) return "gives the logits";
    if (y?.type && sizeOf(y.type.dims.slice(2)) === 1) return "gives one value a sample and channel";
    const users = (y && this.#users.get(y)) ?? [];
    if (users.length > 0 && users.every(isNormalization)) return "is normalised already";
    if (!w || constants.get(w)?.dtype !== "float32" || (b && constants.get(b)?.dtype !== "float32"))
      return "has computed weights";
    if (this.#o.frozen(w.name) || (b && this.#o.frozen(b.name))) return "is frozen";
    const { own } = this.#o;
    if (this.#uses(w.name) > 1) return "shares its weight";
    const ownBias = b && this.#uses(b.name) === 1;
    if (!ownBias && !isInMainGraph(own, y?.name ?? ""))
      return "lies in a function or a branch, without a bias";
    return undefined;
  }
}

/** Ops that change neither which channel is which nor in what proportion. */
const passing = new Set([
  ...["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout"],
  ...["AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "Resize", "Upsample"],
  ...["Add", "Sub", "Mul", "Div"],
]);

/** The convolutions that logits come from without a nonlinearity or another layer between. */
function convolutionsBehind(logits: Value): Set<Node> {
  const found = new Set<Node>();
  const open = [logits];
  for (let value = open.pop(); value; value = open.pop()) {
    const node = value.producer;
    if (node && isConvolution(node)) found.add(node);
    else if (node?.domain === "" && passing.has(node.op))
      open.push(...node.inputs.filter((x) => x !== undefined));
  }
  return found;
}

interface Statistics {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/** Mean and population variance of every channel of every site's output over the batch. */
async function outputStatistics(
  model: Model,
  sites: readonly Site[],
  runtime: Runtime,
  feeds: Tensors,
): Promise<Map<string, Statistics>> {
  const names = sites.map((s) => s.y);
  const session = await runtime.load(withOutputs(model, names), { externalData: model.externalFiles });
  try {
    const found = new Map<string, Statistics>();
    for (const some of inParts(names, (name) => sizeOf(model.graph.find(name)?.type?.dims ?? []))) {
      const out = await session.run(feeds, some);
      for (const name of some) found.set(name, channelStatistics(out[name] as Tensor));
    }
    return found;
  } finally {
    await session.release();
  }
}

/** A few outputs at once, so that few are held and the model need not run for each. */
function* inParts(names: readonly string[], elements: (name: string) => number): Generator<string[]> {
  const most = 2 ** 24;
  let part: string[] = [];
  let held = 0;
  for (const name of names) {
    const size = elements(name);
    if (part.length > 0 && held + size > most) {
      yield part;
      [part, held] = [[], 0];
    }
    part.push(name);
    held += size;
  }
  if (part.length > 0) yield part;
}

function channelStatistics({ data, dims }: Tensor): Statistics {
  const [batch, channels] = dims as [number, number];
  const space = sizeOf(dims.slice(2));
  const x = data as Float32Array;
  const mean = new Float64Array(channels);
  const variance = new Float64Array(channels);
  const n = batch * space;
  const overChannels = (visit: (channel: number, from: number) => void): void => {
    for (let i = 0; i < batch; i++) for (let c = 0; c < channels; c++) visit(c, (i * channels + c) * space);
  };
  overChannels((c, from) => {
    for (let k = from; k < from + space; k++) mean[c]! += (x[k] as number) / n;
  });
  overChannels((c, from) => {
    for (let k = from; k < from + space; k++)
      variance[c]! += ((x[k] as number) - (mean[c] as number)) ** 2 / n;
  });
  return { mean, variance };
}

function firstValues(
  channels: number,
  statistics: Statistics | undefined,
  bias: Tensor | undefined,
): Record<(typeof parts)[number], Tensor> {
  const vector = (of: (c: number) => number): Tensor => ({
    dtype: "float32",
    dims: [channels],
    data: Float32Array.from({ length: channels }, (_, c) => of(c)),
  });
  if (!statistics)
    return {
      scale: vector(() => 1),
      shift: vector(() => 0),
      mean: vector(() => 0),
      variance: vector(() => 1),
    };
  const { mean, variance } = statistics;
  const old = (c: number): number => (bias ? ((bias.data as Float32Array)[c] as number) : 0);
  return {
    scale: vector((c) => Math.sqrt((variance[c] as number) + epsilon)),
    shift: vector((c) => mean[c] as number),
    mean: vector((c) => (mean[c] as number) - old(c)),
    variance: vector((c) => variance[c] as number),
  };
}

function zeros(length: number): Tensor {
  return { dtype: "float32", dims: [length], data: new Float32Array(length) };
}
