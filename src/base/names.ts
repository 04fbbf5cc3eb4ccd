// Free names beside those that are taken, without counting through the same numbers again and again.

export class Names {
  readonly #taken: Set<string>;
  /** Below these all numbers of a base are taken. */
  readonly #next = new Map<string, number>();

  constructor(taken: Iterable<string> = []) {
    this.#taken = new Set(taken);
  }

  has(name: string): boolean {
    return this.#taken.has(name);
  }

  /** `base`, or `base_2`, `base_3`, … : the first that is free, and from now on taken. */
  take(base: string): string {
    let name = base;
    for (let i = this.#next.get(base) ?? 2; this.#taken.has(name); i++) {
      name = `${base}_${i}`;
      this.#next.set(base, i + 1);
    }
    this.#taken.add(name);
    return name;
  }
}
