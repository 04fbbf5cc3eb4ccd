// The values of one model at which neurons can be compared, and which of them are good places: the ends of blocks, at
// the end of each resolution. Used by `inspect` and by the choice of taps (propose-taps.ts).
import { isFloat, type Shape, sameShape, sizeOf, type TensorType } from "../base/tensor.ts";
import type { Node, Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { activationOps } from "../ops/activation.ts";
import { tableKey } from "../ops/builder.ts";
import type { OpDefinition } from "../ops/define.ts";
import { movementOps } from "../ops/movement.ts";
import { normalizationOps } from "../ops/normalization.ts";
import { fusedNormalizationOps } from "../ops/normalization-fused.ts";
import { poolingOps } from "../ops/pooling.ts";
import { softmaxOps } from "../ops/softmax.ts";
import { flowTo } from "./flow.ts";
import { neuronAxisOf, type ToldAxes } from "./neuron-layout.ts";

export interface TapCandidate {
  readonly name: string;
  readonly shape: Shape;
  /** The axis of `shape` that counts neurons. */
  readonly axis: number;
  readonly neurons: number;
  /** Sizes of the axes of positions: height and width, time; empty for a vector, and for a map of one position. */
  readonly resolution: Shape;
  /** Positions of one sample. */
  readonly positions: number;
  /** Weighted layers up to it, as a share of those up to the deepest candidate, in [0, 1]. */
  readonly depth: number;
  /** Everything flows through it: the end of a block, or of a layer in a plain chain. */
  readonly block: boolean;
  /** Where a block ends: residual branches meet there, or the block is a layer of a plain chain. */
  readonly end: boolean;
  /** A good place: the last block of its resolution, or one of some evenly spread where the resolution never changes. */
  readonly suggested: boolean;
}

export interface CandidateOptions {
  readonly types: ReadonlyMap<Value, TensorType>;
  /** Values that follow from shapes and constants alone. */
  readonly known: ReadonlyMap<Value, unknown>;
  /** Samples in the run that showed the types. */
  readonly batch: number;
  /** The value that holds the logits; default: the first output. */
  readonly logits?: string | undefined;
}

/** How many places are suggested at most where the resolution never changes. */
export const mostSuggested = 4;

const keysOf = (ops: readonly OpDefinition[]): string[] => ops.map((d) => tableKey(d.op, d.domain));

/** Ops whose outputs are a layer's answer: activations, normalisations, pools, and the sums of residual branches. */
const answers = new Set([
  ...keysOf([...activationOps, ...normalizationOps, ...fusedNormalizationOps, ...poolingOps]).filter(
    (key) => !keysOf(softmaxOps).includes(key),
  ),
  "Add",
]);

/** Ops that end a residual block where branches meet in them. A product of branches is a gate. */
const merging = new Set(["Add", "Sum", "com.microsoft::SkipLayerNormalization"]);
const movement = new Set(keysOf(movementOps));

/** `depth` counts layers here. */
interface Found extends Omit<TapCandidate, "end" | "suggested"> {
  readonly merge: boolean;
}

/**
 * Float values with the batch in front, of rank 2 to 5, that carry data through weights, the logits and what only
 * reshapes them left out. A value is listed where all data flows through it, once for each layer (its last value before
 * the next weights: after normalisation, activation and residual sum), and where an op of a layer's answer made it inside
 * a branch. In the graph's order.
 */
export function tapCandidates(model: Model, o: CandidateOptions): TapCandidate[] {
  const target = (o.logits === undefined ? undefined : model.graph.find(o.logits)) ?? model.graph.outputs[0];
  if (!target) return [];
  const flow = flowTo(model, target, o.types, o.known);
  const deepest = Math.max(1, flow.depth.get(target) ?? 1);
  const outputs = new Set(model.graph.outputs);
  const last = o.types.get(target)?.dims;
  const all: Found[] = [];
  const replaced = new Set<Found>();
  let before: Found | undefined;
  const axes: ToldAxes = new Map();
  for (const node of flow.nodes) {
    const value = node.outputs[0];
    const type = value && o.types.get(value);
    if (!value || !type || value === target || outputs.has(value) || o.known.has(value)) continue;
    const { dims, dtype } = type;
    if (!isFloat(dtype) || dims.length < 2 || dims.length > 5 || dims[0] !== o.batch || sizeOf(dims) === 0)
      continue;
    const layers = flow.depth.get(value) ?? 0;
    const merge = flow.merges.has(value) && merging.has(tableKey(node.op, node.domain));
    // What has the logits' shape behind all weights is the logits in another dress, unless branches meet in it.
    if (layers === deepest && last && sameShape(last, dims) && !merge) continue;
    const block = flow.cuts.has(value) && layers > 0;
    if (!block && !isAnswer(node, model)) continue;
    const axis = neuronAxisOf(value, dims.length, axes);
    const resolution = dims.filter((_, i) => i !== 0 && i !== axis);
    const positions = sizeOf(resolution);
    const candidate: Found = {
      name: value.name,
      shape: dims,
      axis,
      neurons: dims[axis] as number,
      resolution: positions === 1 ? [] : resolution,
      positions,
      depth: layers,
      block,
      merge,
    };
    if (!block) {
      all.push(candidate);
      continue;
    }
    // One candidate for a layer: a later cut takes the place of the earlier ones that no weights divide from it.
    const sameLayer = before?.depth === layers;
    const replaces = sameLayer && before !== undefined && sameShape(before.shape, dims);
    if (sameLayer && !replaces && isRelayout(node, o.types)) continue;
    if (replaces) replaced.add(before as Found);
    before = replaces && before?.merge ? { ...candidate, merge: true } : candidate;
    all.push(before);
  }
  const found = all.filter((f) => !replaced.has(f));
  const runs = runsOf(found);
  const ends = new Set(runs.flatMap(blockEnds));
  const good = new Set(goodPlaces(found, runs));
  const most = Math.max(1, ...found.map((f) => f.depth));
  return found.map((f) => {
    const { merge, ...rest } = f;
    return { ...rest, depth: f.depth / most, end: ends.has(f), suggested: good.has(f) };
  });
}

function isAnswer(node: Node, model: Model): boolean {
  if (!answers.has(tableKey(node.op, node.domain))) return false;
  // A sum with a constant is a bias, not two branches.
  return node.op !== "Add" || !node.inputs.some((x) => x && model.graph.constants.has(x));
}

/** The same numbers in another order or shape. */
function isRelayout(node: Node, types: ReadonlyMap<Value, TensorType>): boolean {
  const [x, y] = [node.inputs[0], node.outputs[0]].map((v) => v && types.get(v)?.dims);
  return (
    x !== undefined &&
    y !== undefined &&
    movement.has(tableKey(node.op, node.domain)) &&
    sizeOf(x) === sizeOf(y)
  );
}

/** Blocks in a row that have equally many positions. */
function runsOf(found: readonly Found[]): Found[][] {
  const runs: Found[][] = [];
  for (const f of found) {
    if (!f.block) continue;
    const run = runs.at(-1);
    if (run && run[0]?.positions === f.positions) run.push(f);
    else runs.push([f]);
  }
  return runs;
}

function goodPlaces(found: readonly Found[], runs: readonly (readonly Found[])[]): Found[] {
  const vectors = runs.filter((run) => run[0]?.positions === 1);
  if (vectors.length === runs.length) return vectors.flatMap(evenly);
  // A transformer works at one resolution; what comes before and after it are its embedding and its head.
  const body = runs.find(
    (run) =>
      run[0]?.resolution.length === 1 && 2 * mergesOf(run).length > Math.max(2, mergesOf(found).length),
  );
  if (body) return evenly(blockEnds(body));
  const inner = new Map<string, Found>();
  for (const f of found)
    if (!f.block && f.positions > 1 && !runs.some((run) => run[0]?.positions === f.positions))
      inner.set(f.resolution.join("x"), f);
  return [...runs.map((run) => blockEnds(run).at(-1) as Found), ...inner.values()];
}

const mergesOf = (list: readonly Found[]): Found[] => list.filter((f) => f.merge);

function blockEnds(run: readonly Found[]): readonly Found[] {
  const merges = mergesOf(run);
  // Where residual branches meet is the end of a block; what follows belongs to the next one.
  if (merges.length === 0) return run;
  // Residual sums of transformers come in twos, attention's and the feed-forward's, and the second ends the block.
  const twos = merges.length >= 4 && merges.length % 2 === 0 && run[0]?.resolution.length === 1;
  return twos ? merges.filter((_, i) => i % 2 === 1) : merges;
}

/** The last and others at equal distances, at most `mostSuggested`. */
function evenly(list: readonly Found[]): Found[] {
  const count = Math.min(mostSuggested, list.length);
  return Array.from(
    { length: count },
    (_, i) => list[Math.round(((i + 1) * list.length) / count) - 1] as Found,
  );
}
