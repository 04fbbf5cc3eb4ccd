// What a model declares about its inputs and outputs, and the files that lie beside it. Shared by the rooms
// that read models and the rooms that run them; knows neither protobuf nor a runtime.
import type { DType } from "./tensor.ts";

/** A declared tensor input or output; a dimension that the model leaves open is its name, or "?" without one. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly (number | string)[];
}

/** A whole file of tensor data outside the model. */
export interface ExternalFile {
  /** The location as the model spells it. */
  readonly path: string;
  readonly data: Uint8Array;
}
