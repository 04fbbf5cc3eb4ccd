// Who made a model file, in which version of the format, and what had to be undone of it: for people to read, nothing
// depends on it.
import type { Model } from "./model.ts";
import { originOf } from "./proto.ts";

export interface ModelOrigin {
  readonly irVersion: number;
  /** Name and version of the exporter, "" where the file does not tell. */
  readonly producer: string;
}

export function modelOrigin(model: Model): ModelOrigin {
  const { irVersion, producerName, producerVersion } = originOf(model).proto;
  return { irVersion: Number(irVersion), producer: `${producerName} ${producerVersion}`.trim() };
}

/**
 * Constants that the file holds merged with others of equal value, and that are of their own again: as PyTorch's TorchScript
 * exporter leaves scales and biases that were never trained. Weights of them are written back as initialisers of their own.
 */
export function separatedConstants(model: Model): readonly string[] {
  return originOf(model).separated?.map((c) => c.name) ?? [];
}

/** The file's own name for a constant whose name was invented when it was separated; otherwise the name itself. */
export function originalName(model: Model, name: string): string {
  return originOf(model).separated?.find((c) => c.name === name && c.invented)?.of ?? name;
}
