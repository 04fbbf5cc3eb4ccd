// What a command talks to: two streams and a signal, given from outside so that tests run commands in process.
import type { ProgressStream } from "./progress.ts";

export interface CliIo {
  /** Results: what a script would read. */
  readonly stdout: { write(text: string): unknown };
  /** Progress, notes and errors. */
  readonly stderr: ProgressStream;
  /** Aborting it stops a training run as Ctrl-C does. */
  readonly signal?: AbortSignal | undefined;
}

/** Exit codes of the program. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;
