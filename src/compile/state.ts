// How the state of a training run (weights, the optimizer's slots, running statistics) is laid out: few large vectors
// rather than many small tensors, because every input and output of a run has a price of its own.
import { sizeOf, type Tensor } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { Builder } from "../ops/builder.ts";
import type { ParameterGroup, WeightSettings } from "./parameter-groups.ts";

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
  /** Whose learning rate its weights have; undefined: the run's. */
  readonly group?: ParameterGroup;
  /** Their weight decay, or that of each of its tensors; undefined: the optimizer's. */
  readonly weightDecay?: number | readonly (number | undefined)[];
}

/** What is laid out: of weights whose groups differ, none share a vector; whose decays differ, small ones do. */
export interface Member {
  readonly name: string;
  readonly dims: readonly number[];
  readonly settings?: WeightSettings;
}

/** Above this many elements a tensor is a pack of its own: copying it in and out would cost more than a call's overhead. */
const ownPackFrom = 1 << 18;

/** Up to this many elements a pack holds weights of several decays, with a vector of them: less than another pack's calls cost. */
const mixedUpTo = 1 << 20;

export function layOut(kind: string, tensors: readonly Member[]): Pack[] {
  const packs: Pack[] = [];
  const add = (members: readonly Member[]): void => {
    let offset = 0;
    const packed = members.map(({ name, dims }) => {
      const size = sizeOf(dims);
      const at = { name, dims, offset, size };
      offset += size;
      return at;
    });
    const decays = members.map((m) => m.settings?.weightDecay);
    const weightDecay = decays.every((d) => d === decays[0]) ? decays[0] : decays;
    const group = members[0]?.settings?.group;
    packs.push({
      key: `${kind}/${packs.length}`,
      tensors: packed,
      size: offset,
      ...(group && { group }),
      ...(weightDecay !== undefined && { weightDecay }),
    });
  };
  const small = tensors.filter((t) => sizeOf(t.dims) < ownPackFrom);
  for (const alike of bySettings(small)) add(alike);
  for (const t of tensors) if (sizeOf(t.dims) >= ownPackFrom) add([t]);
  return packs;
}

function bySettings(tensors: readonly Member[]): Member[][] {
  const size = (members: readonly Member[]): number => members.reduce((n, t) => n + sizeOf(t.dims), 0);
  return alike(tensors, "group").flatMap((members) =>
    size(members) <= mixedUpTo ? [members] : alike(members, "weightDecay"),
  );
}

/** Those with the same setting together, in order. */
function alike(tensors: readonly Member[], key: keyof WeightSettings): Member[][] {
  const settings = [...new Set(tensors.map((t) => t.settings?.[key]))];
  return settings.map((s) => tensors.filter((t) => t.settings?.[key] === s));
}

/** Weight decay of one of a pack's tensors; undefined: the optimizer's. */
export function decayOf({ weightDecay, tensors }: Pack, tensor: PackedTensor): number | undefined {
  return typeof weightDecay === "object" ? weightDecay[tensors.indexOf(tensor)] : weightDecay;
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
