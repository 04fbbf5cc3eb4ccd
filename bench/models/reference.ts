// What export.py wrote of one architecture: PyTorch's numbers, and which constants of each exported model they belong to.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Tensor } from "../../src/base/tensor.ts";
import { readNpz } from "../../src/data/npz.ts";

/** Gradients of the constants `from`, their axes permuted, add up to the gradient under the key, which is that of `of`. */
export interface Entry {
  readonly gradient: string;
  readonly of: string;
  readonly from: readonly { readonly name: string; readonly perm: readonly number[] }[];
}

/** What one exporter made. */
export interface Exported {
  readonly opset: number;
  readonly nodes: number;
  readonly dynamicBatch: boolean;
  readonly entries: readonly Entry[];
  /** Float constants that are no parameter of PyTorch's, and parameters that no constant holds. */
  readonly notParameters: readonly string[];
  readonly notHeld: readonly string[];
  /** With BatchNorm on the statistics of the batch: keys of gradients by `of`, of next running statistics by constant. */
  readonly training?: {
    readonly gradients: Readonly<Record<string, string>>;
    readonly statistics: Readonly<Record<string, string>>;
    readonly float32: OwnErrors;
  };
}

/** Relative errors of PyTorch's own gradients in float32 against float64, by parameter. */
export type OwnErrors = Readonly<Record<string, number>>;

export interface Reference {
  readonly name: string;
  /** Whose code the architecture is. */
  readonly source: string;
  /** Shapes by name. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** How many numbers PyTorch trains. */
  readonly parameters: number;
  readonly float32: OwnErrors;
  /** By exporter; or why it made none. */
  readonly models: Readonly<Record<string, Exported | { readonly failed: string }>>;
  /** `input/<name>`, `output`, `cotangent`. */
  array(key: string): Tensor;
  gradient(key: string): Float32Array;
  bytes(exporter: string): Uint8Array;
}

interface Facts extends Pick<Reference, "source" | "inputs" | "parameters" | "float32" | "models"> {
  /** Offset and size in the array `gradients`. */
  readonly gradients: Readonly<Record<string, readonly [number, number]>>;
}

/** Names of the architectures in a folder. */
export function architecturesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((f) => f.endsWith(".npz"))
    .map((f) => f.slice(0, -".npz".length))
    .sort();
}

export function readReference(folder: string, name: string): Reference {
  const file = `${name}.npz`;
  const arrays = readNpz(new Uint8Array(readFileSync(join(folder, file))), file);
  const array = (key: string): Tensor => {
    const found = arrays.get(key);
    if (!found) throw new Error(`${file} has no "${key}"; write it again with export.py`);
    return found;
  };
  const facts = JSON.parse(new TextDecoder().decode(array("facts").data as Uint8Array)) as Facts;
  return {
    name,
    source: facts.source,
    inputs: facts.inputs,
    parameters: facts.parameters,
    float32: facts.float32,
    models: facts.models,
    array,
    gradient: (key) => {
      const [offset, size] = facts.gradients[key] as readonly [number, number];
      return (array("gradients").data as Float32Array).subarray(offset, offset + size);
    },
    bytes: (exporter) => {
      const path = join(folder, `${name}.${exporter}.onnx`);
      return new Uint8Array(existsSync(path) ? readFileSync(path) : gunzipSync(readFileSync(`${path}.gz`)));
    },
  };
}
