// Ctrl-C and SIGTERM: the first asks the run to stop after its step, the second ends the process at once.
import { exitCodes } from "./io.ts";

/** npm and npx hand a Ctrl-C on to a process that the terminal has told already: both are one. */
const SAME_PRESS_MS = 500;

export interface Stopper {
  readonly signal: AbortSignal;
  dispose(): void;
}

/** @param outer another signal that stops the run, too. */
export function stopOnSignals(outer?: AbortSignal): Stopper {
  const controller = new AbortController();
  let first = 0;
  const stop = (): void => {
    const now = performance.now();
    if (controller.signal.aborted && now - first > SAME_PRESS_MS) process.exit(exitCodes.interrupted);
    if (controller.signal.aborted) return;
    first = now;
    controller.abort();
  };
  const relay = (): void => controller.abort();
  if (outer?.aborted) relay();
  outer?.addEventListener("abort", relay, { once: true });
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const name of signals) process.on(name, stop);
  return {
    signal: controller.signal,
    dispose() {
      for (const name of signals) process.off(name, stop);
      outer?.removeEventListener("abort", relay);
    },
  };
}
