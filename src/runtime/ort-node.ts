// ONNX Runtime for Node (the package onnxruntime-node, CPU). Loaded at the first `load`, so that importing us is cheap.
//
// Not used, on purpose: `session.set_denormal_as_zero`. It reaches only the threads of ONNX Runtime's own pool, not the
// calling one, so which elements are flushed depends on which thread took them, and reruns differ in their bits.
import type { InferenceSession } from "onnxruntime-node";
import { checkKeys } from "../base/errors.ts";
import { isOnDisk } from "../base/value-info.ts";
import { probeConvolutionBlock } from "./convolution-block.ts";
import { type OrtSession, runtimeError, type WrapOptions, wrapSession } from "./ort-session.ts";
import type { Runtime, SessionOptions } from "./session.ts";

export interface NodeRuntimeOptions {
  /** Threads within one op, for models loaded without a number of their own; default: one for each physical core. */
  readonly threads?: number;
  /** Graph optimisation, for models loaded without a level of their own; default "all". */
  readonly optimization?: "none" | "basic" | "all";
}

const levels = { none: "disabled", basic: "basic", all: "all" } as const;

/**
 * ONNX Runtime on Node's CPU. Outputs given in `into` are written in place. `run` blocks the event loop while it computes.
 *
 * @example
 * const runtime = createNodeRuntime({ threads: 2 });
 * const session = await runtime.load(bytes);
 * const { logits } = await session.run({ input });
 */
export function createNodeRuntime(defaults: NodeRuntimeOptions = {}): Runtime {
  checkKeys("createNodeRuntime", defaults, ["threads", "optimization"]);
  const runtime = runtimeOver(defaults, {
    async create(model, options) {
      const ort = await import("onnxruntime-node");
      ort.env.logLevel = "fatal"; // What fails is thrown, and must not be printed as well.
      return ort.InferenceSession.create(model, options);
    },
    async toOrt() {
      const { Tensor } = await import("onnxruntime-node");
      return ({ dtype, data, dims }) => new Tensor(dtype as "float32", data as Float32Array, dims);
    },
    writesInto: () => true,
  });
  ours.set(runtime, defaults);
  return runtime;
}

/** Node's own runtimes, not what others wrap around them. */
const ours = new WeakMap<Runtime, NodeRuntimeOptions>();

export interface ThreadRuntime extends Runtime {
  /** Ends the thread. */
  release(): Promise<void>;
}

/**
 * A runtime like this one whose models run in a worker thread, so that the event loop is free meanwhile: to the same bits. It
 * takes over the bytes that it loads. Tensors are copied there, but for an `OwnTensor`, and only such a one is written as
 * `into`. undefined where the runtime is not Node's own.
 *
 * Rejects where no worker can be started.
 */
export async function startThread(runtime: Runtime): Promise<ThreadRuntime | undefined> {
  const defaults = ours.get(runtime);
  if (!defaults) return undefined;
  const { isOwn, OrtThread } = await import("./ort-thread.ts");
  const thread = await OrtThread.start(name);
  return {
    ...runtimeOver(defaults, {
      create: (model, options) => thread.load(model, options),
      toOrt: async () => (t) => t,
      writesInto: isOwn,
    }),
    release: () => thread.release(),
  };
}

const name = "onnxruntime-node";

/** Where sessions are made. */
interface Sessions {
  create(model: Uint8Array, options: CreateOptions): Promise<OrtSession>;
  toOrt(): Promise<WrapOptions["toOrt"]>;
  readonly writesInto: WrapOptions["writesInto"];
}

type CreateOptions = NonNullable<Parameters<typeof InferenceSession.create>[1]>;

function runtimeOver(defaults: NodeRuntimeOptions, sessions: Sessions): Runtime {
  const runtime: Runtime = {
    name,
    convolutionBlock: () => (block ??= probeConvolutionBlock(runtime.load)),
    async load(model: Uint8Array, options: SessionOptions = {}) {
      const threads = options.threads ?? defaults.threads;
      const { externalData = [] } = options;
      // Files that were left on disk (all in one folder) are mapped there by ONNX Runtime itself, which takes all external
      // data from memory or all from disk.
      const onDisk = externalData.every(isOnDisk) ? externalData : [];
      const folder = onDisk[0]?.folder;
      const inMemory =
        onDisk.length > 0 ? [] : externalData.map(({ path, data }) => ({ path: asAsked(path), data }));
      const level = options.optimization ?? defaults.optimization ?? "all";
      try {
        for (const file of onDisk) file.check();
        const session = await sessions.create(model, {
          executionProviders: ["cpu"],
          executionMode: "sequential",
          interOpNumThreads: 1,
          graphOptimizationLevel: levels[level],
          logSeverityLevel: 4,
          extra: {
            session: {
              // Otherwise the threads of a session that has just run go on spinning, and take the cores from the next one.
              force_spinning_stop: "1",
              ...(folder !== undefined && { model_external_initializers_file_folder_path: folder }),
            },
          },
          ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
          ...(inMemory.length > 0 ? { externalData: inMemory } : {}),
        });
        const { writesInto } = sessions;
        return wrapSession(session, { runtime: name, toOrt: await sessions.toOrt(), writesInto });
      } catch (cause) {
        throw runtimeError(name, "loading the model", cause);
      }
    },
  };
  return runtime;
}

/** onnxruntime-node drops one "./" in front of a path and then looks for the location as the model spells it. */
function asAsked(path: string): string {
  return path.startsWith("./") ? `./${path}` : path;
}

/** Of this processor, found out at the first question. */
let block: Promise<number | undefined> | undefined;

/** ONNX Runtime on Node's CPU with its own defaults. */
export const nodeRuntime: Runtime = createNodeRuntime();
