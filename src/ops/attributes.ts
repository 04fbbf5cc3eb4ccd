// Reads a node's attributes with the defaults of the ONNX schema.
import { DistillError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import type { Attribute, Attributes } from "../graph/graph.ts";

export class AttributeReader {
  readonly #attributes: Attributes;
  readonly #where: string;
  constructor(attributes: Attributes, where: string) {
    this.#attributes = attributes;
    this.#where = where;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#attributes, name);
  }
  int(name: string, fallback?: number): number {
    return this.#read(name, ["int", "float"], fallback) as number;
  }
  float(name: string, fallback?: number): number {
    return this.#read(name, ["float", "int"], fallback) as number;
  }
  ints(name: string, fallback?: readonly number[]): readonly number[] {
    return this.#read(name, ["ints"], fallback) as readonly number[];
  }
  floats(name: string, fallback?: readonly number[]): readonly number[] {
    return this.#read(name, ["floats", "ints"], fallback) as readonly number[];
  }
  string(name: string, fallback?: string): string {
    return this.#read(name, ["string"], fallback) as string;
  }
  strings(name: string, fallback?: readonly string[]): readonly string[] {
    return this.#read(name, ["strings"], fallback) as readonly string[];
  }
  tensor(name: string): Tensor {
    return this.#read(name, ["tensor"], undefined) as Tensor;
  }

  #read(name: string, kinds: readonly Attribute["kind"][], fallback: unknown): unknown {
    const attribute = this.has(name) ? this.#attributes[name] : undefined;
    if (!attribute) {
      if (fallback !== undefined) return fallback;
      throw new DistillError(
        "E_MODEL",
        `${this.#where}: attribute "${name}" is missing; the model is not valid ONNX`,
      );
    }
    if (!kinds.includes(attribute.kind))
      throw new DistillError(
        "E_MODEL",
        `${this.#where}: attribute "${name}" is of kind ${attribute.kind}, expected ${kinds[0]}; the model is not valid ONNX`,
      );
    return attribute.value;
  }
}
