// What teachers said in earlier runs, for later ones over the same data. Knows no teacher: a run says by a key what it would
// ask, and finds what another run with the same key has kept.
import { checkKeys } from "../base/errors.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Evaluation } from "./evaluate.ts";
import type { CachePlan, TeacherCache } from "./teacher-cache.ts";

export interface SharedTeacherOutputsOptions {
  /** Where files may lie that are too large for memory; default: the folder of the run that writes them. */
  readonly folder?: string | undefined;
}

/**
 * The teacher's outputs, kept from run to run: `distill()` calls that are given the same object ask their teacher once for
 * what they have in common, which is the same data set object, the same teacher (by its path, or the same model or
 * function), the same runtime object, taps, batch, and augmentation from the same seed. Every run gives the same bits as by
 * itself.
 *
 * A teacher's file must not change meanwhile. `teacherCacheBytes` of a run bounds what all of them keep in memory
 * together; the rest goes into files. `close` frees both.
 *
 * @example
 * ```ts
 * const teacherOutputs = new SharedTeacherOutputs();
 * for (const seed of [0, 1, 2])
 *   for await (const event of distill({ teacher: "teacher.onnx", student, data, seed, teacherOutputs })) console.log(event);
 * teacherOutputs.close();
 * ```
 */
export class SharedTeacherOutputs {
  readonly folder: string | undefined;
  #caches = new WeakMap<Dataset, Map<string, TeacherCache>>();
  #evaluations = new WeakMap<Dataset, Map<string, Evaluation>>();
  readonly #open = new Set<TeacherCache>();
  readonly #numbers = new WeakMap<object, number>();
  #known = 0;
  #bytesInMemory = 0;

  /** E_OPTION for an unknown option. */
  constructor(options: SharedTeacherOutputsOptions = {}) {
    checkKeys("SharedTeacherOutputs", options, ["folder"]);
    this.folder = options.folder;
  }

  /** What is kept in memory, of all runs together. */
  get bytesInMemory(): number {
    return this.#bytesInMemory;
  }

  /** Frees memory and files. Runs that are given this object later begin anew. */
  close(): void {
    for (const cache of this.#open) cache.close();
    this.#open.clear();
    this.#caches = new WeakMap();
    this.#evaluations = new WeakMap();
    this.#bytesInMemory = 0;
  }

  /** @internal The part of a key that stands for something: a path for itself, an object for that object alone. */
  nameOf(thing: string | object): string {
    if (typeof thing === "string") return thing;
    let number = this.#numbers.get(thing);
    if (number === undefined) this.#numbers.set(thing, (number = this.#known++));
    return `#${number}`;
  }

  /** @internal */
  find(data: Dataset, key: string): TeacherCache | undefined {
    return this.#caches.get(data)?.get(key);
  }

  /** @internal From now on `close` closes it, and no run. */
  keep(data: Dataset, key: string, plan: CachePlan, cache: TeacherCache): void {
    put(this.#caches, data, key, cache);
    this.#open.add(cache);
    if (plan.place === "memory") this.#bytesInMemory += plan.bytes;
  }

  /** @internal How good the teacher is on this data: measured once. */
  async evaluation(data: Dataset, key: string, measure: () => Promise<Evaluation>): Promise<Evaluation> {
    const found = this.#evaluations.get(data)?.get(key);
    if (found) return found;
    const measured = await measure();
    put(this.#evaluations, data, key, measured);
    return measured;
  }
}

function put<V>(into: WeakMap<Dataset, Map<string, V>>, data: Dataset, key: string, value: V): void {
  const of = into.get(data) ?? new Map<string, V>();
  into.set(data, of.set(key, value));
}
