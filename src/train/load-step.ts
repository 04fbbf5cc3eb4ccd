// Loads a run's step and decides where it is computed: in a worker thread of Node's own runtime, so that terminal, signals and
// whatever else the program does stay live and the next batch is got ready meanwhile; or in the caller's thread.
import { numbersIn } from "../compile/numbers-in.ts";
import type { Runtime } from "../runtime/session.ts";
import type { PreparedRun } from "./prepare-run.ts";
import { StepRunner } from "./step-runner.ts";

export interface LoadedStep {
  readonly runner: StepRunner;
  /** For the run's notes. */
  readonly notes: readonly string[];
  release(): Promise<void>;
}

type Place = Omit<LoadedStep, "runner"> & { readonly runtime: Runtime };

/**
 * How many numbers the values of a step hold in all before a worker is worth while: about a tenth of a second on one thread
 * (a million takes 0.6 to 0.8 ms: perceptron, small ResNet, ViT), which is when people and timers begin to wait for the event
 * loop. What a worker gains in time is less than what it costs in memory (docs/performance.md).
 */
const worthAWorker = 150_000_000;

/** With its forward pass, where something outside the step looks at the student's answers. */
export async function loadStep(run: PreparedRun): Promise<LoadedStep> {
  const { compiled, o, onArrays, measured, options } = run;
  const withForward = onArrays.length > 0 || measured.some((v) => v.every !== undefined);
  const wanted = options.worker ?? numbersIn(compiled) >= worthAWorker;
  const place = wanted ? await inWorker(run.runtime) : here(run.runtime);
  try {
    const runner = await StepRunner.load(compiled, place.runtime, o.seed, withForward);
    run.steps.begin(runner.own, place.runtime, withForward);
    const release = async (): Promise<void> => {
      await run.steps.release();
      await runner.release();
      await place.release();
    };
    return { runner, notes: place.notes, release };
  } catch (cause) {
    await place.release();
    throw cause;
  }
}

const here = (runtime: Runtime, ...notes: string[]): Place => ({ runtime, notes, release: async () => {} });

/** A runtime that is not Node's own stays in the caller's thread, and so does one that can't start a worker. */
async function inWorker(runtime: Runtime): Promise<Place> {
  const { startThread } = await import("../runtime/ort-node.ts");
  try {
    const thread = await startThread(runtime);
    return thread ? { runtime: thread, notes: [], release: () => thread.release() } : here(runtime);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return here(runtime, `steps are computed in the main thread, because no worker could be started: ${why}`);
  }
}
