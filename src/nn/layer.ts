// What a layer is, and the draft of a model that layers write themselves into: names, shapes, weights. Knows no layer.
// A draft becomes a Graph at the end (build-model.ts), so that the last value can still be given its name.
import { DistillError } from "../base/errors.ts";
import { type Initialization, sampler } from "../base/initialization.ts";
import { randomFor } from "../base/random.ts";
import { formatShape, sizeOf } from "../base/tensor.ts";
import type { Attributes } from "../graph/graph.ts";

/** A dimension: a number, or the name of an open one ("?" where it has no name). */
export type Dim = number | string;

/** A value that flows between layers. */
export interface Flow {
  name: string;
  readonly dims: readonly Dim[];
  /** Default "float32". */
  readonly dtype?: "float32" | "int64";
  /** The user chose the name. */
  named: boolean;
}

/** A step of a model. Made by the functions of this room; a function of your own can make one too. */
export interface Layer {
  /** First part of the name that it is given, as in `conv1`. Empty for a container: it names its layers, not itself. */
  readonly kind: string;
  /** The user's name for it, which its output takes too. */
  readonly name?: string | undefined;
  /** Appends itself to the draft. `path` is its full name, as `stage1/block1/conv1`. */
  readonly build: (draft: Draft, x: Flow, path: string) => Flow;
}

/** Options that every layer with a name takes. */
export interface LayerOptions {
  /** Name of the layer, and of the value that it gives: the name to tap it by. Unique in the model. Default: its kind and a number. */
  readonly name?: string;
}

export interface DraftNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly (Flow | Weight)[];
  readonly output: Flow;
  readonly attributes: Attributes;
}

export interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

export class Draft {
  readonly nodes: DraftNode[] = [];
  readonly weights: Weight[] = [];
  readonly #seed: number;
  readonly #taken = new Set<string>();
  readonly #counts = new Map<string, number>();
  #scope = "";

  constructor(seed: number, input: string) {
    this.#seed = seed;
    this.#taken.add(input);
  }

  /** Adds a layer under its own name, or the next free one of its kind, and gives its output. */
  add(layer: Layer, x: Flow): Flow {
    if (layer.kind === "") return layer.build(this, x, this.#scope);
    const path = this.pathOf(layer.kind, layer.name);
    const y = layer.build(this, x, path);
    if (layer.name !== undefined && y !== x) this.rename(y, layer.name, `layer "${path}"`);
    return y;
  }

  /** The full name of a layer here: with the user's name, or the next free one of its kind. */
  pathOf(kind: string, name: string | undefined): string {
    if (name !== undefined && (name.trim() === "" || name.includes("/")))
      throw new DistillError(
        "E_ARGUMENT",
        `${kind}: a layer's name must not be empty or hold a slash, got "${name}"`,
      );
    return this.#join(name ?? this.#nextOf(kind));
  }

  /** Runs `body` with the names of the layers that it adds beginning with `path`. */
  within<T>(path: string, body: () => T): T {
    const outer = this.#scope;
    this.#scope = path;
    try {
      return body();
    } finally {
      this.#scope = outer;
    }
  }

  /** One node, named `path` (or `path/part`, where a layer is several nodes). */
  node(
    op: string,
    path: string,
    inputs: readonly (Flow | Weight)[],
    dims: readonly Dim[],
    attributes: Attributes = {},
    part?: string,
  ): Flow {
    const name = part === undefined ? path : `${path}/${part}`;
    const output: Flow = { name: "", dims, named: false };
    this.#take(output, name, `layer "${path}"`);
    this.nodes.push({ op, name, inputs, output, attributes });
    return output;
  }

  /** A trainable tensor, filled as `how` says for its fans, from the seed and its name alone. */
  weight(name: string, dims: readonly number[], how: Initialization, fans: Fans): Weight {
    const draw = sampler(how, fans, randomFor(this.#seed, "nn", name));
    return this.#weight({ name, dims, data: Float32Array.from({ length: sizeOf(dims) }, draw) });
  }

  /** A tensor of one number. */
  filled(name: string, dims: readonly number[], value: number): Weight {
    return this.#weight({ name, dims, data: new Float32Array(sizeOf(dims)).fill(value) });
  }

  /** int64 numbers, which are never trained: the shapes of a Reshape and the like. Default dims: a vector. */
  integers(name: string, values: readonly number[], dims: readonly number[] = [values.length]): Weight {
    return this.#weight({ name, dims, data: BigInt64Array.from(values, BigInt) });
  }

  /** Gives the output another name. */
  rename(y: Flow, name: string, where: string): void {
    this.#taken.delete(y.name);
    this.#take(y, name, where);
    y.named = true;
  }

  #weight(weight: Weight): Weight {
    if (this.#taken.has(weight.name)) throw nameTwice(weight.name, `weight "${weight.name}"`);
    this.#taken.add(weight.name);
    this.weights.push(weight);
    return weight;
  }
  #take(y: Flow, name: string, where: string): void {
    if (this.#taken.has(name)) throw nameTwice(name, where);
    this.#taken.add(name);
    y.name = name;
  }
  #nextOf(kind: string): string {
    const key = this.#join(kind);
    const n = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, n);
    return `${kind}${n}`;
  }
  #join(name: string): string {
    return this.#scope === "" ? name : `${this.#scope}/${name}`;
  }
}

function nameTwice(name: string, where: string): DistillError {
  return new DistillError(
    "E_NAME",
    `${where}: the name "${name}" is taken already; names are unique in the whole model, choose another`,
  );
}

/** Numbers of inputs and outputs that a weight connects: what initialisations scale with. */
export interface Fans {
  readonly fanIn: number;
  readonly fanOut: number;
}

/** The size of axis `axis`; an error where it is open. */
export function knownDim(x: Flow, axis: number, path: string, what: string): number {
  const d = x.dims[axis];
  if (typeof d === "number") return d;
  throw new DistillError(
    "E_SHAPE",
    `layer "${path}": ${what} of its input ${formatShape(x.dims)} must be a number, because weights depend on it; give it in the model's input`,
  );
}

/** The number of spatial axes of a [N, C, …] map. */
export function spatialRank(x: Flow, path: string): number {
  if (x.dims.length >= 3) return x.dims.length - 2;
  throw new DistillError(
    "E_SHAPE",
    `layer "${path}": expected a map [N, C, H, W], got ${formatShape(x.dims)}; put it before flatten and global pooling`,
  );
}

/** A size that an option gives: one number for all spatial axes, or one for each. */
export function perAxis(
  value: number | readonly number[],
  rank: number,
  least: number,
  where: string,
): number[] {
  const all = typeof value === "number" ? Array.from({ length: rank }, () => value) : [...value];
  if (all.length === rank && all.every((n) => Number.isInteger(n) && n >= least)) return all;
  throw new DistillError(
    "E_ARGUMENT",
    `${where}: expected a whole number from ${least} on, or ${rank} of them, got ${typeof value === "number" ? value : formatShape(value)}`,
  );
}

/** A count that an argument gives: a whole number from 1 on. */
export function checkCount(value: number, where: string): void {
  if (!Number.isInteger(value) || value < 1)
    throw new DistillError("E_ARGUMENT", `${where}: expected a whole number from 1 on, got ${value}`);
}
