// What the teacher says of every sample, computed once and kept: in memory, or in a file where that is too small. Knows no
// teacher, only what to ask for a batch.
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DistillError } from "../base/errors.ts";
import { decodeFloat16, encodeFloat16 } from "../base/floats.ts";
import { formatBytes, formatDuration } from "../base/format.ts";
import { sizeOf, type Tensor, type TensorType } from "../base/tensor.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { CachePlace, CacheType } from "./cache-places.ts";
import type { TeacherOutputs } from "./teacher.ts";

export interface CacheOptions {
  readonly place: CachePlace;
  readonly type: CacheType;
  /** What "auto" keeps in memory at the most. */
  readonly memoryBytes: number;
  /** Where a file may lie; default: the folder for temporary files. */
  readonly folder?: string | undefined;
}

export interface CachePlan {
  readonly place: "memory" | "disk";
  readonly bytes: number;
  readonly type: CacheType;
  readonly folder: string;
}

/**
 * Where the outputs for `samples` samples are kept; undefined: nowhere, the teacher runs at every step. "auto" takes memory
 * up to its limit, then a file in at most half of the free space.
 *
 * Error: E_OPTION for a place that is too small, asked for by name.
 */
export function planCache(
  options: CacheOptions,
  types: readonly TensorType[],
  samples: number,
): CachePlan | undefined {
  const { place, type, memoryBytes, folder = tmpdir() } = options;
  if (place === "off") return undefined;
  const each = type === "float16" ? 2 : 4;
  const bytes = types.reduce((n, t) => n + (each * sizeOf(t.dims) * samples) / (t.dims[0] as number), 0);
  const plan = { bytes, type, folder };
  if (place === "memory" || (place === "auto" && bytes <= memoryBytes)) return { ...plan, place: "memory" };
  const { bavail, bsize } = statfsSync(folder);
  if (bytes <= (bavail * bsize) / 2) return { ...plan, place: "disk" };
  if (place === "auto") return undefined;
  throw new DistillError(
    "E_OPTION",
    `the teacher's outputs take ${formatBytes(bytes)}, more than half of what is free in ${folder} (${formatBytes(bavail * bsize)}); keep them as float16, or run the teacher at every step`,
  );
}

/** One output of all samples, sample by sample. */
interface Store {
  write(at: number, values: Float32Array): void;
  read(at: number, into: Float32Array): void;
  close(): void;
}

/**
 * `room` is where bytes are put to be decoded: 32-bit floats where they belong at once. 16-bit floats round to the nearest even,
 * and overflow to infinity.
 */
const encodings = {
  float32: {
    bytes: 4,
    encode: (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    room: (into: Float32Array) => new Uint8Array(into.buffer, into.byteOffset, into.byteLength),
    decode: () => {},
  },
  float16: {
    bytes: 2,
    encode: (values: Float32Array) => {
      const half = encodeFloat16(values);
      return new Uint8Array(half.buffer, half.byteOffset, half.byteLength);
    },
    room: (into: Float32Array) => new Uint8Array(into.length * 2),
    decode: (bytes: Uint8Array, into: Float32Array) => {
      decodeFloat16(new Uint16Array(bytes.buffer, bytes.byteOffset, into.length), into);
    },
  },
} as const;

function memoryStore(type: CacheType, length: number): Store {
  const { bytes, encode, room, decode } = encodings[type];
  const data = new Uint8Array(length * bytes);
  return {
    write: (at, values) => data.set(encode(values), at * bytes),
    read: (at, into) => {
      const found = room(into);
      found.set(data.subarray(at * bytes, at * bytes + found.length));
      decode(found, into);
    },
    close: () => {},
  };
}

/** The system keeps what is read often in memory; the file is gone when the cache is closed. */
function fileStore(type: CacheType, length: number, path: string): Store {
  const { bytes, encode, room, decode } = encodings[type];
  const file = openSync(path, "wx+");
  ftruncateSync(file, length * bytes);
  return {
    write: (at, values) => {
      const encoded = encode(values);
      for (let done = 0; done < encoded.length; )
        done += writeSync(file, encoded, done, encoded.length - done, at * bytes + done);
    },
    read: (at, into) => {
      const found = room(into);
      for (let done = 0; done < found.length; ) {
        const got = readSync(file, found, done, found.length - done, at * bytes + done);
        if (got === 0)
          throw new DistillError("E_RUN", `${path} was cut short by somebody else; resume the run`);
        done += got;
      }
      decode(found, into);
    },
    close: () => closeSync(file),
  };
}

export interface TeacherCache {
  /** What was said of these samples, in the given variant of each. */
  gather(samples: ArrayLike<number>, variant?: number): TeacherOutputs;
  /** The shapes of samples that it was asked about (see `sampleShapes`): what it says of others may be something else. */
  readonly shapes?: string | undefined;
  /** Fingerprints of some samples as they were then, by `sampleKey`. */
  readonly seen?: ReadonlyMap<number, number> | undefined;
  /** How many samples were asked for to fill it, variants counted. */
  readonly asked: number;
  /** How long the teacher took for one of them. */
  readonly msEach: number;
  close(): void;
}

export interface Filling {
  readonly plan: CachePlan;
  readonly samples: number;
  /** Augmented variants of each sample; 1 without augmentation. */
  readonly variants: number;
  readonly batch: number;
  /** What the teacher says of the variant of these samples. */
  readonly ask: (samples: Uint32Array, variant: number) => Promise<TeacherOutputs>;
  readonly shapes?: string | undefined;
  readonly seen?: ReadonlyMap<number, number> | undefined;
}

/**
 * Asks for all samples, in order and in batches of `batch`: what is kept for a sample then does not depend on where a run
 * was interrupted. Yields how many are done.
 */
export async function* fillCache(o: Filling): AsyncGenerator<number, TeacherCache> {
  const stores = new Map<string, { store: Store; each: number; dims: readonly number[] }>();
  const folder = o.plan.place === "disk" ? mkdtempSync(join(o.plan.folder, "teacher-cache-")) : undefined;
  const close = (): void => {
    for (const { store } of stores.values()) store.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  };
  const open = (dims: readonly number[]) => {
    const each = sizeOf(dims);
    const length = each * o.samples * o.variants;
    const store = folder
      ? fileStore(o.plan.type, length, join(folder, String(stores.size)))
      : memoryStore(o.plan.type, length);
    return { store, each, dims };
  };
  const began = performance.now();
  let done = 0;
  let filled = false;
  try {
    for (let variant = 0; variant < o.variants; variant++)
      for (const samples of evaluationBatches(o.samples, o.batch)) {
        const { logits, taps } = await o.ask(samples, variant);
        for (const [key, t] of [["", logits] as const, ...Object.entries(taps)]) {
          let found = stores.get(key);
          if (!found) stores.set(key, (found = open(t.dims.slice(1))));
          const first = variant * o.samples + (samples[0] as number);
          found.store.write(first * found.each, t.data as Float32Array);
        }
        done += samples.length;
        yield done;
      }
    filled = true;
  } finally {
    // Also where the run is given up in the middle, or the disk is full.
    if (!filled) close();
  }
  const msEach = (performance.now() - began) / done;
  const gather = (key: string, samples: ArrayLike<number>, variant: number): Tensor => {
    const { store, each, dims } = stores.get(key) as { store: Store; each: number; dims: readonly number[] };
    const data = new Float32Array(samples.length * each);
    for (let i = 0; i < samples.length; i++) {
      const at = (variant * o.samples + (samples[i] as number)) * each;
      store.read(at, data.subarray(i * each, (i + 1) * each));
    }
    return { dtype: "float32", dims: [samples.length, ...dims], data };
  };
  const tapNames = [...stores.keys()].filter((k) => k !== "");
  return {
    gather: (samples, variant = 0) => ({
      logits: gather("", samples, variant),
      taps: Object.fromEntries(tapNames.map((n) => [n, gather(n, samples, variant)])),
    }),
    shapes: o.shapes,
    seen: o.seen,
    asked: done,
    msEach,
    close,
  };
}

/** What a cache spared a run that asked for `asked` samples and was served `served` ones, for a person; undefined: nothing. */
export function tellSaved(asked: number, served: number, msEach: number): string | undefined {
  if (served <= asked) return undefined;
  const saved = `which saved about ${formatDuration(((served - asked) * msEach) / 1000)}`;
  return asked === 0
    ? `the teacher was not asked: what it told an earlier run served for ${served} samples, ${saved}`
    : `the teacher answered for ${asked} samples instead of ${served}, ${saved}`;
}
