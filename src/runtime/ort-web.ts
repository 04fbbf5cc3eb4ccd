// ONNX Runtime for browsers (the package onnxruntime-web, an optional peer): wasm or WebGPU. Loaded at the first `load`.
// Preallocated outputs stay zero on wasm without an error (microsoft/onnxruntime#25786), so `into` is never handed over.
import { checkKeys, DistillError } from "../base/errors.ts";
import { runtimeError, wrapSession } from "./ort-session.ts";
import type { Runtime, SessionOptions } from "./session.ts";

export interface WebRuntimeOptions {
  /** Default "wasm". WebGPU needs a browser that has it. */
  readonly provider?: "wasm" | "webgpu";
  /**
   * Threads of the wasm build. They are fixed for the page by the first model loaded, and more than one needs a page
   * with cross-origin isolation; default: ONNX Runtime's choice.
   */
  readonly threads?: number;
  /** Where the .wasm files are served from, where not beside the bundle. */
  readonly wasmPaths?: string;
}

const levels = { none: "disabled", basic: "basic", all: "all" } as const;

/**
 * ONNX Runtime in a browser (its wasm build also runs in Node). Every output is a fresh tensor; `into` is ignored.
 * `SessionOptions.threads` counts only for the first model that the page loads.
 *
 * Errors: E_RUNTIME, also where onnxruntime-web is not installed.
 *
 * @example
 * const runtime = createWebRuntime({ provider: "webgpu" });
 */
export function createWebRuntime(defaults: WebRuntimeOptions = {}): Runtime {
  checkKeys("createWebRuntime", defaults, ["provider", "threads", "wasmPaths"]);
  const provider = defaults.provider ?? "wasm";
  const name = `onnxruntime-web (${provider})`;
  return {
    name,
    async load(model: Uint8Array, options: SessionOptions = {}) {
      const ort = await importOrt(provider);
      const threads = options.threads ?? defaults.threads;
      try {
        ort.env.logLevel = "fatal"; // What fails is thrown, and must not be printed as well.
        if (threads !== undefined) ort.env.wasm.numThreads = threads;
        if (defaults.wasmPaths !== undefined) ort.env.wasm.wasmPaths = defaults.wasmPaths;
        const session = await ort.InferenceSession.create(model, {
          executionProviders: [provider],
          executionMode: "sequential",
          graphOptimizationLevel: levels[options.optimization ?? "all"],
          logSeverityLevel: 4,
          ...(options.externalData?.length
            ? { externalData: options.externalData.map(({ path, data }) => ({ path, data })) }
            : {}),
        });
        return wrapSession(session, {
          runtime: name,
          toOrt: ({ dtype, data, dims }) => new ort.Tensor(dtype as "float32", data as Float32Array, dims),
          writesInto: () => false,
        });
      } catch (cause) {
        throw runtimeError(name, "loading the model", cause);
      }
    },
  };
}

async function importOrt(provider: "wasm" | "webgpu") {
  try {
    return provider === "webgpu" ? await import("onnxruntime-web/webgpu") : await import("onnxruntime-web");
  } catch (cause) {
    throw new DistillError(
      "E_RUNTIME",
      "the package onnxruntime-web can't be loaded; add it with npm install onnxruntime-web",
      { cause },
    );
  }
}
