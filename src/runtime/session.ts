// What we ask of a runtime. The adapters (ort-node.ts, ort-web.ts) are the only files that import ONNX Runtime.
import type { DType, Shape, Tensor } from "../base/tensor.ts";

export type Tensors = Readonly<Record<string, Tensor>>;

/** A declared input or output of a model; a dimension that the model leaves open is its name or "?". */
export interface ValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly (number | string)[];
}

export interface Session {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /**
   * Runs the model. `fetch` names the outputs wanted (all, by default). A tensor in `into` is written in place
   * where the runtime can do that and is then the one returned; where it can't, a fresh tensor comes back.
   */
  run(feeds: Tensors, fetch?: readonly string[], into?: Tensors): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

export interface ExternalFile {
  /** The location as the model spells it. */
  readonly path: string;
  readonly data: Uint8Array;
}

export interface SessionOptions {
  /** Threads within one op; default: the runtime's own choice. */
  readonly threads?: number;
  /** Graph optimisation; default "all". Bits differ between levels, so one run uses one level. */
  readonly optimization?: "none" | "basic" | "all";
  readonly externalData?: readonly ExternalFile[];
}

export interface Runtime {
  readonly name: string;
  load(model: Uint8Array, options?: SessionOptions): Promise<Session>;
}

export type { Shape };
