// Who made a model file, and in which version of the format: for people to read, nothing depends on it.
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
