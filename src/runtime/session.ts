// What we ask of a runtime. The adapters (ort-node.ts, ort-web.ts) are the only files that import ONNX Runtime.
import type { Shape, Tensor } from "../base/tensor.ts";
import type { ExternalFile, ValueInfo } from "../base/value-info.ts";

export type { ExternalFile, Shape, ValueInfo };

export type Tensors = Readonly<Record<string, Tensor>>;

export interface Session {
  /** Tensor inputs that must be fed. */
  readonly inputs: readonly ValueInfo[];
  /** Tensor outputs; sequences and maps are left out, and never fetched. */
  readonly outputs: readonly ValueInfo[];
  /**
   * Runs the model. `feeds` holds every input and nothing else. `fetch` names the outputs wanted (all, by
   * default). A tensor in `into` is written in place where the runtime can do that and is then the one returned;
   * where it can't, a fresh tensor comes back. Names in `into` that are not fetched are left alone.
   *
   * Errors: E_NAME for an input or output that does not exist or is not fed, E_RUNTIME for the rest.
   */
  run(feeds: Tensors, fetch?: readonly string[], into?: Tensors): Promise<Record<string, Tensor>>;
  /** Frees the model. A released session can't run again. */
  release(): Promise<void>;
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
  /**
   * How many channels lie side by side in the layout of the runtime's blocked convolutions (compile/block-convolutions.ts),
   * on this processor; undefined where it has none.
   */
  convolutionBlock?(): Promise<number | undefined>;
}
