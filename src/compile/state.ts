// How the state of a training run (weights, the optimizer's slots, running statistics) is laid out: few large vectors
// rather than many small tensors, because every input and output of a run has a price of its own.
import { sizeOf, type Tensor } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { PackSettings } from "./parameter-groups.ts";

export interface PackedTensor {
  /** Name of the initialiser in the student's own graph. */
  readonly name: string;
  readonly dims: readonly number[];
  readonly offset: number;
  readonly size: number;
}

/** One vector of the state. */
export interface Pack {
  readonly key: string;
  readonly tensors: readonly PackedTensor[];
  readonly size: number;
  /** How its weights are trained otherwise than the rest. */
  readonly settings?: PackSettings;
}

/** What is laid out: of weights whose `settings` differ, none share a vector. */
export interface Member {
  readonly name: string;
  readonly dims: readonly number[];
  readonly settings?: PackSettings;
}

/** Above this many elements a tensor is a pack of its own: copying it in and out would cost more than a call's overhead. */
const ownPackFrom = 1 << 18;

export function layOut(kind: string, tensors: readonly Member[]): Pack[] {
  const packs: Pack[] = [];
  const add = (members: readonly Member[]): void => {
    const settings = members[0]?.settings;
    let offset = 0;
    const packed = members.map(({ name, dims }) => {
      const size = sizeOf(dims);
      const at = { name, dims, offset, size };
      offset += size;
      return at;
    });
    packs.push({
      key: `${kind}/${packs.length}`,
      tensors: packed,
      size: offset,
      ...(settings && { settings }),
    });
  };
  const small = tensors.filter((t) => sizeOf(t.dims) < ownPackFrom);
  for (const alike of bySettings(small)) add(alike);
  for (const t of tensors) if (sizeOf(t.dims) >= ownPackFrom) add([t]);
  return packs;
}

function bySettings(tensors: readonly Member[]): Member[][] {
  const found: Member[][] = [];
  for (const t of tensors) {
    const { group, weightDecay } = t.settings ?? {};
    const alike = found.find(
      ([first]) => first?.settings?.group === group && first?.settings?.weightDecay === weightDecay,
    );
    if (alike) alike.push(t);
    else found.push([t]);
  }
  return found;
}

/** The tensors of a pack as views on its vector. */
export function unpack(b: Builder, pack: Pack, vector: Value): Map<string, Value> {
  const pieces = b.split(
    vector,
    pack.tensors.map((t) => t.size),
    0,
  );
  return new Map(pack.tensors.map((t, i) => [t.name, b.reshape(pieces[i] as Value, t.dims)]));
}

export function packValues(b: Builder, pack: Pack, values: ReadonlyMap<string, Value>): Value {
  return b.concat(
    pack.tensors.map((t) => b.reshape(values.get(t.name) as Value, [t.size])),
    0,
  );
}

/** The pack's vector filled from tensors by name. */
export function packTensors(pack: Pack, tensors: ReadonlyMap<string, Tensor>): Float32Array {
  const out = new Float32Array(pack.size);
  for (const t of pack.tensors) out.set(tensors.get(t.name)?.data as Float32Array, t.offset);
  return out;
}

export function unpackTensors(pack: Pack, vector: Float32Array): Map<string, Tensor> {
  return new Map(
    pack.tensors.map((t) => [
      t.name,
      { dtype: "float32", dims: t.dims, data: vector.slice(t.offset, t.offset + t.size) },
    ]),
  );
}
