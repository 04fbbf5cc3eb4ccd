// The runtime of a command's --threads.
import { createNodeRuntime } from "../runtime/ort-node.ts";
import type { Runtime } from "../runtime/session.ts";

const runtimes = new Map<number | undefined, Runtime>();

/** One and the same for a number of threads, so that runs of one process share what was computed by it. */
export function runtimeFor(threads: number | undefined): Runtime {
  const runtime = runtimes.get(threads) ?? createNodeRuntime(threads === undefined ? {} : { threads });
  runtimes.set(threads, runtime);
  return runtime;
}
